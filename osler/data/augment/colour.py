"""Brightness, contrast, saturation and hue: one matrix for each picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from osler.data.augment.augmentation import Augmentation, in_pieces, numbers, restored, uniform
from osler.data.augment.options import number
from osler.errors import InputError

GREY = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)
# Of RGB: brightness, and the two axes of colour of the NTSC.
YIQ = (GREY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class ColourJitter(Augmentation):
    """Changes brightness, contrast, saturation and hue of each picture at random.

    Formula: brightness x·b; contrast m + (x − m)c about the picture's mean grey m; saturation g + (x − g)s about each
    pixel's grey g; hue a turn of the colours about the grey axis in YIQ space, which keeps g (HSV, as other tools turn
    it, doesn't). In this order, as one matrix, clipped once at the end (uint8 only).
    Shapes: (N, C, H, W), uint8 or float -> the same. Grey pictures (C = 1) have neither saturation nor hue: only
    brightness and contrast change. RGB (C = 3): all four. Other numbers of channels: brightness, and contrast about
    the mean of all channels; saturation and hue must be 0.
    Options: `brightness`, `contrast`, `saturation`: factors from 1 − v (not below 0) to 1 + v, default 0.4 each; `hue`:
    up to this share of a full turn either way, 0 … 0.5, default 0.1.
    Use: photographs; wrong where the colour is what is to be told (ripe or not).
    Raises: InputError for options out of range, and for saturation or hue of pictures of 2 or more than 3 channels.
    Source: Howard, Some improvements on deep convolutional neural network based image classification (2013).

        >>> ColourJitter(0, 0, 0, 0)(torch.full((1, 3, 1, 1), 7, dtype=torch.uint8), torch.Generator()).flatten()
        tensor([7, 7, 7], dtype=torch.uint8)
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            number(f"colour_jitter: {name}", getattr(self, name), 0)
        number("colour_jitter: hue", self.hue, 0, 0.5)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        n, channels = images.shape[:2]
        if channels not in (1, 3) and (self.saturation or self.hue):
            raise InputError(
                "colour_jitter: saturation and hue are of RGB pictures (3 channels), or of grey ones, which have "
                f"none, but got {channels} channels: set saturation=0 and hue=0"
            )
        strengths = (self.brightness, self.contrast, self.saturation)
        factors = [uniform((max(1 - v, 0), 1 + v), (n,), generator, images.device) for v in strengths]
        return coloured(images, torch.stack(factors), uniform((-self.hue, self.hue), (n,), generator, images.device))


def coloured(images: Tensor, factors: Tensor, hue: Tensor) -> Tensor:
    """Pictures with factors (3, N) of brightness, contrast and saturation, and a turn of hue (N,) of 1 all round."""
    brightness, contrast, saturation = factors
    channels = images.shape[1]
    scale = brightness * contrast
    if channels == 3:
        yiq = torch.tensor(YIQ, device=images.device)
        colours = torch.linalg.inv(yiq) @ _turned(hue, saturation) @ yiq * scale[:, None, None]
        weights = yiq[0]
    else:
        colours = torch.diag_embed(scale[:, None].expand(-1, channels))
        weights = torch.full((channels,), 1 / channels, device=images.device)

    def change(some: Tensor, colours: Tensor, darker: Tensor) -> Tensor:
        values = numbers(some)
        flat = values.reshape(len(some), channels, -1)
        mean = (flat.mean(2) @ weights.to(flat) * darker.to(flat))[:, None, None]
        return restored(torch.baddbmm(mean, colours.to(flat), flat).view(values.shape), some)

    return in_pieces(change, images, colours, (1 - contrast) * brightness)


def _turned(hue: Tensor, saturation: Tensor) -> Tensor:
    """The matrices that turn and stretch the colours in YIQ, where the first axis is grey."""
    cos, sin = (part(hue * 2 * math.pi) * saturation for part in (torch.cos, torch.sin))
    zero, one = torch.zeros_like(hue), torch.ones_like(hue)
    # From I (orange) to −Q (green): red, yellow, green, as hues are counted.
    rows = [one, zero, zero, zero, cos, sin, zero, -sin, cos]
    return torch.stack(rows, dim=1).view(-1, 3, 3)
