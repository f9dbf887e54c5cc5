"""Panels as characters: curves and ways in braille dots (2 × 4 to a letter), histograms in blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from osler.show.panels import Curve, Descent, Grid, Histogram, Panel

LABEL = 7  # letters left of a curve
BRAILLE = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
BLOCKS = " ▁▂▃▄▅▆▇█"


class Canvas:
    """A rectangle of letters: dots on top, letters where there are no dots."""

    def __init__(self, columns: int, rows: int, window: tuple[float, float, float, float]):
        self.columns, self.rows = columns, rows
        self.left, self.right, self.bottom, self.top = window
        self.letters = [[" "] * columns for _ in range(rows)]
        self.dots = [[0] * columns for _ in range(rows)]

    def across(self, x: float) -> float:
        """The place of x in dots."""
        return (x - self.left) / (self.right - self.left) * (2 * self.columns - 1)

    def down(self, y: float) -> float:
        """The place of y in dots."""
        return (self.top - y) / (self.top - self.bottom) * (4 * self.rows - 1)

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of a point; they may lie outside."""
        return round(self.down(y)) // 4, round(self.across(x)) // 2

    def inside(self, row: int, column: int) -> bool:
        return 0 <= row < self.rows and 0 <= column < self.columns

    def letter(self, row: int, column: int, letter: str, over: bool = False) -> None:
        """Puts a letter; `over` takes away the dots that are there."""
        if self.inside(row, column):
            self.letters[row][column] = letter
            if over:
                self.dots[row][column] = 0

    def line(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Joins the points; a gap where one of them is not finite."""
        for (x0, y0), (x1, y1) in pairwise(zip(xs, ys, strict=True)):
            if not (math.isfinite(y0) and math.isfinite(y1)):
                continue
            start, end = (self.across(x0), self.down(y0)), (self.across(x1), self.down(y1))
            count = max(1, min(1000, round(max(abs(end[0] - start[0]), abs(end[1] - start[1])))))
            for i in range(count + 1):
                self._dot(*(round(a + (b - a) * i / count) for a, b in zip(start, end, strict=True)))

    def _dot(self, x: int, y: int) -> None:
        if self.inside(y // 4, x // 2):
            self.dots[y // 4][x // 2] |= DOTS[y % 4][x % 2]

    def lines(self) -> list[str]:
        return [
            "".join(chr(BRAILLE + dots) if dots else letter for dots, letter in zip(*row, strict=True)).rstrip()
            for row in zip(self.dots, self.letters, strict=True)
        ]


def draw(panel: Panel, columns: int) -> list[str]:
    """The panel in so many columns, its title above it."""
    if isinstance(panel, Curve):
        return _curve(panel, columns)
    if isinstance(panel, Grid):
        return _grid(panel)
    return _histogram(panel, columns) if isinstance(panel, Histogram) else _descent(panel, columns)


def beside(blocks: Sequence[list[str]], columns: int, gap: int = 4) -> list[str]:
    """Blocks of lines side by side, each so many columns wide."""
    height = max(map(len, blocks))
    padded = [[*block, *[""] * (height - len(block))] for block in blocks]
    return [(" " * gap).join(line.ljust(columns) for line in row).rstrip() for row in zip(*padded, strict=True)]


def _curve(curve: Curve, columns: int) -> list[str]:
    low, high = curve.reach()
    margin = 0.04 * (high - low)
    x0, x1 = curve.x[0], curve.x[-1]
    canvas = Canvas((columns - LABEL - 2) | 1, 11, (x0, x1, low - margin, high + margin))
    origin, middle = canvas.cell(0, 0)
    for column in range(canvas.columns):
        canvas.letter(origin, column, "┈")
    if x0 < 0 < x1:
        for row in range(canvas.rows):
            canvas.letter(row, middle, "┼" if row == origin else "┊")
    canvas.line(curve.x, curve.y)
    labels = {canvas.cell(x0, y)[0]: number(y) for y in (0.0, low, high)}
    body = [f"{labels.get(row, ''):>{LABEL}} {line}" for row, line in enumerate(canvas.lines())]
    ends = [(0, number(x0)), (canvas.columns - len(number(x1)), number(x1))]
    if x0 < 0 < x1:
        ends.append((middle, "0"))
    return [" " * (LABEL + 1) + curve.title, *body, *_below(ends, curve.across, canvas.columns)]


def _histogram(histogram: Histogram, columns: int) -> list[str]:
    """A column for each interval; dots where the theory has the top of the columns."""
    rows, bins = 10, len(histogram.heights)
    top = max(*histogram.heights, *histogram.theory, 1e-300) * 1.02
    grid = [[" "] * bins for _ in range(rows)]
    for column, height in enumerate(histogram.heights):
        eighths = round(height / top * rows * 8)
        for row in range(rows):
            grid[rows - 1 - row][column] = BLOCKS[max(0, min(8, eighths - 8 * row))]
    for column, height in enumerate(histogram.theory):
        row = round(height / top * rows - 0.5)
        if height / top * rows > 0.25:
            grid[rows - 1 - row][column] = "●"
    low, high = histogram.edges[0], histogram.edges[-1]
    ends = [(0, number(low)), (bins - len(number(high)), number(high)), (bins // 2, number((low + high) / 2))]
    indent = " " * (LABEL + 1)
    legend = " (● by the formula)" if histogram.theory else ""
    body = [indent + "".join(line).rstrip() for line in grid]
    return [indent + histogram.title + legend, *body, indent + "─" * bins, *_below(ends, histogram.across, bins)]


def _grid(grid: Grid) -> list[str]:
    """Rows of numbers, a frame around the picture itself."""
    cells = [[number(value) for value in row] for row in grid.rows]
    wide = max(len(cell) for row in cells for cell in row)
    first, last = grid.rim[0], len(cells) - grid.rim[1]
    # Left of the frame, in it, and right of it.
    parts = [[" ".join(f"{c:>{wide}}" for c in p) for p in (row[:first], row[first:last], row[last:])] for row in cells]
    left, middle = len(parts[0][0]), len(parts[0][1])
    edge = " " * (left + 1)
    lines = [
        f"{a:>{left}} {'│' if first <= i < last else ' '}{b}{'│' if first <= i < last else ' '} {c}".rstrip()
        for i, (a, b, c) in enumerate(parts)
    ]
    lines.insert(last, f"{edge}└{'─' * middle}┘")
    lines.insert(first, f"{edge}┌{'─' * middle}┐")
    return ["  " + grid.title, *("  " + line for line in lines)]


def _descent(descent: Descent, columns: int) -> list[str]:
    """The way over contour lines."""
    surface = descent.surface
    left, right, bottom, top = surface.window
    canvas = Canvas(columns - 3, 14, surface.window)  # odd: the middle is in the middle of a letter

    def band(row: int, column: int) -> int:
        x = left + (right - left) * (column + 0.5) / canvas.columns
        y = top - (top - bottom) * (row + 0.5) / canvas.rows
        return sum(surface.loss(x, y) > level for level in surface.levels)

    for row in range(canvas.rows):
        for column in range(canvas.columns):
            here = band(row, column)
            if here < max(band(row, column + 1), band(row, column - 1), band(row + 1, column), band(row - 1, column)):
                canvas.letter(row, column, "·")
    canvas.line(descent.x, descent.y)
    for x, y in surface.minima:
        canvas.letter(*canvas.cell(x, y), "×", over=True)
    canvas.letter(*canvas.cell(*surface.start), "○", over=True)
    canvas.letter(*canvas.cell(descent.x[-1], descent.y[-1]), "●", over=True)
    return ["  " + descent.title, *("  " + line for line in canvas.lines())]


def _below(ends: Sequence[tuple[int, str]], across: str, columns: int) -> list[str]:
    """The line of numbers under an axis, and what they are."""
    line = [" "] * columns
    for at, text in ends:
        start = max(0, min(columns - len(text), at))
        line[start : start + len(text)] = text
    indent = " " * (LABEL + 1)
    return [indent + "".join(line).rstrip(), indent + across.center(columns).rstrip()]


def number(value: float) -> str:
    """At most three significant digits, with a true minus."""
    return f"{value + 0.0:.3g}".replace("-", "−")  # + 0.0: no −0
