"""FTRL-proximal: an optimizer that sets the weights of useless inputs to exactly zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from osler.errors import InputError
from osler.optim.options import nonnegative, positive

# On a processor the update goes block by block, so that its passes find their numbers in the cache. Below 2**15 torch
# divides no pass but the root's among threads, whose waiting for each other would cost more than the pass.
BLOCK = 2**15 - 64
# From this size on a compiled update of one tensor is worth its call.
LARGE = 2**18


class Ftrl(Optimizer):
    """Follow the regularised leader, per coordinate: Adagrad with L1 that gives exact zeros, for sparse data.

    Formula: with the gradient g, and √, |·| and clip taken per coordinate,

        n ← n + g²              squared gradients so far
        d ← (β + √n) / lr       inverse learning rate
        v ← d·w − g + r         (the paper's −z)
        r ← clip(v, −l1, l1)
        w ← (v − r) / (d + l2)  exactly 0 where |v| ≤ l1
        r ← r + l2·w            gradient of the penalties at the new w

    This is algorithm 1 of the paper for weights that start at 0. It is written in r instead of z, which is the same
    (z = −d·w − r), but allows what the paper has no need of: other weights to start from, and an lr that follows a
    schedule (with z, all weights would shrink with lr). With l1 = l2 = 0 it is Adagrad with eps = β.

    Shapes: any; n and r have the parameter's (two numbers of state per weight). Gradients are dense; sparse ones raise.
    Defaults: lr (the paper's α) 0.1, beta 1, l1 0, l2 0; each may differ by parameter group. l1 and l2 belong to the
    sum of the losses of all steps: the gradients of a weight must add up to more than l1 before it leaves 0.
    `fused=True` lets torch.compile make one pass of the update of large tensors: two to three times as fast on a
    processor with one thread, more with many; but it needs a C++ compiler, and some ten seconds at the first step.
    Raises: InputError for numbers out of range, for weight_decay in a group (l2 has its place), for complex parameters
    and sparse gradients.
    Use: linear models on very many sparse inputs (clicks, words), where most weights should be 0.
    Source: McMahan et al., "Ad click prediction: a view from the trenches", 2013, algorithm 1.

        >>> import torch
        >>> w = torch.nn.Parameter(torch.zeros(2))
        >>> w.grad = torch.tensor([4.0, 0.5])
        >>> Ftrl([w], lr=1.0, l1=1.0).step()
        >>> w.data
        tensor([-0.6000,  0.0000])
    """

    def __init__(
        self,
        parameters: Any,
        lr: float = 0.1,
        beta: float = 1.0,
        l1: float = 0.0,
        l2: float = 0.0,
        *,
        fused: bool = False,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "beta": beta, "l1": l1, "l2": l2, "fused": fused})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters, with numbers of their own if wanted."""
        group = {**self.defaults, **param_group}
        positive("lr", group["lr"])
        positive("beta", group["beta"])
        nonnegative("l1", group["l1"])
        nonnegative("l2", group["l2"])
        if group.get("weight_decay"):
            raise InputError(f"ftrl takes no weight_decay, got {group['weight_decay']!r}: give l2 instead")
        super().add_param_group(param_group)
        if any(p.is_complex() for p in self.param_groups[-1]["params"]):
            raise InputError("ftrl compares weights with thresholds, so they must be real, got complex parameters")

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient; the closure, if any, computes loss and gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if not group["lr"]:  # the end of a schedule
                continue
            numbers = {"rate": 1 / group["lr"], **{name: group[name] for name in ("beta", "l1", "l2")}}
            rows = [self._row(p) for p in group["params"] if p.grad is not None]
            if group["fused"]:
                rows = _update_large(rows, numbers)
            for block in _blocks(rows):
                _update(*block, **numbers)
        return loss

    def _row(self, parameter: Tensor) -> list[Tensor]:
        """[weights, gradient, n, r] of one parameter."""
        gradient = parameter.grad
        assert gradient is not None
        if gradient.layout != torch.strided:
            raise InputError(f"ftrl needs dense gradients, got {gradient.layout}: use nn.Embedding with sparse=False")
        state = self.state[parameter]
        if not state:
            state["n"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["r"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return [parameter, gradient, state["n"], state["r"]]


def _update(
    w: list[Tensor], g: list[Tensor], n: list[Tensor], r: list[Tensor], *, rate: Any, beta: float, l1: float, l2: float
) -> None:
    """The formula of `Ftrl`, in place, for several tensors at once; rate = 1 / lr."""
    torch._foreach_addcmul_(n, g, g)
    d = torch._foreach_sqrt(n)
    torch._foreach_add_(d, beta)
    torch._foreach_mul_(d, rate)
    torch._foreach_sub_(r, g)
    torch._foreach_addcmul_(r, d, w)  # v
    torch._foreach_copy_(w, r)
    torch._foreach_clamp_min_(r, -l1)
    torch._foreach_clamp_max_(r, l1)
    torch._foreach_sub_(w, r)
    if l2:
        torch._foreach_add_(d, l2)
    torch._foreach_div_(w, d)
    if l2:
        torch._foreach_add_(r, w, alpha=l2)


def _blocks(rows: list[list[Tensor]]) -> Iterator[list[list[Tensor]]]:
    """The same tensors as lists for `_update`: in blocks on a processor, all at once on a device."""
    if rows and rows[0][0].device.type != "cpu":
        yield _columns(rows)
        return
    block: list[list[Tensor]] = []
    filled = 0
    for piece in (piece for row in rows for piece in _pieces(row)):
        block.append(piece)
        filled += piece[0].numel()
        if filled >= BLOCK:
            yield _columns(block)
            block, filled = [], 0
    if block:
        yield _columns(block)


def _pieces(row: list[Tensor]) -> Iterator[list[Tensor]]:
    """The row in portions of at most a block, as far as it can be viewed as flat."""
    if row[0].numel() <= BLOCK or not all(t.is_contiguous() for t in row):
        yield row
    else:
        yield from map(list, zip(*(torch.split(t.view(-1), BLOCK) for t in row), strict=True))


def _columns(rows: list[list[Tensor]]) -> list[list[Tensor]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _update_large(rows: list[list[Tensor]], numbers: dict[str, float]) -> list[list[Tensor]]:
    """Updates the large tensors by a compiled function, and gives back the others."""
    others = []
    for row in rows:
        if row[0].numel() >= LARGE and all(t.is_contiguous() for t in row):
            # As a tensor, it can follow a schedule without being compiled again.
            rate = torch.full((), numbers["rate"], dtype=row[0].dtype, device=row[0].device)
            _compiled()(*([t.view(-1)] for t in row), **{**numbers, "rate": rate})
        else:
            others.append(row)
    return others


@cache
def _compiled() -> Callable[..., None]:
    return torch.compile(_update, dynamic=True)
