"""What a network consists of: one forward pass, watched by hooks, as one row per layer."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from osler.records import Layer

AXES = {1: "L", 2: "HW", 3: "DHW"}


def layers(module: nn.Module, *inputs: Tensor) -> list[Layer]:
    """One row per call of a layer, in the order of execution, from one forward pass of `inputs` (with batch axes).

    A layer is a module that calls no other module. One that is called twice has two rows; its parameters count in the
    first. A module that calls others but holds parameters itself has a row for those, before its layers; one that was
    never called has a row at the end. So the rows add up to the network's number of parameters, each counted once.

    The module is left as it was: mode, buffers, hooks and the random state.

        >>> [row] = layers(nn.Conv2d(1, 6, 5), torch.zeros(1, 1, 32, 32))
        >>> row.outputs, row.parameters, row.arithmetic
        ((6, 28, 28), 156, '⌊(32 + 2·0 − 5)/1⌋ + 1 = 28')
    """
    # The parametrisation of a weight (spectral norm) belongs to its layer.
    names = {m: name or type_before_parametrizations(m).__name__ for name, m in module.named_modules()}
    watched = [m for m, name in names.items() if "parametrizations" not in name.split(".")]
    rows: list[Layer] = []
    starts: list[int] = []  # for every call that is under way: how many rows there were when it began
    counted: set[int] = set()

    def count(parameters: Iterable[nn.Parameter]) -> int:
        new = {id(p): p.numel() for p in parameters if id(p) not in counted}
        counted.update(new)
        return sum(new.values())

    def row(of: nn.Module, before: tuple[int, ...], after: tuple[int, ...], own: int, arithmetic: str) -> Layer:
        return Layer(names[of], type_before_parametrizations(of).__name__, before, after, own, arithmetic)

    def begin(called: nn.Module, arguments: Any) -> None:
        starts.append(len(rows))

    def end(called: nn.Module, arguments: Any, options: Any, output: Any) -> None:
        start = starts.pop()
        is_layer = start == len(rows)
        own = count(called.parameters() if is_layer else _direct(called))
        if is_layer or own:
            batch = 1 if getattr(called, "batch_first", True) is False else 0
            before, after = _shape((arguments, options), batch), _shape(output, batch)
            arithmetic = _arithmetic(called, before, after, own) if is_layer else "held by the module itself"
            rows.insert(start, row(called, before, after, own, arithmetic))

    handles = []
    try:
        for m in watched:
            handles += [m.register_forward_pre_hook(begin), m.register_forward_hook(end, with_kwargs=True)]
        with _undisturbed(module, inputs[0]), torch.no_grad():
            module.eval()(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    uncalled = [(m, own) for m in names if (own := count(_direct(m)))]
    return rows + [row(m, (), (), own, "not called in this pass") for m, own in uncalled]


def _direct(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that a module holds itself, also in lists and dictionaries of parameters."""
    yield from module.parameters(recurse=False)
    for child in module.children():
        if isinstance(child, nn.ParameterList | nn.ParameterDict):
            yield from child.parameters()


@contextmanager
def _undisturbed(module: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Puts back the modes, the buffers and the random state."""
    modes = {m: m.training for m in module.modules()}
    buffers = [(m, key, b, b.clone()) for m in modes for key, b in m._buffers.items() if b is not None]
    with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
        try:
            yield
        finally:
            for m, mode in modes.items():
                m.training = mode
            for m, key, buffer, value in buffers:
                m._buffers[key] = buffer
                if not torch.equal(buffer, value):  # a write would invalidate a backward pass that is still to come
                    buffer.data.copy_(value)


def _shape(value: Any, batch: int) -> tuple[int, ...]:
    """The shape of the first tensor in nested tuples, lists and dicts, without its batch axis."""
    tensor = next(_tensors(value), None)
    if tensor is None:
        return ()
    batch = batch if tensor.ndim > 2 else 0
    return tuple(n for axis, n in enumerate(tensor.shape) if axis != batch)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def _arithmetic(module: nn.Module, before: tuple[int, ...], after: tuple[int, ...], own: int) -> str:
    if isinstance(module, nn.Flatten) and len(after) == 1:
        return f"{'·'.join(map(str, before))} = {after[0]}"
    if isinstance(module, nn.Linear | nn.Embedding):
        if own != sum(p.numel() for p in module.parameters()):
            return ""  # shared with a row above
        sizes = list(module.weight.shape)
        if isinstance(module, nn.Linear):
            sizes.reverse()  # inputs · outputs
        bias = f" + {sizes[1]}" if getattr(module, "bias", None) is not None else ""
        return f"{sizes[0]}·{sizes[1]}{bias} = {_grouped(own)} parameters"
    if len(before) != len(after) or len(before) - 1 not in AXES:
        return ""
    if type(module).__name__.startswith("Adaptive"):
        return f"{'×'.join(map(str, before[1:]))} → {'×'.join(map(str, after[1:]))}"
    if hasattr(module, "kernel_size") and hasattr(module, "stride"):
        return _window_arithmetic(module, before[1:], after[1:])
    return ""


def _window_arithmetic(module: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    """⌊(n + 2p − f)/s⌋ + 1 of anything that slides a window: convolutions and pools, ours and strangers'."""
    count = len(before)
    kernel = _per_axis(module.kernel_size, count)
    stride = _per_axis(module.stride, count)
    dilation = _per_axis(getattr(module, "dilation", 1), count)
    window = [d * (f - 1) + 1 for d, f in zip(dilation, kernel, strict=True)]
    padding: Any = getattr(module, "padding", 0)
    if padding == "same":
        total = [f - 1 for f in window]
    else:
        total = [2 * p for p in _per_axis(0 if padding == "valid" else padding, count)]
    extra = _per_axis(getattr(module, "output_padding", 0), count)
    left, right = "⌈⌉" if getattr(module, "ceil_mode", False) else "⌊⌋"
    rounded = math.ceil if left == "⌈" else math.floor

    texts = []
    for n, f, p, s, more, size in zip(before, window, total, stride, extra, after, strict=True):
        padded = f"2·{p // 2}" if p % 2 == 0 else str(p)
        if getattr(module, "transposed", False):
            value = (n - 1) * s - p + f + more
            text = f"({n} − 1)·{s} − {padded} + {f}" + (f" + {more}" if more else "")
        else:
            value = rounded((n + p - f) / s) + 1
            text = f"{left}({n} + {padded} − {f})/{s}{right} + 1"
        if value != size:  # a layer that computes its size by another rule
            return ""
        texts.append(f"{text} = {size}")
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(f"{axis}: {text}" for axis, text in zip(AXES[count], texts, strict=True))


def _per_axis(value: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ") if number >= 10_000 else str(number)
