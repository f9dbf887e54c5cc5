"""Short experiments on a copy of the program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from osler.doctor.program import call, evaluate
from osler.doctor.tree import change, leaves, rows, take


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
        alone = call(model, take(inputs, first))
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
