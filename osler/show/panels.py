"""What can be drawn, as numbers: the terminal and the SVG draw the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Curve:
    """y over x; `nan` where there is nothing."""

    title: str
    across: str  # what x is
    x: Sequence[float]
    y: Sequence[float]

    def reach(self) -> tuple[float, float]:
        """The lowest and the highest value, or 0 where it is not far away."""
        finite = [y for y in self.y if math.isfinite(y)]
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        if 0 < high / 2 < low < high:
            return low, high
        low, high = min(low, 0.0), max(high, 0.0)
        return low, high if high > low else low + 1


@dataclass(frozen=True)
class Histogram:
    """How densely numbers lie in each interval between two edges, and how densely they should."""

    title: str
    across: str
    edges: Sequence[float]
    heights: Sequence[float]
    theory: Sequence[float]  # in the middle of each interval; empty where all numbers are one


@dataclass(frozen=True)
class Surface:
    """A loss of two weights, to be walked down."""

    name: str
    formula: str
    loss: Callable[[Any, Any], Any]  # of numbers, arrays or tensors
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    window: tuple[float, float, float, float]  # left, right, bottom, top
    levels: tuple[float, ...]  # of the contour lines


@dataclass(frozen=True)
class Descent:
    """The way of an optimizer over a surface."""

    title: str
    surface: Surface
    x: Sequence[float]
    y: Sequence[float]
    losses: Sequence[float]  # at each point of the way


@dataclass(frozen=True)
class Grid:
    """Numbers at their places, and which of them are the picture itself, without what is put around it."""

    title: str
    rows: tuple[tuple[float, ...], ...]
    rim: tuple[int, int] = (0, 0)  # rows (and columns) around: before and after


Panel = Curve | Histogram | Descent | Grid


@dataclass(frozen=True)
class Plot:
    """One picture: panels side by side, what has to be known of them, and perhaps a small table of words."""

    panels: tuple[Panel, ...]
    note: str
    table: tuple[tuple[str, ...], ...] = ()
