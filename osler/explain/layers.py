"""Layers by name, and those that give maps, found by a forward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.explain.specimen import Inputs, Specimen


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """The module of that name in `named_modules`; InputError with the nearest name where there is none."""
    known: dict[str, nn.Module] = {key: module for key, module in network.named_modules() if key}
    module = known.get(name)
    if module is None:
        raise unknown_name("layer", name, known)
    return module


@contextlib.contextmanager
def listening(network: nn.Module, heard: Callable[[str, nn.Module, tuple[Any, ...], Any], None]) -> Iterator[None]:
    """Calls `heard` (name, module, inputs, output) after each call of a module in it, innermost first."""
    handles = [
        module.register_forward_hook(lambda m, inputs, output, name=name: heard(name, m, inputs, output))
        for name, module in network.named_modules()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def weighted_layers(specimen: Specimen, inputs: Inputs) -> list[tuple[str, nn.Module]]:
    """The modules with weights of their own, in the order of computation; those never called come first."""
    owners = {n: m for n, m in specimen.network.named_modules() if next(m.parameters(recurse=False), None) is not None}
    called: dict[str, nn.Module] = {}

    def heard(name: str, module: nn.Module, _: tuple[Any, ...], __: Any) -> None:
        called.setdefault(name, module)

    with listening(specimen.network, heard):
        specimen.scores(inputs)
    order = [name for name in owners if name not in called] + [name for name in called if name in owners]
    return [(name, owners[name]) for name in order]


def last_maps(specimen: Specimen, inputs: Inputs) -> str:
    """The name of the last module whose output has places like those of a picture, more than one."""
    found: list[tuple[str, Tensor]] = []
    picture = picture_among(inputs)

    def heard(name: str, _: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        if (
            name
            and isinstance(output, Tensor)
            and output.dim() == inputs[picture].dim()
            and len(output) == len(inputs[0])
            and output.shape[2:].numel() > 1
            and not (found and found[-1][1] is output)  # a container gives what its last module gave
        ):
            found.append((name, output))

    with listening(specimen.network, heard):
        specimen.scores(inputs)
    if not found:
        raise InputError(
            "grad_cam needs a layer that gives maps (N, channels, height, width), but no module of this network does; "
            "use integrated_gradients or occlusion"
        )
    return found[-1][0]


def picture_among(inputs: Inputs) -> int:
    """Which input is a picture or a volume; InputError where none is."""
    for i, tensor in enumerate(inputs):
        if tensor.dim() in (4, 5):
            return i
    shapes = ", ".join(str(tuple(t.shape)) for t in inputs)
    raise InputError(f"grad_cam explains pictures (N, channels, height, width), but got {shapes}")


def rim(specimen: Specimen, inputs: Inputs, picture: int) -> tuple[int, ...]:
    """How many rows and columns the network itself puts around its pictures on each side, before anything else.

    One number per axis of places, 0 for most networks: LeNet-5 pads small pictures to 32×32.
    """
    image = inputs[picture]
    first: list[Tensor] = []

    def entered(_: nn.Module, given: tuple[Any, ...]) -> None:
        maps = [t for t in given if isinstance(t, Tensor) and t.dim() == image.dim()]
        if maps and not first:
            first.append(maps[0])

    leaves = [m for m in specimen.network.modules() if next(m.children(), None) is None]
    handles = [module.register_forward_pre_hook(entered) for module in leaves]
    try:
        specimen.scores(inputs)
    finally:
        for handle in handles:
            handle.remove()
    none = (0,) * (image.dim() - 2)
    if not first or any(a < b for a, b in zip(first[0].shape[2:], image.shape[2:], strict=True)):
        return none
    sides = tuple((a - b) // 2 for a, b in zip(first[0].shape[2:], image.shape[2:], strict=True))
    middle = without_rim(first[0], sides, image)
    return sides if middle.shape == image.shape and torch.equal(middle, image) else none


def without_rim(maps: Tensor, sides: tuple[int, ...], image: Tensor) -> Tensor:
    """The middle of the maps (N, channels, …), which has the places of the image."""
    for axis, (side, length) in enumerate(zip(sides, image.shape[2:], strict=True), start=2):
        maps = maps.narrow(axis, side, length)
    return maps
