"""What a convolution has learned, as pictures: its filters, and the maps that layers make of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.explain.layers import find_layer, listening
from osler.explain.specimen import copied, device_of, undisturbed

MOST = 64  # tiles of a layer
FILTERS, CHANNELS = 16, 16  # of a layer whose filters see more than grey or colour


@dataclass(frozen=True)
class Tiles:
    """Small pictures of one layer."""

    layer: str
    kind: str
    shape: tuple[int, ...]  # of all weights (filters, channels, height, width), or of all maps (maps, height, width)
    pictures: Tensor = field(repr=False)  # (tiles, 1 or 3, height, width), uint8
    columns: int  # how many belong into a row
    note: str = ""  # what is left out


def filters(network: nn.Module, layer: str | None = None) -> Tiles:
    """The filters of a convolution over pictures, the first one by default; mid-grey is 0.

    Each filter is scaled by its largest weight, so that signs stay. Filters of three channels are in colour; of those
    that see more channels each has a row, a tile for each channel, and at most 16 × 16 are shown.

    Raises InputError for a layer that is none, or is no two-dimensional convolution. Source: Krizhevsky, Sutskever and
    Hinton, "ImageNet classification with deep convolutional neural networks", 2012, figure 3.

        >>> filters(nn.Sequential(nn.Conv2d(3, 8, 5))).pictures.shape
        torch.Size([8, 3, 5, 5])
    """
    convolutions = {name or "network": m for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    if not convolutions:
        raise InputError("filters are those of a convolution over pictures (Conv2d), but this network has none")
    if layer is None:
        layer = next(iter(convolutions))
    elif layer not in convolutions:
        kind = type(find_layer(network, layer)).__name__
        raise InputError(
            f"layer {layer!r} is a {kind}, which has no filters; convolutions are {', '.join(list(convolutions)[:8])}"
        )
    module = convolutions[layer]
    weight = module.weight.detach().float().cpu()  # (filters, channels, height, width)
    count, channels = weight.shape[:2]
    scaled = weight / weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
    pixels = ((scaled + 1) * 127.5).round().to(torch.uint8)
    shape = tuple(weight.shape)
    if channels in (1, 3):
        note = f"the first {MOST} of {count}" if count > MOST else ""
        return Tiles(layer, type(module).__name__, shape, pixels[:MOST], 16, note)
    shown = pixels[:FILTERS, :CHANNELS]
    few = tuple(shown.shape[:2])
    note = "" if few == (count, channels) else f"the first {few[0]} of {count} filters, {few[1]} of {channels} channels"
    return Tiles(layer, type(module).__name__, shape, shown.flatten(0, 1)[:, None], few[1], note)


def maps(network: nn.Module, picture: Tensor, layers: Sequence[str] = ()) -> list[Tiles]:
    """The maps that layers make of one picture (channels, height, width), as the network takes it, in their order.

    By default those of all convolutions and pools. Each map is scaled from its smallest number (black) to its largest
    (white); at most 64 of a layer are shown. Raises InputError for unknown layers and those that give no maps.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014.

        >>> [found] = maps(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), torch.rand(1, 8, 8))
        >>> found.layer, found.shape
        ('0', (4, 6, 6))
    """
    for layer in layers:
        find_layer(network, layer)
    found: dict[str, Tiles] = {}

    def heard(name: str, module: nn.Module, _: tuple[Any, ...], output: Any) -> None:
        wanted = name in layers if layers else hasattr(module, "kernel_size")
        if wanted and isinstance(output, Tensor) and output.dim() == 4 and name not in found:
            found[name] = _of_maps(name or "network", type(module).__name__, output[0].detach().float().cpu())

    copy = copied(network)
    with undisturbed(0), torch.no_grad(), listening(copy, heard):
        try:
            copy(picture[None].to(device_of(copy)))
        except InputError:
            raise
        except Exception as error:  # a stranger's network may raise anything
            why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise InputError(f"the network cannot take a picture of shape {tuple(picture.shape)} ({why})") from None
    missing = [layer for layer in layers if layer not in found]
    if missing or not found:
        which = f"layer {missing[0]!r}" if missing else "any convolution or pool of this network"
        raise InputError(f"maps (channels, height, width) are shown, but {which} gives none")
    return list(found.values())


def _of_maps(layer: str, kind: str, values: Tensor) -> Tiles:
    low, high = values.flatten(1).aminmax(dim=1)
    spread = (high - low).clamp_min(1e-30)[:, None, None]
    pixels = ((values - low[:, None, None]) / spread * 255).round().to(torch.uint8)
    note = f"the first {MOST} of {len(values)}" if len(values) > MOST else ""
    return Tiles(layer, kind, tuple(values.shape), pixels[:MOST, None], 16, note)
