"""Pictures of tensor shapes: a bar for a vector, a sheet for a sequence, a box for a volume, all to one scale."""

import math
from collections.abc import Iterable

Shape = tuple[int, ...]

FACE = 70  # the longest side that is drawn, in pixels


class Scale:
    """Turns shapes into sizes on paper, relative to the largest of the shapes that are drawn together."""

    def __init__(self, shapes: Iterable[Shape]):
        shapes = list(shapes)
        self.longest = max([1, *(n for s in shapes if len(s) >= 2 for n in self._face(s))])
        self.deepest = max([1, *(s[0] for s in shapes if len(s) >= 3)])
        self.tallest = max([1, *(s[0] for s in shapes if len(s) == 1)])

    @staticmethod
    def _face(shape: Shape) -> tuple[int, int]:
        """(height, width): of an image, or (features, length) of a sequence that is (length, features)."""
        return (shape[-2], shape[-1]) if len(shape) > 2 else (shape[1], shape[0])

    def _side(self, n: int) -> float:
        return 9 + (FACE - 9) * math.pow(n / self.longest, 0.7)

    def _depth(self, channels: int) -> float:
        return 4 + 30 * math.log1p(channels) / math.log1p(self.deepest)

    def width(self, shape: Shape) -> float:
        if len(shape) < 2:
            return 18
        side = self._side(self._face(shape)[1])
        return side if len(shape) == 2 else side + 0.8 * self._depth(shape[0])

    def picture(self, shape: Shape, x: float, y: float) -> str:
        """SVG of the shape with its middle at (x, y)."""
        if len(shape) >= 3:
            return self._box(shape, x, y)
        if len(shape) == 2:
            return self._sheet(shape, x, y)
        return self._bar(shape, x, y)

    def _bar(self, shape: Shape, x: float, y: float) -> str:
        if not shape:  # a single number, or nothing known
            return f'<circle class="face" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
        height = 18 + (FACE + 14) * math.log(shape[0] + 1) / math.log(self.tallest + 1)
        box = f'<rect class="face" x="{x - 9:.1f}" y="{y - height / 2:.1f}" width="18" height="{height:.1f}" rx="9"/>'
        # Units one by one where they can be told apart; otherwise the first, the last, and dots between.
        if shape[0] * 8 <= height:
            ys = [y - height / 2 + height * (i + 0.5) / shape[0] for i in range(shape[0])]
            radii = [3.0] * shape[0]
        else:
            ends = max(height / 2 - 10, 11)
            ys, radii = [y - ends, y - 6, y, y + 6, y + ends], [3.0, 1.2, 1.2, 1.2, 3.0]
        dots = "".join(
            f'<circle class="unit" cx="{x:.1f}" cy="{v:.1f}" r="{r}"/>' for v, r in zip(ys, radii, strict=True)
        )
        return box + dots

    def _sheet(self, shape: Shape, x: float, y: float) -> str:
        height, width = (self._side(n) for n in self._face(shape))
        left, top = x - width / 2, y - height / 2
        box = f'<rect class="face" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'
        steps = min(shape[0], int(width // 6), 12)  # a column per time step, as far as they can be told apart
        lines = "".join(f"M{left + width * i / steps:.1f} {top:.1f}v{height:.1f}" for i in range(1, steps))
        return box + (f'<path class="grid" d="{lines}"/>' if lines else "")

    def _box(self, shape: Shape, x: float, y: float) -> str:
        height, width = (self._side(n) for n in self._face(shape))
        depth = self._depth(shape[0])
        across, up = 0.8 * depth, 0.5 * depth
        left, top = x - (width + across) / 2, y - (height - up) / 2
        return (
            f'<path class="top" d="M{left:.1f} {top:.1f}l{across:.1f} {-up:.1f}h{width:.1f}l{-across:.1f} {up:.1f}z"/>'
            f'<path class="side" d="M{left + width:.1f} {top:.1f}l{across:.1f} {-up:.1f}v{height:.1f}'
            f'l{-across:.1f} {up:.1f}z"/>'
            f'<rect class="face" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
        )
