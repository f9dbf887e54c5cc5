"""Augmentations by name, and several of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Generator, Tensor

from osler.data.augment.affine import Affine, RandomResizedCrop, Rotation
from osler.data.augment.augmentation import VOID, Augmentation
from osler.data.augment.blur import Blur, Noise
from osler.data.augment.colour import ColourJitter
from osler.data.augment.erase import Cutout, RandomErasing
from osler.data.augment.flip import AlternatingFlip, Flip
from osler.data.augment.mix import CutMix, Mixing, Mixup
from osler.data.augment.randaugment import RandAugment
from osler.data.augment.shift import Shift
from osler.data.augment.spec_augment import SpecAugment
from osler.errors import InputError
from osler.registry import Registry


@dataclass(frozen=True)
class Compose:
    """Applies several augmentations, one after the other. Those that mix samples come after them, with the targets.

    `parts` may be any functions of (pictures, generator); masks follow only where they are our augmentations.
    """

    parts: tuple[Callable[[Tensor, Generator], Tensor], ...]
    mixing: tuple[Mixing, ...] = field(default=(), kw_only=True)

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """All `parts`: what mixes is for whoever has the targets."""
        for part in self.parts:
            images = part(images, generator)
        return images

    def with_masks(
        self, images: Tensor, masks: Tensor, generator: Generator, void: int = VOID
    ) -> tuple[Tensor, Tensor]:
        """Pictures and their masks (N, H, W) of whole numbers. Raises InputError where samples would be mixed."""
        if self.mixing:
            raise InputError(f"{type(self.mixing[0]).__name__.lower()} has no meaning for masks: leave it out")
        for part in self.parts:
            if not isinstance(part, Augmentation):
                raise InputError(f"masks can't follow {part!r}: it is no Augmentation, which says how they move")
            images, masks = part.with_masks(images, masks, generator, void)
        return images, masks

    def of_epoch(self, epoch: int) -> Compose:
        """The same for this pass over the data, counted from 1."""
        parts = tuple(part.of_epoch(epoch) if isinstance(part, AlternatingFlip) else part for part in self.parts)
        return replace(self, parts=parts)


@dataclass(frozen=True)
class MovingMasks:
    """Augmentations as a function of (pictures, masks, generator): what moves pictures moves their masks."""

    augment: Compose

    @property
    def parts(self) -> tuple[Callable[[Tensor, Generator], Tensor], ...]:
        return self.augment.parts

    def __call__(self, images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        return self.augment.with_masks(images, masks, generator)

    def of_epoch(self, epoch: int) -> MovingMasks:
        """The same for this pass over the data, counted from 1."""
        return MovingMasks(self.augment.of_epoch(epoch))


AUGMENTATIONS: Registry[Augmentation | Mixing] = Registry(
    "augmentation",
    {
        "flip": Flip,
        "alternating_flip": AlternatingFlip,
        "shift": Shift,
        "random_resized_crop": RandomResizedCrop,
        "rotation": Rotation,
        "affine": Affine,
        "colour_jitter": ColourJitter,
        "blur": Blur,
        "noise": Noise,
        "cutout": Cutout,
        "random_erasing": RandomErasing,
        "rand_augment": RandAugment,
        "spec_augment": SpecAugment,
        "mixup": Mixup,
        "cutmix": CutMix,
    },
    aliases={
        "mirror": "flip",
        "horizontal_flip": "flip",
        "translate": "shift",
        "random_crop": "shift",
        "resized_crop": "random_resized_crop",
        "rotate": "rotation",
        "color_jitter": "colour_jitter",
        "gaussian_blur": "blur",
        "erasing": "random_erasing",
        "randaugment": "rand_augment",
        "specaugment": "spec_augment",
    },
)


def from_names(specs: Iterable[str | Mapping[str, Any]]) -> Compose:
    """Builds the augmentations a recipe names, in its order; options go beside the name.

    Raises InputError for an unknown name or option, and where the order has no meaning.

    >>> from_names(["flip", {"name": "shift", "pixels": 2}]).parts
    (Flip(probability=0.5), Shift(pixels=2, padding='zeros'))
    """
    parts: list[Augmentation] = []
    mixing: list[Mixing] = []
    for spec in specs:
        options = {"name": spec} if isinstance(spec, str) else dict(spec)
        if "name" not in options:
            raise InputError(f"augmentation: each needs a name, but got {spec!r}; known: {', '.join(AUGMENTATIONS)}")
        name = options.pop("name")
        part = AUGMENTATIONS.create(name, **options)
        if isinstance(part, Mixing):
            mixing.append(part)
            continue
        if mixing:
            raise InputError(f"augment: mixup and cutmix mix whole samples, so they come last: put {name} before them")
        if isinstance(part, AlternatingFlip) and parts:
            raise InputError(f"augment: {name} tells pictures by their pixels, so it comes first, before any change")
        parts.append(part)
    return Compose(tuple(parts), mixing=tuple(mixing))
