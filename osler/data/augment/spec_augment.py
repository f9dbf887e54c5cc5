"""Spectrograms with bands and moments hidden."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from osler.data.augment.augmentation import Augmentation, uniform
from osler.data.augment.erase import FILLS, Fill, boxes, filled
from osler.data.augment.options import number, one_of, whole


@dataclass(frozen=True)
class SpecAugment(Augmentation):
    """Hides whole bands of frequency and whole stretches of time, each anywhere and of a random width.

    Shapes: spectrograms (N, C, bands, frames), uint8 or float, any number of channels -> the same; masks stay as they
    are. Of other pictures it hides rows and columns.
    Options: `bands`, the widest hidden band as a share of all, default 0.2; `time`, the longest hidden stretch as a
    share of the frames, default 0.2; `times`, how many of each, default 1; `fill`: "mean" (default: the spectrogram's
    own), "zeros" or "noise".
    Use: speech and other sounds; the network learns to do without any single band or moment.
    Raises: InputError for shares outside [0, 1], no times, an unknown fill.
    Deviations from the paper: no time warping, which it found to matter least; widths are shares, not numbers of bands
    and frames (there 27 of 80 bands and 100 frames).
    Source: Park et al., SpecAugment: a simple data augmentation method for automatic speech recognition (2019).

        >>> SpecAugment(bands=0, time=0)(torch.ones(1, 1, 8, 8), torch.Generator().manual_seed(0)).sum()
        tensor(64.)
    """

    bands: float = 0.2
    time: float = 0.2
    times: int = 1
    fill: Fill = "mean"

    def __post_init__(self) -> None:
        number("spec_augment: bands", self.bands, 0, 1)
        number("spec_augment: time", self.time, 0, 1)
        whole("spec_augment: times", self.times, 1, 100)
        one_of("spec_augment: fill", self.fill, FILLS)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        n, device = len(images), images.device
        height, width = images.shape[2:]
        none, all_of = torch.zeros(n, device=device), torch.ones(n, device=device)
        hidden = torch.zeros((n, 1, height, width), dtype=torch.bool, device=device)
        for _ in range(self.times):
            top, bottom = _stretch(self.bands, height, n, generator, device)
            hidden |= boxes(torch.stack([top, none, bottom, all_of * width], dim=1), height, width)
            left, right = _stretch(self.time, width, n, generator, device)
            hidden |= boxes(torch.stack([none, left, all_of * height, right], dim=1), height, width)
        return filled(images, hidden, self.fill, generator)


def _stretch(share: float, size: int, n: int, generator: Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """First and next place of what is hidden: a width from 0 to the share of the size, then a place for it."""
    widest = int(share * size)
    length = (uniform((0, 1), (n,), generator, device) * (widest + 1)).floor()
    first = (uniform((0, 1), (n,), generator, device) * (size - length + 1)).floor()
    return first, first + length
