"""Parts of pictures hidden: networks learn to do without any single one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from osler.data.augment.augmentation import Augmentation, in_pieces, on_device, restored, uniform, where
from osler.data.augment.augmentation import numbers as as_numbers
from osler.data.augment.options import interval, number, one_of, whole

Fill = Literal["mean", "zeros", "noise"]
FILLS = ("mean", "zeros", "noise")


@dataclass(frozen=True)
class Cutout(Augmentation):
    """Hides a square of each picture, anywhere; it may reach over the edge.

    Shapes: (N, C, H, W), uint8 or float, any number of channels, all hidden -> the same; masks stay as they are.
    Options: `size`, the square's side in pixels, default a quarter of the shorter side (8 for 32). `fill`, what stands
    there: "mean" (default: the picture's own mean of each channel, near 0 once standardised, as in the paper), "zeros",
    or "noise" (as bright and as varied as the picture).
    Use: photographs of things, together with flip and shift.
    Raises: InputError for a size below 1, or an unknown fill.
    Source: DeVries and Taylor, Improved regularization of convolutional neural networks with cutout (2017).

        >>> Cutout(size=1, fill="zeros")(torch.ones(1, 1, 2, 2), torch.Generator().manual_seed(0)).sum()
        tensor(3.)
    """

    size: int | None = None
    fill: Fill = "mean"

    def __post_init__(self) -> None:
        if self.size is not None:
            whole("cutout: size", self.size, 1)
        one_of("cutout: fill", self.fill, FILLS)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        n, device = len(images), images.device
        height, width = images.shape[2:]
        size = max(min(height, width) // 4, 1) if self.size is None else self.size
        # The centre is a pixel, all of them alike; an even side reaches one further up and left.
        corner = [(uniform((0, s), (n,), generator, device).floor() - size // 2) for s in (height, width)]
        hidden = boxes(torch.stack([*corner, *(c + size for c in corner)], dim=1), height, width)
        return filled(images, hidden, self.fill, generator)


@dataclass(frozen=True)
class RandomErasing(Augmentation):
    """Hides a rectangle of random size and shape of each picture, with some probability.

    Shapes: (N, C, H, W), uint8 or float, any number of channels, all hidden -> the same; masks stay as they are.
    Options: `probability` in [0, 1], default 0.5; `area`, the least and greatest share of the picture, default
    (0.02, 0.4); `ratio`, height by width, default (0.3, 1/0.3); a side that would be longer than the picture's is the
    picture's. `fill`: "noise" (default), "mean" or "zeros", as in cutout.
    Use: things that may stand behind others (people, cars).
    Raises: InputError for a probability or an area outside [0, 1], a ratio not above 0, an unknown fill.
    Source: Zhong et al., Random erasing data augmentation (2020).

        >>> RandomErasing(probability=0)(torch.ones(1, 1, 2, 2), torch.Generator()).sum()
        tensor(4.)
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    fill: Fill = "noise"

    def __post_init__(self) -> None:
        number("random_erasing: probability", self.probability, 0, 1)
        interval("random_erasing: area", self.area, 0, 1)
        interval("random_erasing: ratio", self.ratio, 0.01, 100)
        one_of("random_erasing: fill", self.fill, FILLS)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        n, device = len(images), images.device
        height, width = images.shape[2:]
        pixels = uniform(self.area, (n,), generator, device) * height * width
        ratio = uniform([math.log(r) for r in self.ratio], (n,), generator, device).exp()
        sides = torch.stack([(pixels * ratio).sqrt(), (pixels / ratio).sqrt()], dim=1).round()
        whole_sides = torch.tensor([height, width], device=device)
        sides = torch.minimum(sides, whole_sides)
        corner = (uniform((0, 1), (n, 2), generator, device) * (whole_sides - sides + 1)).floor()
        chosen = uniform((0, 1), (n, 1), generator, device) < self.probability
        hidden = boxes(torch.cat([corner, corner + sides * chosen], dim=1), height, width)
        return filled(images, hidden, self.fill, generator)


def boxes(corners: Tensor, height: int, width: int) -> Tensor:
    """Whether each pixel lies in its picture's box: (N, 4) of top, left, bottom, right (not in it) → (N, 1, H, W)."""
    top, left, bottom, right = corners[:, :, None].unbind(1)
    y, x = (torch.arange(side, device=corners.device) for side in (height, width))
    rows, columns = (top <= y) & (y < bottom), (left <= x) & (x < right)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def filled(images: Tensor, hidden: Tensor, fill: Fill, generator: Generator) -> Tensor:
    """The pictures with something else where they are hidden."""
    if fill == "zeros":
        return in_pieces(lambda some, there: where(there, torch.zeros_like(some[:1]), some), images, hidden)
    chance = on_device(generator, images.device)

    def change(some: Tensor, there: Tensor) -> Tensor:
        values = as_numbers(some)
        mean = values.mean((2, 3), keepdim=True)
        if fill == "mean":
            return where(there, restored(mean, some), some)
        std = (values - mean).square_().mean((2, 3), keepdim=True).sqrt_()
        noise = torch.randn(values.shape, generator=chance, device=values.device, dtype=values.dtype)
        return where(there, restored(noise.mul_(std).add_(mean), some), some)

    return in_pieces(change, images, hidden)
