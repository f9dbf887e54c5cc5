"""Two samples made into one, pictures and targets alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from osler.data.augment.augmentation import check_pictures, in_pieces, numbers, restored, uniform, where
from osler.data.augment.erase import boxes
from osler.data.augment.options import number
from osler.errors import InputError


class Mixing:
    """A function of (pictures (N, C, H, W), targets (N, …), generator): both mixed with another sample of the batch.

    Targets are numbers of which a share can be taken: one-hot or soft classes, 0/1, or numbers of a regression.
    """

    def __call__(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        check_pictures(images)
        if len(targets) != len(images) or not targets.is_floating_point():
            raise InputError(
                f"targets of shape {tuple(targets.shape)} and type {targets.dtype} can't be mixed for {len(images)} "
                "pictures; they are floats, one row for each: make class indices one-hot"
            )
        return self.mix(images, targets, generator)

    def mix(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """What it does to a batch."""
        raise NotImplementedError


@dataclass(frozen=True)
class Mixup(Mixing):
    """Blends each picture with another of the batch, and their targets in the same proportion.

    Formula: λx + (1 − λ)x′ and λy + (1 − λ)y′, λ ~ Beta(α, α) for each picture, x′ by a random permutation.
    Shapes: pictures (N, C, H, W), uint8 or float, any number of channels, and targets (N, …) -> the same. In training,
    class indices become soft targets (N, C) that sum to 1.
    Options: `alpha` above 0, default 0.2; 1 blends evenly, small ones leave most pictures nearly alone.
    Use: classification (by cross-entropy) and regression of pictures; comes last of the augmentations.
    Raises: InputError for an alpha that is not above 0.
    Source: Zhang et al., mixup: beyond empirical risk minimization (2018), which draws one λ for a batch.

        >>> x, y = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.eye(2)
        >>> mixed, soft = Mixup(alpha=1.0)(x, y, torch.Generator().manual_seed(0))
        >>> torch.equal(mixed.flatten(), soft[:, 1])
        True
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        number("mixup: alpha", self.alpha, 1e-3)

    def mix(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        share, partner = _beta(self.alpha, images, generator), _partners(images, generator)

        def blended(some: Tensor, others: Tensor, share: Tensor) -> Tensor:
            values = numbers(some)
            return restored(torch.lerp(numbers(others), values, share[:, None, None, None].to(values)), some)

        return in_pieces(blended, images, _picked(images, partner), share), _mixed(targets, partner, share)


@dataclass(frozen=True)
class CutMix(Mixing):
    """Pastes a rectangle of another picture of the batch into each, and mixes their targets by area.

    Formula: λ ~ Beta(α, α); a box of the picture's shape and the share 1 − λ of its area, its centre anywhere, cut off
    at the edge; targets λ′y + (1 − λ′)y′ with λ′ what is left of the picture in truth.
    Shapes: pictures (N, C, H, W) of any type and any number of channels, and targets (N, …) -> the same. In training,
    class indices become soft targets (N, C) that sum to 1.
    Options: `alpha` above 0, default 1: boxes of any area alike.
    Use: classification of photographs (by cross-entropy); comes last of the augmentations.
    Raises: InputError for an alpha that is not above 0.
    Source: Yun et al., CutMix: regularization strategy to train strong classifiers with localizable features (2019).

        >>> x, y = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8), torch.eye(2)
        >>> mixed, soft = CutMix()(x, y, torch.Generator().manual_seed(0))
        >>> torch.equal(mixed.mean((1, 2, 3)), soft[:, 1])
        True
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        number("cutmix: alpha", self.alpha, 1e-3)

    def mix(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        (n, _, height, width), device = images.shape, images.device
        share, partner = _beta(self.alpha, images, generator), _partners(images, generator)
        sides = torch.tensor([height, width], device=device)
        size = ((1 - share).sqrt()[:, None] * sides).floor()
        corner = (uniform((0, 1), (n, 2), generator, device) * sides).floor() - (size / 2).floor()
        pasted = boxes(torch.cat([corner, corner + size], dim=1), height, width)
        left = 1 - pasted.float().mean((1, 2, 3))
        mixed = in_pieces(
            lambda some, others, there: where(there, others, some), images, _picked(images, partner), pasted
        )
        return mixed, _mixed(targets, partner, left)


@dataclass(frozen=True)
class Mix:
    """Applies several mixings, one after the other, to pictures with the targets of a task.

    `classes`: how many there are, where targets are class indices (N,): they are made one-hot first.

        >>> Mix((), classes=3)(torch.zeros(1, 1, 1, 1), torch.tensor([2]), torch.Generator())[1]
        tensor([[0., 0., 1.]])
    """

    parts: tuple[Mixing, ...]
    classes: int | None = None

    def __call__(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        if self.classes is not None:
            targets = F.one_hot(targets.long(), self.classes).float()
        for part in self.parts:
            images, targets = part(images, targets, generator)
        return images, targets


def _beta(alpha: float, images: Tensor, generator: Generator) -> Tensor:
    """Random shares (N,) by Beta(α, α), from NumPy, for torch's takes no generator."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    drawn = np.random.default_rng(seed).beta(alpha, alpha, len(images))
    return torch.from_numpy(drawn).float().to(images.device)


def _picked(images: Tensor, places: Tensor) -> Tensor:
    return images.index_select(0, places)  # whole pictures at once, where indexing goes from number to number


def _partners(images: Tensor, generator: Generator) -> Tensor:
    return torch.randperm(len(images), generator=generator, device=generator.device).to(images.device)


def _mixed(targets: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    share = share.to(targets).reshape(-1, *[1] * (targets.ndim - 1))
    return torch.lerp(targets[partner], targets, share)
