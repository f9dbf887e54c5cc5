"""Where in a sequence something stands: attention itself cannot tell."""

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.nn.options import whole

KINDS = ("sinusoidal", "learned", "rotary")


def angles(length: int, width: int, device: torch.device | None = None, start: int = 0) -> Tensor:
    """p / 10000^(2i/width) for each place p from `start` on and each pair i: (length, width / 2)."""
    if width % 2:
        raise InputError(f"positions turn pairs of numbers, so their width must be even, but got {width!r}")
    rates = 10_000 ** (-torch.arange(0, width, 2, device=device, dtype=torch.float64) / width)
    places = torch.arange(start, start + length, device=device, dtype=torch.float64)
    return places.unsqueeze(1) * rates


def sinusoidal(length: int, width: int, device: torch.device | None = None, start: int = 0) -> Tensor:
    """A fixed vector for each place, of waves from short to long: (length, width), float32.

    Formula: PE(p, 2i) = sin(p / 10000^(2i/width)), PE(p, 2i + 1) = cos(p / 10000^(2i/width)).
    Source: Vaswani et al., "Attention is all you need", 2017, section 3.5.

        >>> sinusoidal(2, 2).round(decimals=4)
        tensor([[0.0000, 1.0000],
                [0.8415, 0.5403]])
    """
    turned = angles(length, width, device, start)
    return torch.stack([turned.sin(), turned.cos()], dim=-1).flatten(1).float()


def rotate(x: Tensor, start: int = 0) -> Tensor:
    """Turns each pair of numbers by an angle that grows with the place: (…, L, width) → the same shape.

    The product of a query and a key, so turned, depends on their distance alone, not on where they stand; `start`
    is the place of the first.
    The pairs are (i, i + width/2), which needs no shuffling; in the paper they are neighbours.
    Source: Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """
    turned = angles(x.shape[-2], x.shape[-1], x.device, start)
    cos, sin = turned.cos().to(x.dtype), turned.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


class Positions(nn.Module):
    """Adds to each vector of a sequence what says its place: (N, L, width) → the same shape.

    `kind`: "sinusoidal" (fixed waves), "learned" (a vector for each of `longest` places), or "rotary", which adds
    nothing, for it is done within attention. `start`: the place of the first vector. Raises InputError for places
    beyond `longest` where they are learned or `bounded`.

        >>> Positions("learned", 8, longest=5)(torch.zeros(2, 3, 8)).shape
        torch.Size([2, 3, 8])
    """

    def __init__(self, kind: str, width: int, longest: int, *, bounded: bool = False):
        super().__init__()
        if kind not in KINDS:
            raise unknown_name("kind of positions", kind, KINDS)
        self.kind, self.longest = kind, whole("longest", longest)
        self.bounded = bounded or kind == "learned"
        if kind == "sinusoidal":
            angles(1, width)  # refuses what it cannot turn
        # Small beside the vectors that they are added to, as in BERT and GPT.
        self.table = nn.Parameter(0.02 * torch.randn(longest, width)) if kind == "learned" else None

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        end = start + x.shape[1]
        if self.bounded and end > self.longest:
            raise InputError(
                f"this network has {self.longest} positions, but the sequence has {end}: shorten it, or use "
                "positions='rotary', which have no end"
            )
        if self.table is not None:
            return x + self.table[start:end]
        if self.kind == "sinusoidal":
            return x + sinusoidal(x.shape[1], x.shape[2], x.device, start).to(x.dtype)
        return x

    def extra_repr(self) -> str:
        return f"{self.kind}, longest={self.longest}"
