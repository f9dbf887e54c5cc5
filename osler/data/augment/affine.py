"""Rotation, affine maps and random resized crops: pixels sampled between pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from osler.data.augment.augmentation import Geometric, Move, in_pieces, numbers, restored, uniform
from osler.data.augment.options import interval, number, one_of
from osler.data.augment.shift import PADDINGS, Padding

# What torch calls them.
OUTSIDE = {"zeros": "zeros", "nearest": "border", "reflect": "reflection"}


@dataclass(frozen=True)
class Rotation(Geometric):
    """Turns each picture about its centre by a random angle.

    Shapes: (N, C, H, W), uint8 or float, any number of channels -> the same, by bilinear interpolation; masks turn too.
    Options: `degrees`, the largest angle either way, default 15. `padding`, what comes in at the corners: "zeros"
    (default), "nearest" or "reflect" (the picture mirrored at its edge).
    Use: what has no fixed upright, or hangs askew; small angles (10 to 15) for digits and letters.
    Raises: InputError for degrees outside 0 … 180, or an unknown padding.
    Source: Simard, Steinkraus and Platt, Best practices for convolutional neural networks (2003).

        >>> Rotation(degrees=0)(torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.Generator())
        tensor([[[[1., 2., 3.]]]])
    """

    degrees: float = 15.0
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        number("rotation: degrees", self.degrees, 0, 180)
        one_of("rotation: padding", self.padding, PADDINGS)

    def draw(self, images: Tensor, generator: Generator) -> Move:
        angle = uniform((-self.degrees, self.degrees), (len(images),), generator, images.device)
        return sampling(inverse(turned(angle), torch.zeros(len(images), 2, device=images.device)), self.padding)


@dataclass(frozen=True)
class Affine(Geometric):
    """Turns, moves, scales and slants each picture at random, all in one sampling.

    Formula: a pixel at p from the centre goes to R(angle) · [[1, tan slant], [0, 1]] · scale · p + shift.
    Shapes: (N, C, H, W), uint8 or float, any number of channels -> the same, by bilinear interpolation; masks follow.
    Options: `degrees`, the largest angle either way, default 10; `translate`, the greatest shift as a share of each
    side, default 0.1; `scale`, lowest and highest factor, default (0.9, 1.1); `shear`, the largest slant in degrees,
    default 5. `padding` as in rotation: "zeros" (default), "nearest" or "reflect".
    Use: as rotation, where position and size don't matter either.
    Raises: InputError for degrees outside 0 … 180, translate outside 0 … 1, a scale not above 0, shear outside 0 … 80.
    Source: Simard, Steinkraus and Platt, Best practices for convolutional neural networks (2003).

        >>> Affine(scale=(1, 2))(torch.ones(2, 3, 8, 8), torch.Generator()).shape
        torch.Size([2, 3, 8, 8])
    """

    degrees: float = 10.0
    translate: float = 0.1
    scale: tuple[float, float] = (0.9, 1.1)
    shear: float = 5.0
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        number("affine: degrees", self.degrees, 0, 180)
        number("affine: translate", self.translate, 0, 1)
        interval("affine: scale", self.scale, 0.01, 100)
        number("affine: shear", self.shear, 0, 80)
        one_of("affine: padding", self.padding, PADDINGS)

    def draw(self, images: Tensor, generator: Generator) -> Move:
        n, device = len(images), images.device
        height, width = images.shape[2:]
        angle = uniform((-self.degrees, self.degrees), (n,), generator, device)
        slant = uniform((-self.shear, self.shear), (n,), generator, device)
        factor = uniform(self.scale, (n,), generator, device)
        most = torch.tensor([width, height], device=device) * self.translate
        shift = uniform((-1, 1), (n, 2), generator, device) * most
        return sampling(inverse(turned(angle) @ slanted(slant) * factor[:, None, None], shift), self.padding)


@dataclass(frozen=True)
class RandomResizedCrop(Geometric):
    """Cuts a random part out of each picture and enlarges it to the picture's size.

    Shapes: (N, C, H, W), uint8 or float, any number of channels -> the same, by bilinear interpolation; masks follow.
    Options: `scale`, the least and greatest share of the picture's area, default (0.08, 1) as in the paper (for small
    pictures a least share of 0.3 or more leaves more to see); `ratio`, the part's width by its height relative to the
    picture's, default (3/4, 4/3). A side that would be longer than the picture's is the picture's.
    Use: photographs in which things are anywhere and of any size.
    Raises: InputError for a scale outside (0, 1], or a ratio not above 0.
    Source: Szegedy et al., Going deeper with convolutions (2015).

        >>> crop = RandomResizedCrop(scale=(1, 1), ratio=(1, 1))  # the whole picture
        >>> crop(torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.Generator())
        tensor([[[[1., 2., 3.]]]])
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        interval("random_resized_crop: scale", self.scale, 1e-4, 1)
        interval("random_resized_crop: ratio", self.ratio, 0.01, 100)

    def draw(self, images: Tensor, generator: Generator) -> Move:
        n, device = len(images), images.device
        height, width = images.shape[2:]
        area = uniform(self.scale, (n,), generator, device)
        ratio = uniform([math.log(r) for r in self.ratio], (n,), generator, device).exp()
        share = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp(max=1)  # of width, of height
        room = (1 - share) * torch.tensor([width, height], device=device) / 2
        centre = uniform((-1, 1), (n, 2), generator, device) * room
        return sampling(torch.cat([torch.diag_embed(share), centre[:, :, None]], dim=2), "nearest")


def turned(angle: Tensor) -> Tensor:
    """The matrices (N, 2, 2) that turn a picture counter-clockwise by degrees; x to the right and y down."""
    cos, sin = torch.cos(angle.deg2rad()), torch.sin(angle.deg2rad())
    return torch.stack([cos, sin, -sin, cos], dim=1).view(-1, 2, 2)


def slanted(angle: Tensor) -> Tensor:
    """The matrices that move a row to the right by its depth times the tangent."""
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    return torch.stack([one, torch.tan(angle.deg2rad()), zero, one], dim=1).view(-1, 2, 2)


def inverse(matrices: Tensor, shift: Tensor) -> Tensor:
    """Where what arrives at q comes from: M⁻¹(q − shift), as (N, 2, 3)."""
    a, b, c, d = matrices.flatten(1).unbind(1)
    back = torch.stack([d, -b, -c, a], dim=1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]
    return torch.cat([back, -back @ shift[:, :, None]], dim=2)


def sampling(sources: Tensor, padding: Padding) -> Move:
    """The move that shows at q pixels from the centre what was at `sources` (N, 2, 3) · (q, 1), in (x, y)."""

    def move(pixels: Tensor, void: int | None) -> Tensor:
        if void is None:
            return in_pieces(lambda some, of: restored(_sampled(numbers(some), of, padding), some), pixels, sources)
        outside = torch.tensor(void, dtype=torch.float64)  # whose zeros come in from outside

        def nearest(some: Tensor, of: Tensor) -> Tensor:
            shown = _sampled((some - outside.to(some.device)).float(), of, padding, "nearest")
            return (shown.double() + outside.to(some.device)).to(some.dtype)

        return in_pieces(nearest, pixels, sources)

    return move


def _sampled(pixels: Tensor, sources: Tensor, padding: Padding, mode: str = "bilinear") -> Tensor:
    height, width = pixels.shape[2:]
    # In torch's units a side reaches from −1 to 1, the outer edges of its pixels.
    sides = torch.tensor([width, height], device=pixels.device)
    of = (sources * (2 / sides)[:, None]).to(pixels.dtype)[:, :, :, None, None]
    x = torch.arange(width, device=pixels.device, dtype=pixels.dtype) - (width - 1) / 2
    y = torch.arange(height, device=pixels.device, dtype=pixels.dtype)[:, None] - (height - 1) / 2
    grid = pixels.new_empty(len(pixels), height, width, 2)
    for axis in (0, 1):
        torch.add(of[:, axis, 0] * x, of[:, axis, 1] * y + of[:, axis, 2], out=grid[..., axis])
    return F.grid_sample(pixels, grid, mode=mode, padding_mode=OUTSIDE[padding], align_corners=False)
