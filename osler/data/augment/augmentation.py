"""What every augmentation is: pictures in, pictures out, each changed by random numbers of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Generator, Tensor

from osler.errors import InputError

VOID = 255  # what segmentation data sets write where nothing is known, since PASCAL VOC
PIECE = 2**19  # numbers worked on at once on a processor: with what is made of them they stay in its cache

# (pixels (N, C, H, W), void) → the same pixels elsewhere; with a void they are masks: nearest pixel, void from outside.
Move = Callable[[Tensor, int | None], Tensor]


class Augmentation:
    """A function of (pictures (N, C, H, W), generator): the same shape and type, nothing changed in place.

    Pictures are uint8, or floats of any scale; what is computed is rounded for uint8 and kept in 0 … 255, floats are
    not clipped (they may be standardised already). All random numbers come from the generator.
    """

    geometric: ClassVar[bool] = False  # whether masks have to follow

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        check_pictures(images)
        return self.change(images, generator)

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        """What it does to a batch of pictures."""
        raise NotImplementedError

    def with_masks(
        self, images: Tensor, masks: Tensor, generator: Generator, void: int = VOID
    ) -> tuple[Tensor, Tensor]:
        """Pictures and the masks (N, H, W) of whole numbers that belong to them, both after the same change.

        Masks follow a geometric change by the nearest pixel, `void` where nothing was; any other leaves them alone.
        Raises InputError for masks that don't lie on the pictures.
        """
        check_masks(images, masks)
        return self(images, generator), masks


class Geometric(Augmentation):
    """An augmentation that moves pixels."""

    geometric = True

    def draw(self, images: Tensor, generator: Generator) -> Move:
        """The random movement of each of these pictures."""
        raise NotImplementedError

    def change(self, images: Tensor, generator: Generator) -> Tensor:
        return self.draw(images, generator)(images, None)

    def with_masks(
        self, images: Tensor, masks: Tensor, generator: Generator, void: int = VOID
    ) -> tuple[Tensor, Tensor]:
        check_masks(images, masks)
        move = self.draw(images, generator)
        return move(images, None), move(masks[:, None], void)[:, 0]


def check_pictures(images: Tensor) -> None:
    """InputError for what is no batch of pictures."""
    if images.ndim != 4:
        cure = "; one picture is a batch as images[None]" if images.ndim == 3 else ""
        raise InputError(f"pictures have shape (N, C, H, W), but got {tuple(images.shape)}{cure}")


def check_masks(images: Tensor, masks: Tensor) -> None:
    """InputError unless there is one whole number for every pixel of every picture."""
    check_pictures(images)
    wanted = (len(images), *images.shape[2:])
    if tuple(masks.shape) != wanted or masks.is_floating_point():
        raise InputError(
            f"masks of shape {tuple(masks.shape)} and type {masks.dtype} for pictures of shape {tuple(images.shape)}; "
            f"a mask has a whole number for every pixel: shape {wanted}"
        )


def uniform(between: Sequence[float], shape: tuple[int, ...], generator: Generator, device: torch.device) -> Tensor:
    """Random numbers between two, drawn where the generator is."""
    low, high = between
    return torch.rand(shape, generator=generator, device=generator.device).mul_(high - low).add_(low).to(device)


def on_device(generator: Generator, device: torch.device) -> Generator:
    """A generator for many numbers on a device, seeded by the next number of this one; the same one if it is there."""
    if generator.device == device:
        return generator
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    return Generator(device).manual_seed(seed)


def numbers(images: Tensor) -> Tensor:
    """Pictures as floats to compute with. Raises InputError for other types, whose range nobody knows."""
    if not (images.dtype == torch.uint8 or images.is_floating_point()):
        raise InputError(f"pictures are uint8 or floats, but got {images.dtype}; use .to(torch.uint8) for 0 … 255")
    return images if images.dtype == torch.float64 else images.float()


def restored(values: Tensor, images: Tensor) -> Tensor:
    """Computed values in the type of the pictures they were made of."""
    if images.is_floating_point():
        return values.to(images.dtype)
    # By way of short integers: four times as fast as at once.
    return values.round_().clamp_(0, 255).to(torch.int16).to(images.dtype)


def where(chosen: Tensor, others: Tensor, images: Tensor) -> Tensor:
    """torch.where, for bytes six times as fast on a processor: they wrap around, so that adding the gap is exact."""
    if images.dtype == torch.uint8:
        return images + (others - images) * chosen.to(torch.uint8)
    return torch.where(chosen, others, images)


def in_pieces(change: Callable[..., Tensor], images: Tensor, *drawn: Tensor) -> Tensor:
    """`change(images, *drawn)`, on a processor for a few pictures at a time: several times as fast for large ones."""
    size = len(images) if images.device.type != "cpu" else max(PIECE // images.shape[1:].numel(), 1)
    if size >= len(images):
        return change(images, *drawn)
    result = torch.empty_like(images)
    for i in range(0, len(images), size):
        result[i : i + size] = change(images[i : i + size], *(part[i : i + size] for part in drawn))
    return result
