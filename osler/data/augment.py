"""Augmentation: small random changes that leave the label true, made on whole batches where the batch is."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from osler.errors import InputError
from osler.registry import Registry

Augmentation = Callable[[Tensor, Generator], Tensor]  # (images (N, C, H, W), generator) -> images, same shape and type


@dataclass(frozen=True)
class Flip:
    """Mirrors each picture left to right with some probability.

    Shapes: (N, C, H, W) of any type -> the same. `probability` in [0, 1], default 0.5. Right where left and right mean
    the same (animals, things), wrong for digits and letters. Raises InputError for a probability outside [0, 1].
    Source: Krizhevsky et al., ImageNet classification with deep convolutional neural networks (2012).

        >>> Flip(probability=1.0)(torch.tensor([[[[1, 2, 3]]]]), torch.Generator())
        tensor([[[[3, 2, 1]]]])
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise InputError(f"flip: probability must be between 0 and 1, but got {self.probability!r}")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        chance = torch.rand(len(images), generator=generator, device=generator.device)
        chosen = (chance < self.probability).to(images.device)
        return torch.where(chosen[:, None, None, None], images.flip(-1), images)


@dataclass(frozen=True)
class Shift:
    """Moves each picture by a random whole number of pixels, up to `pixels` each way (a random crop after padding).

    Shapes: (N, C, H, W) of any type -> the same. `pixels` default: an eighth of the shorter side (3 for 28, 4 for 32).
    `padding`: what comes in at the edges, "zeros" (default) or "reflect" (the mirrored picture, edge not repeated).
    Raises InputError for negative pixels, an unknown padding, and reflection of a picture no larger than `pixels`.
    Source: Krizhevsky et al. (2012); with padding, Lee et al., Deeply-supervised nets (2015).

        >>> Shift(pixels=0)(torch.tensor([[[[1, 2, 3]]]]), torch.Generator())
        tensor([[[[1, 2, 3]]]])
    """

    pixels: int | None = None
    padding: Literal["zeros", "reflect"] = "zeros"

    def __post_init__(self) -> None:
        if self.pixels is not None and (not isinstance(self.pixels, int) or self.pixels < 0):
            raise InputError(f"shift: pixels must be a whole number, 0 or more, but got {self.pixels!r}")
        if self.padding not in ("zeros", "reflect"):
            raise InputError(f"shift: padding must be 'zeros' or 'reflect', but got {self.padding!r}")

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        n, _, height, width = images.shape
        p = min(height, width) // 8 if self.pixels is None else self.pixels
        if p == 0:
            return images
        if self.padding == "reflect":
            if p >= min(height, width):
                raise InputError(
                    f"shift: {p} pixels can't be reflected from {height}×{width}; the rule is pixels < sides"
                )
            # By index, because torch's own reflection takes no uint8.
            rows, columns = (_reflected(side, p, images.device) for side in (height, width))
            padded = images[:, :, rows][..., columns]
        else:
            padded = F.pad(images, (p, p, p, p))
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: (N, C, 2p + 1, 2p + 1, H, W)
        corner = torch.randint(2 * p + 1, (2, n), generator=generator, device=generator.device).to(images.device)
        return windows[torch.arange(n, device=images.device), :, corner[0], corner[1]]  # one gather: (N, C, H, W)


def _reflected(size: int, pixels: int, device: torch.device) -> Tensor:
    """The index that each place of a side shows once `pixels` are reflected at both ends: size 3, 1 → 1 0 1 2 1."""
    index = torch.arange(-pixels, size + pixels, device=device).abs()
    return (size - 1) - ((size - 1) - index).abs()


@dataclass(frozen=True)
class Compose:
    """Applies several augmentations, one after the other."""

    parts: tuple[Augmentation, ...]

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        for part in self.parts:
            images = part(images, generator)
        return images


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    {"flip": Flip, "shift": Shift},
    aliases={"mirror": "flip", "horizontal_flip": "flip", "translate": "shift", "random_crop": "shift"},
)


def from_names(specs: Iterable[str | Mapping[str, Any]]) -> Compose:
    """Builds the augmentations a recipe names, in its order; options go beside the name.

    >>> from_names(["flip", {"name": "shift", "pixels": 2}])
    Compose(parts=(Flip(probability=0.5), Shift(pixels=2, padding='zeros')))
    """
    parts = []
    for spec in specs:
        options = {"name": spec} if isinstance(spec, str) else dict(spec)
        if "name" not in options:
            raise InputError(f"augmentation: each needs a name, but got {spec!r}; known: {', '.join(AUGMENTATIONS)}")
        parts.append(AUGMENTATIONS.create(options.pop("name"), **options))
    return Compose(tuple(parts))
