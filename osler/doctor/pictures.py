"""Small pictures of a training, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, ROW = 420, 16


def _level(value: float, low: float, high: float) -> float:
    """Place of a value on a logarithmic scale, 0 to 1."""
    return 0.0 if high <= low else (math.log10(value) - low) / (high - low)


def flow(layers: Sequence[tuple[str, float]], most: int = 24) -> str:
    """Bars, one a layer from input to output: the typical gradient of its weights, on a logarithmic scale."""
    shown = [(n, g) for n, g in layers if g > 0 and math.isfinite(g)]
    if len(shown) < 2:
        return ""
    step = max(1, math.ceil(len(shown) / most))
    shown = shown[::step]
    low = math.floor(min(math.log10(g) for _, g in shown)) - 0.5
    high = math.ceil(max(math.log10(g) for _, g in shown))
    bars = []
    for i, (name, value) in enumerate(shown):
        y, width = 20 + i * ROW, max(1.0, _level(value, low, high) * (WIDTH - 230))
        bars.append(
            f'<text x="150" y="{y + 11}" text-anchor="end">{escape(name[-26:])}</text>'
            f'<rect x="156" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" fill="#4c78a8"/>'
            f'<text x="{160 + width:.1f}" y="{y + 11}">{value:.1e}</text>'
        )
    return _frame("Gradient by layer, from input to output", 24 + len(shown) * ROW, "".join(bars))


def ratios(course: Sequence[tuple[int, float]]) -> str:
    """A line: the size of an update relative to the weights over the steps; the usual range is shaded."""
    shown = [(s, r) for s, r in course if r > 0 and math.isfinite(r)]
    if len(shown) < 3:
        return ""
    low, high, last = -7.0, 1.0, max(1, shown[-1][0])
    tall = 110

    def y(value: float) -> float:
        return 22 + (1 - min(1.0, max(0.0, _level(value, low, high)))) * tall

    def x(step: int) -> float:
        return 40 + step / last * (WIDTH - 60)

    line = " ".join(f"{x(s):.1f},{y(r):.1f}" for s, r in shown)
    tall_band, wide = y(1e-4) - y(1e-2), WIDTH - 60
    band = f'<rect x="40" y="{y(1e-2):.1f}" width="{wide}" height="{tall_band:.1f}" fill="#54a24b" opacity="0.15"/>'
    ticks = "".join(f'<text x="36" y="{y(10.0**k) + 4:.1f}" text-anchor="end">1e{k}</text>' for k in (-6, -4, -2, 0))
    under = tall + 36
    ends = f'<text x="40" y="{under}">step 0</text><text x="{WIDTH - 20}" y="{under}" text-anchor="end">{last}</text>'
    curve = f'<polyline points="{line}" fill="none" stroke="#4c78a8" stroke-width="1.5"/>'
    return _frame("Change of the weights in a step, relative to their size", tall + 42, band + ticks + ends + curve)


def _frame(title: str, height: float, inside: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" role="img" '
        f'font-family="sans-serif" font-size="10" style="display:block;margin:8px 0"><title>{escape(title)}</title>'
        f'<text x="0" y="12" font-weight="bold">{escape(title)}</text>{inside}</svg>'
    )
