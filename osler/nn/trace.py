"""What a network consists of: one forward pass, watched by hooks, as one row per layer."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from osler.nn.multiply_adds import MultiplyAdds
from osler.nn.receptive_field import ReceptiveFields
from osler.records import Layer, Window

AXES = {1: "L", 2: "HW", 3: "DHW"}


def layers(module: nn.Module, *inputs: Tensor) -> list[Layer]:
    """One row per call of a layer, in the order of execution, from one forward pass of `inputs` (with batch axes).

    A layer is a module that calls no other module. One that is called twice has two rows; its parameters count in the
    first. A module that calls others but holds parameters itself has a row for those, before its layers; one that was
    never called has a row at the end. So the rows add up to the network's number of parameters, each counted once; and
    to its multiply-adds, for what a module computes itself, between its layers, counts in a row of its own too.

    The module is left as it was: mode, buffers, hooks and the random state.

        >>> [row] = layers(nn.Conv2d(1, 6, 5), torch.zeros(1, 1, 32, 32))
        >>> row.outputs, row.parameters, row.arithmetic
        ((6, 28, 28), 156, '⌊(32 + 2·0 − 5)/1⌋ + 1 = 28')
        >>> row.multiply_adds, row.receptive_field, row.jump
        (117600, (5, 5), (1.0, 1.0))
    """
    # The parametrisation of a weight (spectral norm) belongs to its layer.
    names = {m: name or type_before_parametrizations(m).__name__ for name, m in module.named_modules()}
    watched = [m for m, name in names.items() if "parametrizations" not in name.split(".")]
    rows: list[Layer] = []
    calls: list[_Call] = []  # under way
    counted: set[int] = set()
    first = inputs[0]
    samples = first.shape[1 if getattr(module, "batch_first", True) is False and first.dim() > 2 else 0]

    def count(parameters: Iterable[nn.Parameter]) -> int:
        new = {id(p): p.numel() for p in parameters if id(p) not in counted}
        counted.update(new)
        return sum(new.values())

    def begin(called: nn.Module, arguments: Any) -> None:
        calls.append(_Call(len(rows), work.count, len(work.unknown)))

    def end(called: nn.Module, arguments: Any, options: Any, output: Any) -> None:
        call = calls.pop()
        is_layer = call.row == len(rows)
        own = count(called.parameters() if is_layer else _direct(called))
        done = work.count - call.work - call.inner
        unknown = len(work.unknown) - call.unknown - call.inner_unknown
        if calls:
            calls[-1].inner += work.count - call.work
            calls[-1].inner_unknown += len(work.unknown) - call.unknown
        if not is_layer and not own and not done and not unknown:
            return
        batch = 1 if getattr(called, "batch_first", True) is False else 0
        before, after = _shape((arguments, options), batch), _shape(output, batch)
        made = next(_tensors(output), None)
        field, jump = ((), ()) if made is None else fields.of(made)
        rows.insert(
            call.row,
            Layer(
                names[called],
                type_before_parametrizations(called).__name__,
                before,
                after,
                own,
                _arithmetic(called, before, after, own) if is_layer else _OWN[bool(own), bool(done or unknown)],
                _window(called, len(before) - 1) if is_layer else None,
                None if unknown else round(done / max(samples, 1)),
                field,
                jump,
            ),
        )

    handles = []
    work, fields = MultiplyAdds(), ReceptiveFields(first)
    try:
        for m in watched:
            handles += [m.register_forward_pre_hook(begin), m.register_forward_hook(end, with_kwargs=True)]
        with _undisturbed(module, first), torch.no_grad(), work, fields:
            module.eval()(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    uncalled = [(m, own) for m in names if (own := count(_direct(m)))]
    why = "not called in this pass"
    return rows + [Layer(names[m], type_before_parametrizations(m).__name__, (), (), own, why) for m, own in uncalled]


_OWN = {
    (True, False): "held by the module itself",
    (False, True): "computed by the module itself",
    (True, True): "held and computed by the module itself",
}


@dataclass
class _Call:
    """A call of a module that is under way."""

    row: int  # how many rows there were when it began
    work: int  # how many multiply-adds
    unknown: int
    inner: int = 0  # of these, those of the modules that it called
    inner_unknown: int = 0


def _direct(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters that a module holds itself, also in lists and dictionaries of parameters."""
    yield from module.parameters(recurse=False)
    for child in module.children():
        if isinstance(child, nn.ParameterList | nn.ParameterDict):
            yield from child.parameters()


@contextmanager
def _undisturbed(module: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Attention in its parts rather than as one call; afterwards modes, buffers and the random state are put back."""
    modes = {m: m.training for m in module.modules()}
    buffers = [(m, key, b, b.clone()) for m in modes for key, b in m._buffers.items() if b is not None]
    fused = torch.backends.mha.get_fastpath_enabled()
    with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            for m, mode in modes.items():
                m.training = mode
            for m, key, buffer, value in buffers:
                m._buffers[key] = buffer
                if buffer.is_meta:
                    continue
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


def _window(module: Any, count: int) -> Window | None:
    """What a layer slides over so many axes of places: convolutions and pools, ours and strangers'."""
    if count not in AXES or not hasattr(module, "kernel_size") or not hasattr(module, "stride"):
        return None
    try:
        kernel, stride = _per_axis(module.kernel_size, count), _per_axis(module.stride, count)
        dilation = _per_axis(getattr(module, "dilation", 1), count)
        padding: Any = getattr(module, "padding", 0)
        if padding == "same":
            total = [d * (f - 1) for f, d in zip(kernel, dilation, strict=True)]
            around = tuple((p // 2, p - p // 2) for p in total)
        else:
            around = tuple((p, p) for p in _per_axis(0 if padding == "valid" else padding, count))
    except (TypeError, ValueError):  # a stranger's module may mean something else by these names
        return None
    if {len(kernel), len(stride), len(dilation), len(around)} != {count}:
        return None
    return Window(
        kernel, stride, around, dilation, getattr(module, "groups", 1), getattr(module, "padding_mode", "zeros")
    )


def _window_arithmetic(module: Any, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    """⌊(n + 2p − d(f − 1) − 1)/s⌋ + 1, which is ⌊(n + 2p − f)/s⌋ + 1 where nothing is dilated."""
    window = _window(module, len(before))
    if window is None:
        return ""
    extra = _per_axis(getattr(module, "output_padding", 0), len(before))
    left, right = "⌈⌉" if getattr(module, "ceil_mode", False) else "⌊⌋"
    rounded = math.ceil if left == "⌈" else math.floor

    texts = []
    sizes = zip(before, window.kernel, window.padding, window.stride, window.dilation, extra, after, strict=True)
    for n, f, (p, q), s, d, more, size in sizes:
        padded = f"2·{p}" if p == q else str(p + q)
        reach = d * (f - 1) + 1
        if getattr(module, "transposed", False):
            value = (n - 1) * s - p - q + reach + more
            taps = f"{f}" if d == 1 else f"{d}·({f} − 1) + 1"
            text = f"({n} − 1)·{s} − {padded} + {taps}" + (f" + {more}" if more else "")
        else:
            value = rounded((n + p + q - reach) / s) + 1
            taps = f"{f}" if d == 1 else f"{d}·({f} − 1) − 1"
            text = f"{left}({n} + {padded} − {taps})/{s}{right} + 1"
        if value != size:  # a layer that computes its size by another rule
            return ""
        texts.append(f"{text} = {size}")
    if len(set(texts)) == 1:
        return texts[0]
    return ", ".join(f"{axis}: {text}" for axis, text in zip(AXES[len(before)], texts, strict=True))


def _per_axis(value: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * count if len(values) == 1 else values


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ") if number >= 10_000 else str(number)
