"""Layers that disturb their input while training, and pass it on unchanged in evaluation."""

import torch
from torch import Tensor, nn

from osler.nn.options import finite, fraction, nonnegative


class GaussianNoise(nn.Module):
    """Adds normal noise to every number.

    Formula: y = x + e, e ~ N(0, std²), in training; y = x in evaluation.
    Shapes: any.
    Source: Holmström and Koistinen, "Using additive noise in back-propagation training", 1992.

        >>> GaussianNoise(std=0.1).eval()(torch.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.std = nonnegative("std", std)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.std * torch.randn_like(x) if self.training else x

    def extra_repr(self) -> str:
        return f"std={self.std}"


class MaskingNoise(nn.Module):
    """Sets a random part of the numbers to zero; unlike dropout it leaves the others as they are.

    Formula: y = 0 with probability p, else x, in training; y = x in evaluation.
    Shapes: any.
    Source: Vincent et al., "Extracting and composing robust features with denoising autoencoders", 2008.
    """

    def __init__(self, p: float = 0.25) -> None:
        super().__init__()
        self.p = fraction("p", p)

    def forward(self, x: Tensor) -> Tensor:
        return x.masked_fill(torch.rand_like(x) < self.p, 0) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


class SaltAndPepperNoise(nn.Module):
    """Sets a random part of the numbers to the lowest or the highest value, like broken pixels.

    Formula: y = low with probability p/2, high with probability p/2, else x, in training; y = x in evaluation.
    Shapes: any.
    Source: Vincent et al., "Stacked denoising autoencoders", 2010, section 3.3.
    """

    def __init__(self, p: float = 0.1, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        self.p = fraction("p", p)
        self.low = finite("low", low)
        self.high = finite("high", high)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        chance = torch.rand_like(x)
        return x.masked_fill(chance < self.p, self.high).masked_fill(chance < self.p / 2, self.low)

    def extra_repr(self) -> str:
        return f"p={self.p}, low={self.low}, high={self.high}"
