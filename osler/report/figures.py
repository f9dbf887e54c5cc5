"""Curves and residuals as inline SVG whose colours follow the page (its CSS variables), light or dark.

Only words of ours are drawn: names that come from users belong in the page around a figure, where they are escaped.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from osler.report.words import escaped

# Drawn in these colours, which nothing else uses; the page's own variables replace them.
INK, MUTED, GRID, TRAINING, VALIDATION = "#010203", "#010204", "#010205", "#010206", "#010207"
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", TRAINING: "--series-1", VALIDATION: "--series-2"}

SETTINGS = {
    "svg.fonttype": "none",  # words stay words: small, selectable, in the page's typeface
    "svg.hashsalt": "osler",  # the same figure gives the same bytes
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "grid.alpha": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}

Curve = Sequence[float | None]


def curves(
    key: str, label: str, epochs: Sequence[int], training: Curve, validation: Curve, best_epoch: int | None = None
) -> str:
    """Training and validation values by epoch, with gaps where there are none; the best epoch is marked."""

    def draw(axes: Any) -> None:
        drawn = []
        for name, values, colour in (("training", training, TRAINING), ("validation", validation, VALIDATION)):
            known = [(e, v) for e, v in zip(epochs, values, strict=True) if v is not None]
            if not known:
                continue
            # Few or scattered values have no line that would show them.
            marker = "o" if len(known) < 3 or len(known) < len(epochs) / 2 else None
            ys = [math.nan if v is None else v for v in values]
            axes.plot(epochs, ys, color=colour, marker=marker, markersize=4, label=name)
            drawn.append((colour, dict(known)))
        if best_epoch is not None and drawn:
            axes.axvline(best_epoch, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
            colour, by_epoch = drawn[-1]
            if best_epoch in by_epoch:
                axes.plot(best_epoch, by_epoch[best_epoch], "o", color=colour, markersize=5.5, zorder=5)
        everything = [v for _, by_epoch in drawn for v in by_epoch.values()]
        if everything and 0 < 100 * min(everything) < max(everything):
            _logarithmic(axes)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(drawn) > 1:
            axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1, handlelength=1.4)

    return figure(key, label, draw)


def predicted_against_true(key: str, label: str, target: Sequence[float], prediction: Sequence[float]) -> str:
    """Every prediction over its true value, and the diagonal where they would be equal."""

    def draw(axes: Any) -> None:
        low, high = min(*target, *prediction), max(*target, *prediction)
        margin = 0.04 * (high - low) or 1.0
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        alpha = 0.75 if len(target) < 200 else 0.35
        axes.plot(target, prediction, "o", color=TRAINING, markersize=3.2, markeredgewidth=0, alpha=alpha)
        axes.set(xlim=ends, ylim=ends, xlabel="true", ylabel="predicted")

    return figure(key, label, draw, size=(4.8, 3.6))


def residual_histogram(key: str, label: str, residuals: Sequence[float]) -> str:
    """How often the prediction was too low (left of zero) or too high, and by how much."""

    def draw(axes: Any) -> None:
        bins = max(5, min(40, round(2 * math.sqrt(len(residuals)))))
        axes.hist(residuals, bins=bins, color=TRAINING, alpha=0.75, edgecolor="none", rwidth=0.92)
        axes.axvline(0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        axes.set(xlabel="predicted − true", ylabel="samples")
        axes.grid(visible=False, axis="x")

    return figure(key, label, draw, size=(4.8, 3.6))


def forecast(
    key: str,
    label: str,
    before: Sequence[float],
    after: Sequence[float],
    prediction: Sequence[float],
    band: tuple[Sequence[float], Sequence[float]] | None = None,
) -> str:
    """What was known, what came, and what was forecast, by steps from the last known value; `band`: two quantiles."""

    def draw(axes: Any) -> None:
        steps = range(1, len(after) + 1)
        axes.axvline(0, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
        axes.plot(range(1 - len(before), 1), before, color=MUTED, linewidth=1.2)
        marker = {"marker": "o", "markersize": 4} if len(after) < 3 else {}
        axes.plot([0, *steps], [before[-1], *after], color=VALIDATION, label="truth", **marker)
        axes.plot([0, *steps], [before[-1], *prediction], color=TRAINING, label="forecast", **marker)
        if band is not None:
            axes.fill_between(steps, *band, color=TRAINING, alpha=0.18, linewidth=0)
        axes.set_xlabel("steps ahead")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1, handlelength=1.4)

    return figure(key, label, draw)


def errors_by_step(key: str, label: str, errors: Mapping[str, Sequence[float]]) -> str:
    """The error of each forecast by how far ahead it is; the first is the model's."""

    def draw(axes: Any) -> None:
        looks = ((TRAINING, "-"), (MUTED, "-"), (VALIDATION, "-"))
        for (name, values), (colour, line) in zip(errors.items(), looks, strict=False):
            axes.plot(range(1, len(values) + 1), values, color=colour, linestyle=line, label=name)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("steps ahead")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1, handlelength=1.4)

    return figure(key, label, draw)


def gradient_flow(key: str, label: str, gradients: Sequence[float]) -> str:
    """The typical gradient of every layer, from input to output."""

    def draw(axes: Any) -> None:
        axes.plot(range(1, len(gradients) + 1), gradients, color=TRAINING, marker="o", markersize=4)
        axes.set_yscale("log")
        low, high = (math.log10(f(gradients)) for f in (min, max))
        axes.set_ylim(
            10.0 ** math.floor(low - 0.01), 10.0 ** math.ceil(high + 0.01)
        )  # whole decades, which are labelled
        axes.set(xlabel="layer", ylabel="gradient")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.minorticks_off()

    return figure(key, label, draw)


def update_sizes(key: str, label: str, updates: Sequence[tuple[float, float]]) -> str:
    """The size of a step relative to that of the weights, by step; the usual range is shaded."""

    def draw(axes: Any) -> None:
        axes.axhspan(1e-4, 1e-2, color=VALIDATION, alpha=0.12, linewidth=0)
        axes.plot([step for step, _ in updates], [size for _, size in updates], color=TRAINING)
        axes.set_yscale("log")
        axes.set(xlabel="step", ylabel="change / weight")
        axes.minorticks_off()

    return figure(key, label, draw)


def _logarithmic(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def figure(key: str, label: str, draw: Any, size: tuple[float, float] = (4.8, 2.9)) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=size)
        axes = figure.add_axes((0.135, 0.155, 0.845, 0.745))
        axes.tick_params(length=0, pad=5)
        draw(axes)
        file = io.StringIO()
        # Neither the date nor the version: the same run gives the same report.
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _adapted(file.getvalue(), key, label)


def _adapted(svg: str, key: str, label: str) -> str:
    """The SVG for its place in a page: no fixed size or colour, and identifiers of its own."""
    svg = svg[svg.index("<svg") :]
    head, body = svg[: svg.index(">") + 1], svg[svg.index(">") + 1 :]
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{key}-", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, f"var({variable})")
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {namespaces} class="figure" role="img" aria-label="{escaped(label)}" {view[0]}>{body}'
