"""What a layer wants to see: activation maximisation, and DeepDream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from osler.errors import InputError
from osler.explain.layers import find_layer
from osler.explain.specimen import as_inputs, copied, device_of, undisturbed

SMALLEST = 8  # pixels of a dream's octave


@dataclass(frozen=True)
class Dream:
    """A picture that was changed until a layer answered more strongly."""

    picture: Tensor = field(repr=False)  # (N, channels, height, width), as the network takes them
    layer: str  # with the channel or unit, as it was asked for
    before: float  # the layer's activation
    after: float
    sizes: tuple[tuple[int, ...], ...]  # height and width of each octave


class _Reached(Exception):
    """The layer has answered: what comes after it is not computed."""


class Activation:
    """How strongly a layer of a network answers to inputs: a scalar with a gradient.

    `layer` is a name of `named_modules`, with a channel or a unit after a colon: "conv2", "conv2:7", "conv2:7,4,4".
    Of a channel or unit it is the mean over its places; of a whole layer the mean square, which has no preferred sign.
    """

    def __init__(self, network: nn.Module, layer: str):
        name, _, place = layer.partition(":")
        self.network = network
        self.module = find_layer(network, name)
        self.layer = layer
        try:
            self.place = tuple(int(i) for i in place.split(",")) if place else ()
        except ValueError:
            raise InputError(
                f"a channel or unit is given by numbers, like {name}:7 or {name}:7,4,4, not {layer!r}"
            ) from None

    def __call__(self, inputs: Tensor) -> Tensor:
        kept: list[Tensor] = []

        def reached(_: nn.Module, __: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if not isinstance(first, Tensor):
                raise InputError(f"layer {self.layer!r} gives {type(first).__name__}, but tensors can be maximised")
            kept.append(first)
            raise _Reached

        handle = self.module.register_forward_hook(reached)
        try:
            self.network(inputs)
        except _Reached:
            pass
        finally:
            handle.remove()
        if not kept:
            raise InputError(f"layer {self.layer!r} is not called when the network computes")
        answer = kept[0]
        if not self.place:
            return answer.square().mean()
        sizes = tuple(answer.shape[1:])
        if len(self.place) > len(sizes) or any(not 0 <= i < n for i, n in zip(self.place, sizes, strict=False)):
            raise InputError(f"{self.layer!r} does not exist: the layer gives {sizes} per sample, counted from 0")
        for index in self.place:
            answer = answer.select(1, index)
        return answer.mean()


def maximise(
    subject: Any,
    layer: str,
    inputs: tuple[int, ...],
    *,
    steps: int = 200,
    rate: float = 0.02,
    jitter: int = 2,
    smooth: float = 0.1,
    bounds: tuple[Any, Any] | None = None,
    seed: int = 0,
) -> Dream:
    """An input that excites a layer, a channel or a unit as much as it can, found from weak noise by gradient ascent.

    `subject`: a module or a run; `layer`: as for `dream`; `inputs`: the shape of one sample. The other options are
    those of `dream`. Source: Erhan et al., Visualizing higher-layer features of a deep network (2009); Simonyan et al.,
    Deep inside convolutional networks (2014).

        >>> network = nn.Sequential(nn.Linear(3, 2))
        >>> found = maximise(network, "0:1", (3,))
        >>> torch.equal(found.picture[0].sign(), network[0].weight[1].sign())
        True
    """
    network = _network(subject)
    with undisturbed(seed):
        start = 0.1 * torch.randn(1, *inputs).to(device_of(network))
        if bounds is not None:
            low, high = (torch.as_tensor(b).to(start) for b in bounds)
            start = (low + high) / 2 + 0.1 * start * (high - low)
        return _dreamt(network, layer, start, [tuple(inputs[1:])], steps, rate, jitter, smooth, bounds)


def dream(
    subject: Any,
    pictures: Tensor,
    layer: str,
    *,
    octaves: int = 4,
    ratio: float = 1.4,
    steps: int = 20,
    rate: float = 0.05,
    jitter: int = 4,
    smooth: float = 0.05,
    bounds: tuple[Any, Any] | None = None,
    seed: int = 0,
) -> Dream:
    """DeepDream: pictures in which what a layer sees has been exaggerated, from coarse to fine.

    `pictures` (N, channels, height, width), as the network takes them. `layer`: a name of `named_modules`, with a
    channel or a unit after a colon ("conv2:7", "conv2:7,4,4"). Gradient ascent of so many `steps` starts at the
    smallest of the `octaves`, each `ratio` times larger than the one before, and adds what it dreamt to the next;
    octaves below 8 pixels, and those at which the network cannot reach the layer, are left out (`sizes` tells which
    were not). A step goes `rate` times the range of pixels along the gradient, divided by its mean size, after the
    picture was rolled by up to `jitter` pixels (at most a sixteenth of its side). `smooth`: how much of a step goes
    against the total variation. `bounds`: the lowest and the highest value of a pixel, numbers or tensors that fit the
    picture; default none, and a range of 4 deviations.

    Raises InputError for an unknown layer, channel or unit. Source: Mordvintsev et al., Inceptionism (2015).

        >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
        >>> found = dream(network, torch.rand(1, 1, 16, 16), "0:1", octaves=2, steps=2)
        >>> found.sizes, found.after > found.before
        (((11, 11), (16, 16)), True)
    """
    network = _network(subject)
    with undisturbed(seed):
        (pictures,), _ = as_inputs(pictures, device_of(network))
    if pictures.dim() != 4:
        raise InputError(
            f"pictures to dream of have shape (N, channels, height, width), but got {tuple(pictures.shape)}"
        )
    if octaves < 1 or ratio <= 1:
        raise InputError(f"a dream needs at least 1 octave and a ratio above 1, but got {octaves} and {ratio}")
    scales = [ratio**-i for i in reversed(range(octaves))]
    sizes = [tuple(round(side * scale) for side in pictures.shape[2:]) for scale in scales]
    sizes = [size for size in sizes[:-1] if min(size) >= SMALLEST] + sizes[-1:]
    with undisturbed(seed):
        return _dreamt(network, layer, pictures, sizes, steps, rate, jitter, smooth, bounds)


def _dreamt(
    network: nn.Module,
    layer: str,
    pictures: Tensor,
    sizes: Sequence[tuple[int, ...]],
    steps: int,
    rate: float,
    jitter: int,
    smooth: float,
    bounds: tuple[Any, Any] | None,
) -> Dream:
    for what, value in (("steps", steps), ("rate", rate)):
        if value <= 0:
            raise InputError(f"{what} must be above 0, but got {value}")
    for what, value in (("jitter", jitter), ("smooth", smooth)):
        if value < 0:
            raise InputError(f"{what} must be at least 0, but got {value}")
    activation = Activation(copied(network), layer)
    before = _value(activation, pictures)
    low, high = (None, None) if bounds is None else (torch.as_tensor(b).to(pictures) for b in bounds)
    span = float((high - low).max()) if low is not None and high is not None else 4.0  # standardised: −2 … 2
    sizes = [size for size in sizes[:-1] if _fits(activation, _resized(pictures, size))] + list(sizes[-1:])
    detail = torch.zeros_like(_resized(pictures, sizes[0]))
    for size in sizes:
        base = _resized(pictures, size)
        image = base + _resized(detail, size)
        image = _ascended(activation, image, steps, rate * span, jitter, smooth, low, high)
        detail = image - base
    return Dream(image, layer, before, _value(activation, image), tuple(sizes))


def _ascended(
    activation: Activation,
    image: Tensor,
    steps: int,
    rate: float,
    jitter: int,
    smooth: float,
    low: Tensor | None,
    high: Tensor | None,
) -> Tensor:
    axes = tuple(range(2, image.dim()))
    jitter = min(jitter, min(image.shape[2:], default=0) // 16)  # a small picture must not be smeared
    for i in range(steps):
        shift = torch.randint(-jitter, jitter + 1, (len(axes),)).tolist()
        rolled = image.roll(shift, axes) if axes else image
        rolled = rolled.detach().requires_grad_()
        [step] = torch.autograd.grad(activation(rolled), [rolled])
        step = step / (step.abs().mean() + 1e-12)
        if smooth and axes:
            [rough] = torch.autograd.grad(_variation(rolled), [rolled])
            step = step - smooth * rough / (rough.abs().mean() + 1e-12)
        moved = rolled.detach() + rate * (1 - i / steps) * step  # ever smaller steps settle
        image = moved.roll([-s for s in shift], axes) if axes else moved
        if low is not None and high is not None:
            image = torch.minimum(torch.maximum(image, low), high)
    return image


def _variation(image: Tensor) -> Tensor:
    """Total variation, squared: the differences of neighbours (Mahendran and Vedaldi 2015)."""
    return torch.stack([image.diff(dim=axis).square().sum() for axis in range(2, image.dim())]).sum()


def _resized(image: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(image.shape[2:]) == size or image.dim() != 4:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)


def _value(activation: Activation, inputs: Tensor) -> float:
    try:
        with torch.no_grad():
            return float(activation(inputs))
    except InputError:
        raise
    except Exception as error:  # a stranger's network may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"the network cannot take inputs of shape {tuple(inputs.shape)} ({why})") from None


def _fits(activation: Activation, inputs: Tensor) -> bool:
    try:
        _value(activation, inputs)
    except InputError:
        return False
    return True


def _network(subject: Any) -> nn.Module:
    network = subject if isinstance(subject, nn.Module) else getattr(subject, "model", None)
    if not isinstance(network, nn.Module):
        raise InputError(f"a module (torch.nn.Module) or a run can dream, but got {type(subject).__name__}")
    return network
