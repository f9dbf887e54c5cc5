"""Which pixels of the input a number in the middle of a network depends on, followed where torch computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

aten = torch.ops.aten
Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Edge:
    """A pixel of the input for each place i: a pattern that is repeated, `step` pixels further every time."""

    pattern: tuple[float, ...]
    step: float

    def __call__(self, i: int) -> float:
        times, place = divmod(i, len(self.pattern))
        return self.pattern[place] + times * self.step if times else self.pattern[place]

    def through(self, a: int, b: int, c: int, rounded: Callable[[int, int], int]) -> Edge:
        """The pixel of place (a·i + c)/b of what was before, rounded."""
        common = math.gcd(len(self.pattern), a)
        period = range(b * len(self.pattern) // common)
        return Edge(tuple(self(rounded(a * i + c, b)) for i in period), self.step * a / common)

    def joined(self, other: Edge, choose: Callable[[float, float], float]) -> Edge:
        count = math.lcm(len(self.pattern), len(other.pattern))
        steps = (edge.step * count / len(edge.pattern) for edge in (self, other))
        return Edge(tuple(choose(self(i), other(i)) for i in range(count)), max(steps))


def _down(x: int, y: int) -> int:
    return x // y


def _up(x: int, y: int) -> int:
    return -(-x // y)


@dataclass(frozen=True)
class Span:
    """The first and the last pixel of an axis of the input that each place of an axis sees."""

    low: Edge = Edge((0.0,), 1.0)
    high: Edge = Edge((0.0,), 1.0)

    def slid(self, kernel: int, stride: int, before: int, dilation: int = 1) -> Span:
        """After a window of that many taps: the field grows by (kernel − 1)·dilation·jump, the jump by the stride."""
        last = dilation * (kernel - 1) - before
        return Span(self.low.through(stride, 1, -before, _down), self.high.through(stride, 1, last, _down))

    def spread(self, kernel: int, stride: int, before: int, dilation: int) -> Span:
        """After a transposed convolution, whose places meet only every stride-th tap of the window."""
        first = before - dilation * (kernel - 1)
        return Span(self.low.through(1, stride, first, _up), self.high.through(1, stride, before, _down))

    def between(self, before: int, after: int, neighbours: int) -> Span:
        """After interpolation from so many places to others: the nearest one, or those on both sides."""
        if neighbours == 1:
            return Span(*(edge.through(before, after, 0, _down) for edge in (self.low, self.high)))
        middle = before - after  # place (i + 1/2)·before/after − 1/2
        return Span(
            self.low.through(2 * before, 2 * after, middle, _down),
            self.high.through(2 * before, 2 * after, middle, _up),
        )

    def averaged(self, before: int, after: int) -> Span:
        """After adaptive pooling from so many places to fewer."""
        return Span(self.low.through(before, after, 0, _down), self.high.through(before, after, before - after, _up))

    def joined(self, other: Span) -> Span:
        return Span(self.low.joined(other.low, min), self.high.joined(other.high, max))

    @property
    def whole(self) -> bool:
        return math.isinf(self.high(0))

    @property
    def size(self) -> int | None:
        """The most pixels that a place sees; None for all that there are."""
        count = max(len(self.low.pattern), len(self.high.pattern))
        return None if self.whole else int(max(self.high(i) - self.low(i) + 1 for i in range(count)))

    @property
    def jump(self) -> float:
        return self.low.step / len(self.low.pattern)


WHOLE = Span(Edge((-math.inf,), 0.0), Edge((math.inf,), 0.0))


@dataclass(frozen=True)
class Field:
    """What a tensor sees: a span for each of its last axes, or, once these are flattened, for all of its numbers."""

    spans: tuple[Span, ...]
    flat: bool = False

    @property
    def whole(self) -> bool:
        return all(span.whole for span in self.spans)


class ReceptiveFields(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows pictures (N, channels, …) with one to three axes of places through all that torch does to them.

    A convolution or a pool of kernel f, stride s and dilation d makes a field r with jump j to r + d(f − 1)·j with jump
    j·s; where branches meet, the field is what all of them see together. Where places are mixed in a way that it cannot
    follow (attention, recurrence, sorting …), the field is not known.

    Source: Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill, 2019.

        >>> x = torch.zeros(1, 1, 8, 8)
        >>> with ReceptiveFields(x) as fields:
        ...     y = nn.Conv2d(1, 1, 3, stride=2)(x)
        >>> fields.of(y)
        ((3, 3), (2.0, 2.0))
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.fields: Any = WeakTensorKeyDictionary()  # tensor → Field, or None for one that is not known
        self.batch = len(inputs)
        if inputs.dim() in (3, 4, 5) and inputs.is_floating_point():
            self.fields[inputs] = Field((Span(),) * (inputs.dim() - 2))

    def of(self, tensor: Tensor) -> tuple[tuple[int | None, ...], tuple[float, ...]]:
        """Its size (None: all of the input) and its jump per axis; empty where they are not known."""
        field = self.fields.get(tensor)
        return (tuple(s.size for s in field.spans), tuple(s.jump for s in field.spans)) if field else ((), ())

    def __torch_dispatch__(self, func: Any, types: Any, args: Arguments = (), kwargs: Any = None) -> Any:
        seen = [(t, self.fields[t]) for t in _tensors((args, kwargs)) if t in self.fields]
        output = func(*args, **(kwargs or {}))
        if seen:
            rule = RULES.get(func._overloadpacket) or (_together if torch.Tag.pointwise in func.tags else None)
            if rule is None and func._schema.is_mutable:  # a part of something larger may have been written
                self.fields = WeakTensorKeyDictionary()
                return output
            for i, tensor in enumerate(_tensors(output)):
                self.fields[tensor] = self._field(rule, seen, args, tensor) if i == 0 or rule is _kept else None
        return output

    def _field(self, rule: Rule | None, seen: Seen, args: Arguments, output: Tensor) -> Field | None:
        fields = [field for _, field in seen]
        if any(field is None for field in fields):
            return None
        if all(field.whole for field in fields):
            return Field(fields[0].spans)
        if rule in (_product, _kept, _together) or not any(field.flat for field in fields):
            return rule(seen, args, output, self.batch) if rule else None
        return None


Seen = Sequence[tuple[Tensor, Any]]  # the tensors that an operation took, and their fields
Rule = Callable[[Seen, Arguments, Tensor, int], Field | None]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def _argument(args: Arguments, place: int, default: Any) -> Any:
    return args[place] if len(args) > place and args[place] not in ([], None) else default


def _per_axis(value: Any, count: int) -> list[Any]:
    """Of the last axes."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    return (values * count if len(values) == 1 else values)[-count:]


def _axes(field: Field, tensor: Tensor, dims: Any) -> set[int]:
    """Which of the field's axes these dimensions of the tensor are; others are below 0."""
    dims = range(tensor.dim()) if dims is None else [dims] if isinstance(dims, int) else dims
    return {d % tensor.dim() - (tensor.dim() - len(field.spans)) for d in dims}


def _sizes(field: Field, tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[-len(field.spans) :])


def _fits(sizes: tuple[int, ...], larger: tuple[int, ...]) -> bool:
    return all(n in (1, m) for n, m in zip(sizes, larger, strict=True))


def _together(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    """Each place sees what the same place of all operands sees."""
    fields = [field for _, field in seen]
    if any(field.flat for field in fields):
        if not all(field.flat or field.whole for field in fields):
            return None
    elif any(not f.whole and not _fits(_sizes(f, tensor), _sizes(f, output)) for tensor, f in seen):
        return None
    spans = (reduce(Span.joined, one) for one in zip(*(field.spans for field in fields), strict=True))
    return Field(tuple(spans), any(field.flat for field in fields))


def _joined(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    across = _axes(seen[0][1], output, _argument(args, 1, 0))
    return None if max(across) >= 0 and not seen[0][1].flat else _together(seen, args, output, batch)


def _kept(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    """The numbers are the same, in the same or another form."""
    tensor: Tensor
    field: Field
    [(tensor, field)] = seen[:1]
    if field.flat or _sizes(field, tensor) == _sizes(field, output):
        return field
    return replace(field, flat=True) if tensor.numel() == output.numel() else None


def _turned(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    [(tensor, field)] = seen
    dims = list(range(tensor.dim()))
    if len(args) > 2:
        dims[args[1]], dims[args[2]] = dims[args[2]], dims[args[1]]
    elif len(args) == 2:
        dims = [d % tensor.dim() for d in args[1]]
    else:
        dims.reverse()
    count = len(field.spans)
    return field if dims[-count:] == list(range(tensor.dim()))[-count:] else None


def _picked(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    [(tensor, field)] = seen
    return None if max(_axes(field, tensor, args[1])) >= 0 else field


def _sliced(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    [(tensor, field)] = seen
    spans = list(field.spans)
    for axis in _axes(field, tensor, _argument(args, 1, 0)):
        if axis >= 0:
            start, step = _argument(args, 2, 0), _argument(args, 4, 1)
            length = tensor.shape[axis - len(spans)]
            spans[axis] = spans[axis].slid(1, step, -(start + length if start < 0 else start))
    return Field(tuple(spans))


def _padded(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    [(_, field)] = seen
    before = [*args[1][::2], *[0] * len(field.spans)]  # of the last axis first
    return Field(tuple(s.slid(1, 1, p) for s, p in zip(field.spans, before[len(field.spans) - 1 :: -1], strict=True)))


def _convolved(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    if len(seen) > 1 or seen[0][0] is not args[0]:  # its weights depend on the input too
        return None
    spans = seen[0][1].spans
    how = [_per_axis(v, len(spans)) for v in (args[1].shape[2:], *args[3:6])]
    slide = Span.spread if args[6] else Span.slid
    return Field(tuple(slide(span, *numbers) for span, *numbers in zip(spans, *how, strict=True)))


def _pooled(dilated: bool) -> Rule:
    def pooled(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
        spans = seen[0][1].spans
        dilation = _argument(args, 4, 1) if dilated else 1
        given = (args[1], _argument(args, 2, args[1]), _argument(args, 3, 0), dilation)
        how = [_per_axis(v, len(spans)) for v in given]
        return Field(tuple(span.slid(*numbers) for span, *numbers in zip(spans, *how, strict=True)))

    return pooled


def _adapted(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    [(tensor, field)] = seen
    sizes = zip(field.spans, _sizes(field, tensor), _sizes(field, output), strict=True)
    return Field(tuple(WHOLE if m == 1 else span.averaged(n, m) for span, n, m in sizes))


def _resized(neighbours: int) -> Rule:
    def resized(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
        [(tensor, field)] = seen
        sizes = zip(field.spans, _sizes(field, tensor), _sizes(field, output), strict=True)
        return Field(tuple(span.between(n, m, neighbours) for span, n, m in sizes))

    return resized


def _reduced(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    """Sums, means and shares along axes: their places are mixed, whatever becomes of the axis."""
    [(tensor, field)] = seen
    over = _axes(field, tensor, _argument(args, 1, None))
    mixed = Field(tuple(WHOLE if axis in over else span for axis, span in enumerate(field.spans)))
    return mixed if mixed.whole or max(over) < 0 or output.dim() == tensor.dim() else None


def _mixed(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    return Field((WHOLE,) * len(seen[0][1].spans))


def _normalised(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    """Batch normalisation: by stored numbers, or by those of the batch."""
    return _mixed(seen, args, output, batch) if args[5] else _together(seen, args, output, batch)


def _product(seen: Seen, args: Arguments, output: Tensor, batch: int) -> Field | None:
    """A row of all numbers of a sample, times a matrix."""
    [(tensor, _)] = seen[:1]
    return _mixed(seen, args, output, batch) if len(seen) == 1 and tensor.shape[:-1] == (batch,) else None


def _named(*names: str) -> list[Any]:
    return [getattr(aten, name) for name in names]


RULES: dict[Any, Rule] = {
    **dict.fromkeys(_named("hardswish", "hardswish_", "_prelu_kernel", "clone", "_to_copy", "detach"), _together),
    **dict.fromkeys(
        _named(
            "view",
            "_unsafe_view",
            "unsqueeze",
            "squeeze",
            "split",
            "split_with_sizes",
            "channel_shuffle",
            "native_channel_shuffle",
        ),
        _kept,
    ),
    **dict.fromkeys(_named("t", "transpose", "permute"), _turned),
    **dict.fromkeys(_named("index_select", "select"), _picked),
    **dict.fromkeys(_named("mean", "sum", "amax", "amin", "_softmax", "_log_softmax"), _reduced),
    **dict.fromkeys(_named("native_batch_norm", "cudnn_batch_norm"), _normalised),
    **dict.fromkeys(_named("native_group_norm"), _mixed),
    **dict.fromkeys(_named("mm", "addmm"), _product),
    **dict.fromkeys(_named("max_pool2d_with_indices", "max_pool3d_with_indices"), _pooled(dilated=True)),
    **dict.fromkeys(_named("avg_pool2d", "avg_pool3d"), _pooled(dilated=False)),
    **dict.fromkeys(_named("_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), _adapted),
    **dict.fromkeys(_named("adaptive_max_pool2d", "adaptive_max_pool3d"), _adapted),
    **dict.fromkeys(_named("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"), _resized(1)),
    **dict.fromkeys(_named("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"), _resized(2)),
    **dict.fromkeys(_named("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d"), _padded),
    **dict.fromkeys(_named("replication_pad1d", "replication_pad2d", "replication_pad3d"), _padded),
    aten.cat: _joined,
    aten.slice: _sliced,
    aten.convolution: _convolved,
}
