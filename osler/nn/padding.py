"""Padding by name: what is put around pictures so that windows fit at their borders."""

from collections.abc import Callable
from typing import Any, Literal

from torch import nn

from osler.errors import InputError
from osler.nn.options import whole
from osler.registry import Registry

Axes = Literal[1, 2, 3]


def valid() -> nn.Module:
    """Nothing is put around: only windows that lie inside count, and the picture shrinks.

    Formula: p = 0; size ⌊(n − f)/s⌋ + 1
    Shapes: (N, C, places …), unchanged.
    Use: where no invented pixel may count; nn.Conv2d(…, padding=0), its default.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
    """
    return nn.Identity()


def same(kernel: int = 3, axes: Axes = 2) -> nn.Module:
    """Zeros around, as many as a convolution of that kernel needs to keep the size.

    Formula: f − 1 places in total, ⌊(f − 1)/2⌋ of them before; with stride 1 the size stays n
    Shapes: (N, C, n …) → (N, C, n + f − 1 …), with 1, 2 or 3 `axes` of places.
    Use: the usual choice in deep networks, whose maps would shrink away; nn.Conv2d(…, padding="same").
    Options: kernel f; an even one puts one place more at the end than at the beginning.
    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016 (half padding).
    """
    around = whole("kernel", kernel, 1) - 1
    return _around(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)(axes, around // 2, around - around // 2)


def zero(padding: int = 1, axes: Axes = 2) -> nn.Module:
    """Zeros around.

    Formula: x = 0 outside; size ⌊(n + 2p − f)/s⌋ + 1
    Shapes: (N, C, n …) → (N, C, n + 2p …), with 1, 2 or 3 `axes` of places.
    Use: the default of convolutions, and cheap; it draws an edge around bright pictures, and tells where the border is.
    Options: padding p.
    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998 (a rim around digits).
    """
    p = whole("padding", padding, 0)
    return _around(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d)(axes, p, p)


def nearest(padding: int = 1, axes: Axes = 2) -> nn.Module:
    """The border is repeated outwards: each new place is as the nearest one of the picture.

    Formula: xᵢ = x₁ for i < 1, xₙ for i > n
    Shapes: (N, C, n …) → (N, C, n + 2p …), with 1, 2 or 3 `axes` of places.
    Use: without the dark rim of zeros: image restoration, style transfer; nn.Conv2d(…, padding_mode="replicate").
    Options: padding p.
    Source: Gonzalez and Woods, "Digital image processing", 1992 (replicate padding).
    """
    p = whole("padding", padding, 0)
    return _around(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d)(axes, p, p)


def reflect(padding: int = 1, axes: Axes = 2) -> nn.Module:
    """The picture is mirrored at its border, whose own pixels are not repeated.

    Formula: x₁₋ᵢ = x₁₊ᵢ, xₙ₊ᵢ = xₙ₋ᵢ
    Shapes: (N, C, n …) → (N, C, n + 2p …), with 1, 2 or 3 `axes` of places.
    Use: where texture should go on: segmentation by tiles, style transfer; nn.Conv2d(…, padding_mode="reflect").
    Options: padding p, below n.
    Source: Ronneberger, Fischer and Brox, "U-Net", 2015 (mirrored tiles).
    """
    p = whole("padding", padding, 0)
    return _around(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d)(axes, p, p)


def _around(*kinds: Any) -> Callable[[Axes, int, int], nn.Module]:
    def made(axes: Axes, before: int, after: int) -> nn.Module:
        if axes not in (1, 2, 3):
            raise InputError(f"axes must be 1, 2 or 3, got {axes!r}")
        module: nn.Module = kinds[axes - 1]((before, after) * axes)
        return module

    return made


PADDINGS: Registry[nn.Module] = Registry(
    "padding",
    {"valid": valid, "same": same, "zero": zero, "nearest": nearest, "reflect": reflect},
    aliases={"zeros": "zero", "replicate": "nearest", "mirror": "reflect", "no_padding": "valid"},
)
