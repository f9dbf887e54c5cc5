"""How a program is wired: gradients reach what the loss depends on, samples stay apart, targets out of sight."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from osler.doctor.experiments import LAYERED, reacts, sees_later, time_flow
from osler.doctor.graph import INPUT, RESHAPING, Graph, Op
from osler.doctor.program import call_copy, evaluate
from osler.doctor.trace import Trace
from osler.doctor.tree import leaves, rows

SHAPING = ("view", "reshape", "flatten", "view_as", "reshape_as", "unflatten", "ravel")
INSIDE = 24  # sequences that are looked at


def wiring_of(trace: Trace, model: nn.Module, loss: Any, batch: tuple[Any, Any]) -> None:
    """Fills the trace; the model is a copy, in training mode, that this may use up."""
    graph, (x, y) = trace.graph, batch
    if graph is None or graph.error_phase == "forward":
        return
    trace.mixing = mixing(graph, rows(x))
    if graph.input_changed:
        trace.changes_input = next((op for op in graph.forward() if _on_input(graph, op)), None)
    if loss is None or graph.error:
        return
    without = [p for p in trace.parameters if p.trainable and p.optimized and p.gradient is None]
    if without and any(p.gradient is not None for p in trace.parameters):
        shown = graph.ancestors(graph.outputs)
        trace.unused_outputs = tuple(p.name for p in without if f"parameter:{p.name}" in shown)
        tensors = dict(model.named_parameters())
        moved = [tensors[p.name] for p in without if p.name in tensors and tensors[p.name].is_floating_point()]
        if moved and reacts(lambda: evaluate(loss, call_copy(model, x), y), moved):
            trace.cut = tuple(p.name for p in without)
    if any(op.name in LAYERED for op in graph.forward()):
        trace.time_flow = time_flow(model, loss, x, y)


def sight_of(trace: Trace, model: nn.Module, batch: tuple[Any, Any]) -> None:
    """Whether the model sees the tokens that it is to predict; the model is a copy in evaluation mode."""
    tokens, target = (next(leaves(part), None) for part in batch)
    if tokens is None or target is None or tokens.shape != target.shape or tokens.dim() != 2:
        return
    if (
        tokens.is_floating_point()
        or target.is_floating_point()
        or tokens.shape[1] < 4
        or len(list(leaves(batch[0]))) > 1
    ):
        return
    same = bool((tokens == target).all())
    next_ones = bool((tokens[:, 1:] == target[:, :-1]).all())
    if not same and not next_ones:
        return
    later = sees_later(model, tokens[:INSIDE])
    if later is None:
        return
    # Given the token itself only a model that reads forwards was meant to foretell; others may be autoencoders.
    trace.copies_input = same and not later
    trace.sees_target = next_ones and later


def _on_input(graph: Graph, op: Op) -> bool:
    """Whether an operation changes the input itself, or a view of it, in place."""
    return op.in_place and op.name not in RESHAPING and bool(op.inputs) and graph.root(op.inputs[0]) == INPUT


def mixing(graph: Graph, count: int) -> Op | None:
    """A change of shape that makes the batch the first axis of what had it elsewhere, so that samples are mixed."""
    for op in graph.forward():
        if op.name not in SHAPING or not op.shapes or not op.shape or count < 2:
            continue
        before, after = op.shapes[0], op.shape
        if len(before) < 3 or before[0] == count or before.count(count) != 1 or after[0] != count:
            continue
        if math.prod(before) == math.prod(after) and before[before.index(count) + 1 :] != after[1:]:
            return op
    return None
