"""Blur and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from osler.data.augment.augmentation import Augmentation, in_pieces, numbers, on_device, restored, uniform
from osler.data.augment.options import interval, number

REACH = 3  # standard deviations, beyond which a Gaussian is left out


@dataclass(frozen=True)
class Blur(Augmentation):
    """Blurs each picture by a Gaussian of random width.

    Formula: each pixel is the mean of those around, weighted by exp(−d²/2σ²), along rows and then along columns.
    Shapes: (N, C, H, W), uint8 or float, any number of channels, each on its own -> the same.
    Options: `sigma`, the lowest and highest standard deviation in pixels, default (0.1, 1); pixels more than 3 of the
    highest away (rounded up) don't count; the edge goes on outside.
    Use: photographs that may be out of focus; self-supervised learning.
    Raises: InputError for a sigma not above 0, or two not in order.
    Source: Chen et al., A simple framework for contrastive learning of visual representations (2020).

        >>> Blur()(torch.ones(1, 1, 1, 3), torch.Generator()).shape
        torch.Size([1, 1, 1, 3])
    """

    sigma: tuple[float, float] = (0.1, 1.0)

    def __post_init__(self) -> None:
        interval("blur: sigma", self.sigma, 0.01, 100)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        sigma = uniform(self.sigma, (len(images),), generator, images.device)
        radius = math.ceil(REACH * self.sigma[1])
        distance = torch.arange(-radius, radius + 1, device=images.device)
        kernels = torch.exp(-((distance / sigma[:, None]) ** 2) / 2)
        return in_pieces(_blurred, images, kernels / kernels.sum(1, keepdim=True))


def _blurred(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolved along both axes with each picture's own kernel (N, 2r + 1), all channels of all pictures in a row."""
    values = numbers(images)
    (n, channels, height, _), radius = values.shape, kernels.shape[1] // 2
    lines = kernels.to(values).repeat_interleave(channels, 0)[:, None, None]  # (N·C, 1, 1, 2r + 1)
    wide = F.pad(values, (radius,) * 4, mode="replicate").reshape(1, n * channels, height + 2 * radius, -1)
    across = F.conv2d(wide, lines, groups=n * channels)
    return restored(F.conv2d(across, lines.mT, groups=n * channels).view(values.shape), images)


@dataclass(frozen=True)
class Noise(Augmentation):
    """Adds Gaussian noise to every pixel.

    Shapes: (N, C, H, W), uint8 or float, any number of channels, each with noise of its own -> the same.
    Options: `std`, the standard deviation, default 0.05: of floats as it is, of uint8 as a share of 255.
    Use: pictures of little light, X-rays; against overfitting on few pictures.
    Raises: InputError for a negative std.
    Source: Sietsma and Dow, Creating artificial neural networks that generalize (1991).

        >>> Noise(std=0)(torch.tensor([[[[1, 2]]]], dtype=torch.uint8), torch.Generator())
        tensor([[[[1, 2]]]], dtype=torch.uint8)
    """

    std: float = 0.05

    def __post_init__(self) -> None:
        number("noise: std", self.std, 0)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        chance = on_device(generator, images.device)
        size = self.std * (1 if images.is_floating_point() else 255)

        def noisy(some: Tensor) -> Tensor:
            values = numbers(some)
            noise = torch.randn(values.shape, generator=chance, device=values.device, dtype=values.dtype)
            return restored(noise.mul_(size).add_(values), some)

        return in_pieces(noisy, images)
