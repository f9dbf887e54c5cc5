"""Small figures in one style, written as SVG: the same bytes every time."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SICK, HEALTHY, THIRD, GREY = "#c62828", "#1565c0", "#2e7d32", "#757575"
COLOURS = (SICK, HEALTHY, THIRD, "#ef6c00", "#6a1b9a", GREY)
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "osler",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "path.simplify": True,
}

Drawn = tuple[Figure, str]  # a figure and its caption
PICTURES: dict[str, Callable[[], Drawn]] = {}


def picture(ailment: str) -> Callable[[Callable[[], Drawn]], Callable[[], Drawn]]:
    """Registers the function that draws the picture of an ailment."""

    def add(draw: Callable[[], Drawn]) -> Callable[[], Drawn]:
        PICTURES[ailment] = draw
        return draw

    return add


def render(ailment: str, form: str = "svg") -> tuple[bytes, str]:
    """The picture of an ailment as a file's bytes, and its caption."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with matplotlib.rc_context(STYLE):
        figure, caption = PICTURES[ailment]()
        for axis in figure.axes:
            axis.minorticks_off()
        file = io.BytesIO()
        figure.savefig(file, format=form, dpi=110, metadata={"Date": None} if form == "svg" else None)
    data = file.getvalue()
    if form == "svg":  # without blanks at the ends of lines
        data = b"\n".join(line.rstrip() for line in data.splitlines()) + b"\n"
    return data, caption


def panels(count: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of one row of panels."""
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False, **options)[0])


def thin(values: Sequence[float], most: int = 80) -> tuple[list[float], list[float]]:
    """Means of neighbours, and where they lie, so that no more than `most` points are left."""
    width = -(-len(values) // most)
    cut = [values[i : i + width] for i in range(0, len(values), width)]
    return [i * width + (len(part) - 1) / 2 for i, part in enumerate(cut)], [sum(part) / len(part) for part in cut]


def curves(
    axis: Axes,
    courses: Mapping[str, Sequence[float]],
    xlabel: str = "epoch",
    ylabel: str = "training loss",
    x: Sequence[float] | None = None,
    log: bool = False,
    most: int = 80,
    **style: Any,
) -> None:
    """Lines, the sick one first."""
    for (name, course), colour in zip(courses.items(), COLOURS, strict=False):
        at, height = (x, course) if x is not None else thin(course, most)
        if x is None and xlabel == "epoch":
            at = [a + 1 for a in at]
        axis.plot(at, height, color=colour, label=name, **style)
    if log:
        axis.set_yscale("log")
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if xlabel in ("epoch", "step"):
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if len(courses) > 1:
        axis.legend()


def bars(
    axis: Axes, names: Sequence[str], groups: Mapping[str, Sequence[float]], ylabel: str, log: bool = False
) -> None:
    """Groups of bars side by side, the sick one first."""
    width = 0.8 / len(groups)
    for i, ((name, heights), colour) in enumerate(zip(groups.items(), COLOURS, strict=False)):
        at = [k + (i - (len(groups) - 1) / 2) * width for k in range(len(names))]
        axis.bar(at, heights, width * 0.92, color=colour, label=name)
    axis.set_xticks(range(len(names)), names)
    axis.tick_params(axis="x", length=0)
    if log:
        axis.set_yscale("log")
    axis.set_ylabel(ylabel)
    if len(groups) > 1:
        if not log:
            axis.set_ylim(top=1.3 * axis.get_ylim()[1])
        axis.legend(loc="upper left", ncols=len(groups))


def histogram(axis: Axes, groups: Mapping[str, Any], bins: Any, xlabel: str, ylabel: str = "samples") -> None:
    """Outlines of histograms over one another, the sick one first."""
    for (name, values), colour in zip(groups.items(), COLOURS, strict=False):
        axis.hist(values, bins, histtype="stepfilled", color=colour, alpha=0.25)
        axis.hist(values, bins, histtype="step", color=colour, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if len(groups) > 1:
        axis.legend()


def points(axis: Axes, x: Any, y: Any, colour: str, label: str | None = None, **style: Any) -> None:
    axis.plot(x, y, linestyle="", marker="o", markersize=style.pop("size", 2.5), color=colour, label=label, **style)


def heat(axis: Axes, matrix: Any, title: str, xlabel: str = "", ylabel: str = "", **options: Any) -> None:
    """A matrix as coloured cells, the first row on top."""
    axis.pcolormesh(matrix, cmap=options.pop("cmap", "Blues"), edgecolors="white", linewidth=0.4, **options)
    axis.invert_yaxis()
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel, xticks=[], yticks=[])


def limit(axis: Axes, height: float, text: str, x: float = 0.98, above: bool = True) -> None:
    """A dashed line with a word on it."""
    axis.axhline(height, color=GREY, linestyle="--", linewidth=0.8)
    axis.annotate(
        text,
        (x, height),
        xycoords=axis.get_yaxis_transform(),
        ha="right",
        va="bottom" if above else "top",
        color=GREY,
        xytext=(0, 1 if above else -2),
        textcoords="offset points",
    )
