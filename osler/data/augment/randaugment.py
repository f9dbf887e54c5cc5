"""RandAugment: a few of fourteen changes, drawn anew for each picture, all of one strength."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from osler.data.augment.affine import inverse, sampling, slanted, turned
from osler.data.augment.augmentation import VOID, Augmentation, check_masks, in_pieces, numbers, restored, where
from osler.data.augment.colour import coloured
from osler.data.augment.options import whole
from osler.errors import InputError

STRONGEST = 30
MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
COLOURS = ("brightness", "contrast", "saturation")
OTHERS = ("autocontrast", "equalize", "solarize", "posterize", "sharpness")
CHANGES = ("identity", *MOVES, *COLOURS, *OTHERS)


@dataclass(frozen=True)
class RandAugment(Augmentation):
    """Applies a few of fourteen changes to each picture, drawn anew, all of one strength.

    The changes: identity, autocontrast, equalize, rotate, solarize, saturation, posterize, contrast, brightness,
    sharpness, shear and translate along x and y. At strength 30: 30°, a slant of 0.3, a shift of 0.45 of the side,
    factors 0.1 or 1.9, 4 bits left by posterize, all inverted by solarize; in proportion below, to a random side.
    Shapes: (N, C, H, W), C = 1 or 3 -> the same; masks follow the moves. Floats must lie in 0 … 1 and are worked on as
    uint8, in 256 steps. Grey pictures: saturation leaves them as they are, all else as with colours.
    Options: `count`, changes for each picture, default 2; `strength` 0 … 30, default 9.
    Use: photographs, in long trainings of large networks; not digits.
    Raises: InputError for options out of range, other channels, and floats outside 0 … 1.
    Source: Cubuk et al., RandAugment: practical automated data augmentation with a reduced search space (2020).

        >>> RandAugment(count=0)(torch.tensor([[[[1, 2]]]], dtype=torch.uint8), torch.Generator())
        tensor([[[[1, 2]]]], dtype=torch.uint8)
    """

    geometric = True

    count: int = 2
    strength: int = 9

    def __post_init__(self) -> None:
        whole("rand_augment: count", self.count, 0)
        whole("rand_augment: strength", self.strength, 0, STRONGEST)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        return self._changed(images, None, generator, VOID)[0]

    def with_masks(
        self, images: Tensor, masks: Tensor, generator: Generator, void: int = VOID
    ) -> tuple[Tensor, Tensor]:
        check_masks(images, masks)
        images, moved = self._changed(images, masks[:, None], generator, void)
        assert moved is not None
        return images, moved[:, 0]

    def _changed(
        self, images: Tensor, masks: Tensor | None, generator: Generator, void: int
    ) -> tuple[Tensor, Tensor | None]:
        result = _as_bytes(images)
        for _ in range(self.count):
            # Where the generator is: no waiting for the device that the pictures are on.
            drawn = torch.randint(len(CHANGES), (len(images),), generator=generator, device=generator.device)
            signs = torch.randint(2, (len(images),), generator=generator, device=generator.device) * 2 - 1
            parts, places = [], []
            for names, change in self._groups().items():
                first = CHANGES.index(names[0])
                rows = ((drawn >= first) & (drawn < first + len(names))).nonzero()[:, 0]
                if len(rows) == 0:
                    continue
                kind, sign, rows = (part.to(images.device) for part in ((drawn - first)[rows], signs[rows], rows))
                some = result.index_select(0, rows)
                if names == MOVES:
                    move = sampling(self._sources(kind, sign, images), "zeros")
                    parts.append(move(some, None))
                    if masks is not None:
                        masks = masks.index_copy(0, rows, move(masks[rows], void))
                else:
                    parts.append(change(some, kind, sign))
                places.append(rows)
            result = torch.cat(parts).index_select(0, torch.cat(places).argsort())
        return (result / 255).to(images.dtype) if images.is_floating_point() else result, masks

    def _groups(self) -> dict[tuple[str, ...], Callable[[Tensor, Tensor, Tensor], Tensor]]:
        """Changes that are made together, of (pictures, which of the group, to which side)."""
        level = self.strength / STRONGEST
        return {
            ("identity",): lambda images, *_: images,
            MOVES: lambda images, *_: images,  # by `_sources`, for masks too
            COLOURS: self._colours,
            ("autocontrast",): lambda images, *_: in_pieces(autocontrast, images),
            ("equalize",): lambda images, *_: in_pieces(equalized, images),
            ("solarize",): lambda images, *_: where(images >= 255 * (1 - level), 255 - images, images),
            ("posterize",): lambda images, *_: images & (256 - 2 ** round(4 * level)),
            ("sharpness",): lambda images, _, sign: in_pieces(sharpened, images, 1 + 0.9 * level * sign),
        }

    def _sources(self, kind: Tensor, sign: Tensor, images: Tensor) -> Tensor:
        """Where the pixels of moved pictures come from."""
        level = sign * (self.strength / STRONGEST)
        rotate, shear_x, shear_y, *translate = ((kind == i) * level for i in range(len(MOVES)))
        slant_x, slant_y = (slanted(torch.atan(0.3 * shear).rad2deg()) for shear in (shear_x, shear_y))
        height, width = images.shape[2:]
        shift = torch.stack(translate, dim=1) * torch.tensor([0.45 * width, 0.45 * height], device=images.device)
        return inverse(turned(30 * rotate) @ slant_x @ slant_y.mT, shift)

    def _colours(self, images: Tensor, kind: Tensor, sign: Tensor) -> Tensor:
        change = 0.9 * sign * (self.strength / STRONGEST)
        factors = torch.stack([1 + (kind == i) * change for i in range(len(COLOURS))])
        return coloured(images, factors, torch.zeros_like(change))


def autocontrast(images: Tensor) -> Tensor:
    """Each channel stretched to reach from 0 to 255; one of a single value stays."""
    values = numbers(images)
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    stretched = (values - low) * (255 / (high - low).clamp(min=1))
    return restored(torch.where(high > low, stretched, values), images)


def equalized(images: Tensor) -> Tensor:
    """Each channel's values spread so that all are about as frequent; one of a single value stays."""
    n, channels = images.shape[:2]
    flat = images.reshape(n * channels, -1).long()
    counts = torch.zeros(len(flat), 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    most = counts.gather(1, flat.amax(1, keepdim=True))  # of the brightest value
    step = (flat.shape[1] - most) // 255
    table = (counts.cumsum(1) - counts + step // 2) // step.clamp(min=1)
    table = torch.where(step > 0, table.clamp(max=255), torch.arange(256, device=images.device))
    return table.to(images.dtype).gather(1, flat).view(images.shape)


def sharpened(images: Tensor, factor: Tensor) -> Tensor:
    """A picture from its smoothed self (factor 0) past what it is (1); the pixels at the edge stay."""
    values = numbers(images)
    n, channels, height, width = values.shape
    if min(height, width) < 3:
        return images
    kernel = values.new_ones(1, 1, 3, 3)
    kernel[..., 1, 1] = 5
    smooth = values.clone()
    inner = F.conv2d(values.view(n * channels, 1, height, width), kernel / 13)
    smooth[..., 1:-1, 1:-1] = inner.view(n, channels, height - 2, width - 2)
    return restored(torch.lerp(smooth, values, factor[:, None, None, None].to(values)), images)


def _as_bytes(images: Tensor) -> Tensor:
    if images.shape[1] not in (1, 3):
        raise InputError(f"rand_augment is for grey or RGB pictures (1 or 3 channels), but got {images.shape[1]}")
    values = numbers(images)
    if images.dtype == torch.uint8:
        return images
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1) or math.isnan(low):
        raise InputError(f"rand_augment: floats must lie in 0 … 1, but got {low:g} … {high:g}; uint8 is 0 … 255")
    return (values * 255).round().to(torch.uint8)
