"""Plots as one self-contained SVG picture that follows the reader's preference, light or dark."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import Any

from osler.report.figures import INK, MUTED, TRAINING, VALIDATION, figure
from osler.report.style import DARK, LIGHT
from osler.report.words import escaped
from osler.show.panels import Curve, Descent, Grid, Histogram, Panel, Plot
from osler.show.terminal import number

WIDTH, HEIGHT = 430, 300  # of a panel
HEAD, FOOT, EDGE, GAP = 74, 40, 28, 26
LINE, LETTER = 17, 7  # of a note
INCH = 72
FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif'
STYLE = (
    f".osler-show{{{LIGHT}}}"
    # A page that holds the picture decides by data-theme; alone, it follows the reader's preference.
    f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]) .osler-show{{{DARK}}}}}"
    f":root[data-theme=dark] .osler-show{{{DARK}}}"
    f".osler-show text{{font-family:{FONT}!important}}"
    ".osler-show>.card{fill:var(--card)}.osler-show>text{fill:var(--muted);font-size:12.5px}"
    ".osler-show>.title{fill:var(--ink);font-size:21px;font-weight:650;letter-spacing:-.01em}"
    ".osler-show>.panel{fill:var(--ink);font-size:13px;font-weight:600}"
)


def svg(title: str, kind: str, plot: Plot) -> str:
    """The plot's panels side by side, under their titles."""
    count = len(plot.panels)
    widths = [WIDTH if count > 1 else 2 * WIDTH] * count
    width = 2 * EDGE + sum(widths) + GAP * (count - 1)
    notes = [line for part in plot.note.split("\n") for line in textwrap.wrap(part, width // LETTER)]
    height = HEAD + HEIGHT + FOOT + LINE * (len(notes) - 1)
    body = [f'<text class="title" x="{EDGE}" y="38">{escaped(title)}</text>']
    body.append(f'<text x="{width - EDGE}" y="38" text-anchor="end">{escaped(kind)}</text>')
    left = EDGE
    for i, (panel, wide) in enumerate(zip(plot.panels, widths, strict=True)):
        heading = f"{panel.title}  {panel.surface.formula}" if isinstance(panel, Descent) else panel.title
        body.append(f'<text class="panel" x="{left}" y="{HEAD - 8}">{escaped(heading)}</text>')
        picture = figure(f"panel{i}", panel.title, _drawer(panel, wide), (wide / INCH, HEIGHT / INCH))
        body.append(f'<svg x="{left}" y="{HEAD}" width="{wide}" height="{HEIGHT}">{picture}</svg>')
        left += wide + GAP
    for i, note in enumerate(notes):
        body.append(f'<text x="{EDGE}" y="{HEAD + HEIGHT + 20 + LINE * i}">{escaped(note)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escaped(f"{kind} {title}")}"><style>{STYLE}</style><g class="osler-show">'
        f'<rect class="card" width="{width}" height="{height}" rx="14"/>{"".join(body)}</g></svg>\n'
    )


def _drawer(panel: Panel, width: int) -> Any:
    """What draws the panel on matplotlib's axes."""

    def draw(axes: Any) -> None:
        left, right, below = 45 / width, 12 / width, 40 / HEIGHT
        axes.set_position((left, below, 1 - left - right, 0.97 - below))
        if isinstance(panel, Curve):
            _curve(axes, panel)
        elif isinstance(panel, Histogram):
            _histogram(axes, panel)
        elif isinstance(panel, Grid):
            axes.set_position((0, 0, 1, 1))
            _grid(axes, panel)
        else:
            _descent(axes, panel)

    return draw


def _curve(axes: Any, curve: Curve) -> None:
    if curve.x[0] < 0 < curve.x[-1]:
        axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(curve.x, curve.y, color=TRAINING, linewidth=2.2, solid_joinstyle="round")
    low, high = curve.reach()
    margin = 0.05 * (high - low)
    axes.set(xlim=(curve.x[0], curve.x[-1]), ylim=(low - margin, high + margin), xlabel=curve.across)


def _histogram(axes: Any, histogram: Histogram) -> None:
    edges = histogram.edges
    axes.stairs(histogram.heights, edges, fill=True, color=TRAINING, alpha=0.55, linewidth=0, label="weights")
    if histogram.theory:
        middles = [(a + b) / 2 for a, b in pairwise(edges)]
        axes.plot(middles, histogram.theory, color=VALIDATION, linewidth=2, label="by the formula")
        axes.legend(loc="upper right")
    axes.set_xlabel(histogram.across)
    axes.margins(x=0)
    axes.grid(visible=False, axis="x")


def _grid(axes: Any, grid: Grid) -> None:
    from matplotlib.patches import Rectangle

    first, count = grid.rim[0], len(grid.rows)
    largest = max(abs(value) for row in grid.rows for value in row) or 1
    for i, row in enumerate(grid.rows):
        for j, value in enumerate(row):
            axes.add_patch(Rectangle((j, i), 1, 1, color=TRAINING, alpha=0.5 * abs(value) / largest, linewidth=0))
            axes.text(j + 0.5, i + 0.5, number(value), color=INK, ha="center", va="center", fontsize=13)
    side = count - sum(grid.rim)
    axes.add_patch(Rectangle((first, first), side, side, fill=False, edgecolor=INK, linewidth=1.8))
    axes.set(xlim=(-0.1, count + 0.1), ylim=(count + 0.1, -0.1), aspect="equal", anchor="W")
    axes.axis("off")


def _descent(axes: Any, descent: Descent) -> None:
    import numpy as np

    surface = descent.surface
    left, right, bottom, top = surface.window
    x, y = np.meshgrid(np.linspace(left, right, 161), np.linspace(bottom, top, 121))
    axes.grid(visible=False)
    axes.contour(x, y, surface.loss(x, y), levels=surface.levels, colors=[MUTED], linewidths=0.8, alpha=0.55)
    axes.plot(descent.x, descent.y, color=TRAINING, linewidth=1.4)
    axes.plot(descent.x, descent.y, "o", color=TRAINING, markersize=2.6, markeredgewidth=0)
    for minimum in surface.minima:
        axes.plot(*minimum, "x", color=VALIDATION, markersize=8, markeredgewidth=2, zorder=4)
    axes.plot(*surface.start, "o", color=INK, markersize=7, markerfacecolor="none", markeredgewidth=1.6, zorder=5)
    axes.plot(descent.x[-1], descent.y[-1], "o", color=INK, markersize=5, zorder=5)
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="x")
    axes.set_ylabel("y", rotation=0, labelpad=3)
