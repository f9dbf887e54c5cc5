"""Pictures moved by whole pixels: a random crop after padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from osler.data.augment.augmentation import Geometric, Move, in_pieces
from osler.data.augment.options import one_of, whole
from osler.errors import InputError

Padding = Literal["zeros", "nearest", "reflect"]
PADDINGS = ("zeros", "nearest", "reflect")


@dataclass(frozen=True)
class Shift(Geometric):
    """Moves each picture by a random whole number of pixels, up to `pixels` each way (a random crop after padding).

    Shapes: (N, C, H, W) of any type and any number of channels -> the same; masks move too.
    Options: `pixels`, default an eighth of the shorter side (3 for 28, 4 for 32). `padding`, what comes in at the
    edges: "zeros" (default), "nearest" (the edge goes on) or "reflect" (the mirrored picture, edge not repeated).
    Use: nearly all pictures; small shifts leave digits and letters what they are.
    Raises: InputError for negative pixels, an unknown padding, and reflection of a picture no larger than `pixels`.
    Source: Krizhevsky et al. (2012); with padding, Lee et al., Deeply-supervised nets (2015).

        >>> Shift(pixels=0)(torch.tensor([[[[1, 2, 3]]]]), torch.Generator())
        tensor([[[[1, 2, 3]]]])
    """

    pixels: int | None = None
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        if self.pixels is not None:
            whole("shift: pixels", self.pixels, 0)
        one_of("shift: padding", self.padding, PADDINGS)

    def draw(self, images: Tensor, generator: Generator) -> Move:
        n, _, height, width = images.shape
        p = min(height, width) // 8 if self.pixels is None else self.pixels
        if p == 0:
            return lambda pixels, void: pixels
        if self.padding == "reflect" and p >= min(height, width):
            raise InputError(f"shift: {p} pixels can't be reflected from {height}×{width}; the rule is pixels < sides")
        corners = torch.randint(2 * p + 1, (n, 2), generator=generator, device=generator.device).to(images.device)

        def move(pixels: Tensor, void: int | None) -> Tensor:
            return in_pieces(lambda some, at: _cut(self._padded(some, p, void or 0), at, p), pixels, corners)

        return move

    def _padded(self, pixels: Tensor, p: int, outside: int) -> Tensor:
        if self.padding == "zeros":
            return F.pad(pixels, (p, p, p, p), value=outside)
        # By index, because torch's own takes no uint8.
        rows, columns = (self._index(side, p, pixels.device) for side in pixels.shape[2:])
        return pixels[:, :, rows][..., columns]

    def _index(self, size: int, p: int, device: torch.device) -> Tensor:
        """The index that each place of a padded side shows: of 3, padded by 1 → 1 0 1 2 1 reflected, 0 0 1 2 2."""
        index = torch.arange(-p, size + p, device=device)
        return index.clamp(0, size - 1) if self.padding == "nearest" else size - 1 - (size - 1 - index.abs()).abs()


def _cut(padded: Tensor, corners: Tensor, p: int) -> Tensor:
    """Of each padded picture the window at its own corner, by one gather of whole rows."""
    n, channels, tall, wide = padded.shape
    height, width = tall - 2 * p, wide - 2 * p
    rows = torch.arange(n * channels, device=padded.device).view(n, channels, 1) * tall
    rows = rows + corners[:, :1, None] + torch.arange(height, device=padded.device)  # (N, C, H)
    first = rows * wide + corners[:, 1, None, None]  # of each row's numbers, counted through all pictures
    runs = padded.reshape(-1).unfold(0, width, 1)  # a view: from every number on, so many
    return runs.index_select(0, first.flatten()).view(n, channels, height, width)
