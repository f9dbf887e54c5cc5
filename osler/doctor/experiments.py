"""Short experiments on a copy of the program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from osler.doctor.program import call, call_copy, evaluate
from osler.doctor.tracing import Tracer, named_calls
from osler.doctor.tree import change, leaves, rows, take

LAYERED = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def tiled_ratio(loss: Callable[..., Any], output: Any, target: Any) -> float | None:
    """Loss of a batch that holds every sample twice, over the loss of the batch: 1 for a mean, 2 for a sum."""
    count = rows(target)
    if count < 1:
        return None

    def twice(t: Tensor) -> Tensor:
        return torch.cat([t, t]) if t.dim() and len(t) == count else t

    with torch.no_grad():
        once = float(evaluate(loss, output, target))
        doubled = float(evaluate(loss, change(output, twice), change(target, twice)))
    if not math.isfinite(once) or not math.isfinite(doubled) or abs(once) < 1e-12:
        return None
    return doubled / once


def difference(first: Any, second: Any) -> float:
    """How far two outputs differ, relative to how much the first varies."""
    worst = 0.0
    for a, b in zip(leaves(first), leaves(second), strict=False):
        if a.shape != b.shape or not a.is_floating_point() or not a.numel():
            continue
        scale = float(a.detach().float().abs().mean()) + 1e-8
        gap = float((a.detach().float() - b.detach().float()).abs().max())
        worst = max(worst, gap / scale)
    return worst


def leak(model: nn.Module, inputs: Any, output: Any) -> float:
    """How much the outputs of samples change when the other half of the batch is missing; in evaluation mode 0."""
    half = rows(inputs) // 2
    if half < 1:
        return 0.0
    first = slice(0, half)
    with torch.no_grad():
        alone = call_copy(model, take(inputs, first))
    count = rows(inputs)
    if any(not t.dim() or len(t) != count for t in leaves(output)):
        return 0.0
    return difference(alone, take(output, first))


def curvature(
    objective: Callable[[], Tensor], parameters: Sequence[Tensor], gradients: Sequence[Tensor], steps: int = 3
) -> float | None:
    """Largest curvature of the loss that a few power iterations find (a lower bound of λmax).

    Gradient descent on a quadratic is stable below 2/λmax. Products with the Hessian are differences of gradients; the
    iteration starts from the gradient itself, the direction in which the first step goes.
    """
    direction = [g.clone() for g in gradients]
    best: float | None = None
    for _ in range(steps):
        size = math.sqrt(sum(float(d.pow(2).sum()) for d in direction))
        scale = math.sqrt(sum(float(p.detach().pow(2).sum()) for p in parameters))
        if size == 0 or not math.isfinite(size):
            return best
        step = 1e-3 * max(scale, 1e-2) / size
        _shift(parameters, direction, step)
        ahead = torch.autograd.grad(objective(), list(parameters), allow_unused=True)
        _shift(parameters, direction, -step)
        product = [
            (torch.zeros_like(p) if a is None else (a - g)) / step
            for p, a, g in zip(parameters, ahead, gradients, strict=True)
        ]
        along = sum(float((d * h).sum()) for d, h in zip(direction, product, strict=True)) / size**2
        if not math.isfinite(along):
            return best
        best = along if best is None else max(best, along)
        direction = product
    return best


def _shift(parameters: Sequence[Tensor], direction: Sequence[Tensor], step: float) -> None:
    with torch.no_grad():
        for p, d in zip(parameters, direction, strict=True):
            p.add_(d, alpha=step)


def reacts(objective: Callable[[], Tensor], parameters: Sequence[Tensor]) -> bool:
    """Whether the loss changes when these parameters do, of which it knows no gradient: then the graph is cut.

    The same random numbers are drawn for both passes.
    """

    def value() -> Tensor:
        torch.manual_seed(0)
        return objective().detach()

    with torch.no_grad():
        before = value()
        kept = [p.clone() for p in parameters]
        draw = torch.Generator().manual_seed(1)
        for p in parameters:
            p.add_(0.3 * (p.std(correction=0) + 0.1) * torch.randn(p.shape, generator=draw).to(p))
        after = value()
        for p, old in zip(parameters, kept, strict=True):
            p.copy_(old)
    return bool((before - after).abs() > 1e-5 * (before.abs() + 1e-8))


def sees_later(model: nn.Module, tokens: Tensor) -> bool | None:
    """Whether outputs for early places of a sequence (N, T) of whole numbers depend on its last one.

    None where outputs have no place for each token, or do not react to it at all.
    """
    length = tokens.shape[1]
    changed = tokens.clone()
    changed[:, -1] = tokens[:, -1].roll(1) if bool((tokens[:, -1] != tokens[0, -1]).any()) else tokens[:, 0]
    rows_changed = changed[:, -1] != tokens[:, -1]
    with torch.no_grad():
        first, second = (next(leaves(call_copy(model, t)), None) for t in (tokens, changed))
    if first is None or second is None or first.dim() != 3 or not bool(rows_changed.any()):
        return None
    axis = next((a for a in (1, 2) if first.shape[a] == length), None)
    if axis is None or first.shape[0] != len(tokens):
        return None
    gap = (first - second).abs().movedim(axis, 1)[rows_changed].amax((0, 2))  # (T,)
    if float(gap.max()) == 0:
        return None
    return float(gap[: length - 1].max()) > 1e-3 * float(gap.max())


def time_flow(model: nn.Module, loss: Callable[..., Any], inputs: Any, target: Any) -> float | None:
    """Gradient of the first quarter of a sequence over that of its last quarter, where a recurrent layer reads it."""
    inputs = change(inputs, lambda t: t.clone().requires_grad_() * 1 if t.is_floating_point() else t)
    tracer = Tracer(model, inputs, target)
    with torch.enable_grad(), named_calls(model) as stack, tracer:
        tracer.stack = stack
        value = evaluate(loss, call(model, inputs), target)
    reader = next((op for op in tracer.graph.forward() if op.name in LAYERED), None)
    if reader is None or not reader.operands or reader.operands[0].dim() != 3:  # (N, T, F) or (T, N, F)
        return None
    layer = dict(model.named_modules()).get(reader.module)
    sequence, axis = reader.operands[0], 1 if getattr(layer, "batch_first", False) else 0
    if not sequence.requires_grad or sequence.shape[axis] < 8:
        return None
    [gradient] = torch.autograd.grad(value, [sequence], allow_unused=True)
    if gradient is None:
        return None
    sizes = gradient.float().norm(dim=2).mean(1 - axis)
    quarter = len(sizes) // 4
    late = float(sizes[-quarter:].mean())
    return float(sizes[:quarter].mean()) / late if late > 0 else None
