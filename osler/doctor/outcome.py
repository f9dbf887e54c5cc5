"""What the program has learned, measured on some of its own data when a diagnosis is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from osler.doctor.data import labels
from osler.doctor.experiments import difference, time_flow
from osler.doctor.graph import Graph
from osler.doctor.program import call, call_copy, duplicate, evaluate, quiet
from osler.doctor.trace import Trace, Unit
from osler.doctor.tracing import Tracer, named_calls
from osler.doctor.tree import change, leaves, rows, take
from osler.doctor.units import units_of

SEQUENCES = 64  # by which the gradient along time is measured


@dataclass
class Part:
    """Scores of the trained model on one part of the data."""

    loss: float = math.nan
    score: float | None = None  # accuracy, or R²
    recalls: dict[int, float] = field(default_factory=dict)
    confidence: float | None = None
    guesses: int = 0  # different classes that are predicted
    variation: float = math.nan  # deviation of the predictions over that of the targets
    rows: int = 0


@dataclass
class Outcome:
    train: Part | None = None
    validation: Part | None = None
    shuffled_loss: float = math.nan  # with the inputs of other samples
    mode_gap: float = 0.0  # between outputs in training and in evaluation mode
    mode_losses: tuple[float, float] | None = None
    mode_scores: tuple[float, float] | None = None
    time_flow: float | None = None  # gradient of the first quarter of a sequence over that of the last
    units: list[Unit] = field(default_factory=list)
    latent_spread: float | None = None  # deviation of the units of a bottleneck over the samples, median
    latent_where: str = ""
    failure: str = ""


def outcome_of(
    trace: Trace, model: nn.Module, loss: Any, train: tuple[Any, Any], validation: tuple[Any, Any]
) -> Outcome:
    """Scores of a copy of the model, in evaluation mode; `failure` says at what the measuring ended."""
    found = Outcome()
    try:
        with quiet(), torch.no_grad():
            _measure(found, trace, *duplicate(model, loss), train, validation)
    except Exception as error:
        found.failure = f"{type(error).__name__}: {str(error)[:200]}"
    return found


def _measure(
    found: Outcome, trace: Trace, model: nn.Module, loss: Any, train: tuple[Any, Any], validation: tuple[Any, Any]
) -> None:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x, y = change(train, lambda t: t.to(device))
    model.eval()
    given = change(x, Tensor.clone)  # the model may change it in place
    tracer = Tracer(model, given)
    with named_calls(model) as stack, tracer:
        tracer.stack = stack
        output = call(model, given)
    tracer.graph.outputs = tuple(tracer.source(t) for t in leaves(output))
    found.units = units_of(tracer.graph)
    if trace.target.kind == "reconstruction":
        _bottleneck(found, tracer.graph)
    tracer.graph.forget_values()
    found.train = part(trace, loss, output, y)
    if loss is not None and y is not None and rows(x) > 3:
        order = torch.arange(rows(x)).roll(1 + rows(x) // 3)
        moved = change(output, lambda t: t[order.to(t.device)] if t.dim() and len(t) == len(order) else t)
        found.shuffled_loss = float(evaluate(loss, moved, y))
    if validation[0] is not None:
        xv, yv = change(validation, lambda t: t.to(device))
        found.validation = part(trace, loss, call_copy(model, xv), yv)
    if any(layer.kind == "batch-norm" for layer in trace.layers):
        _modes(found, trace, model, loss, output, x, y)
    if any(layer.kind == "recurrent" for layer in trace.layers) and loss is not None and not trace.whole:
        model.train()
        found.time_flow = time_flow(model, loss, take(x, slice(0, SEQUENCES)), take(y, slice(0, SEQUENCES)))


def _modes(found: Outcome, trace: Trace, model: nn.Module, loss: Any, output: Any, x: Any, y: Any) -> None:
    """How far predictions with the statistics of the batch are from those with the running ones."""
    assert found.train is not None
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.training = False
    busy = call_copy(model, x)
    found.mode_gap = difference(output, busy)
    active = part(trace, loss, busy, y)
    found.mode_losses = active.loss, found.train.loss
    if active.score is not None and found.train.score is not None:
        found.mode_scores = active.score, found.train.score


def _bottleneck(found: Outcome, graph: Graph) -> None:
    """How much the narrowest layer of an autoencoder varies with the input; of several the one that varies most."""
    layers = [op for op in graph.forward() if op.name == "linear" and op.value is not None and len(op.shape) == 2]
    if not layers:
        return
    narrow = min(op.shape[1] for op in layers)
    if narrow * 2 > math.prod(layers[-1].shape[1:]):
        return
    for op in layers:
        if op.shape[1] == narrow and op.value is not None:
            spread = float(op.value.float().std(0).median())
            if found.latent_spread is None or spread > found.latent_spread:
                found.latent_spread, found.latent_where = spread, op.module


def part(trace: Trace, loss: Any, output: Any, y: Any) -> Part:
    found = Part(rows=rows(y))
    if loss is not None and y is not None:
        found.loss = float(evaluate(loss, output, y))
    scores = next((t for t in leaves(output) if t.dim()), None)  # a loss may stand before them
    target = next(leaves(y), None)
    if (
        scores is None
        or target is None
        or not scores.is_floating_point()
        or trace.loss is None
        or not trace.loss.direct
    ):
        return found
    known = labels(y) if trace.target.kind in ("classes", "one-hot") else None
    if known is not None and trace.loss.classifies and len(scores) == len(known):
        _classes(trace, found, scores, known)
    elif trace.target.kind == "tokens" and scores.dim() >= 3:
        guess = scores.argmax(-1) if scores.shape[:-1] == target.shape else scores.argmax(1)
        if guess.shape == target.shape:
            found.score = float((guess == target).float().mean())
    elif scores.numel() == target.numel() and target.is_floating_point():
        flat, wanted = scores.reshape(len(scores), -1).float(), target.reshape(len(target), -1).float()
        spread = (wanted - wanted.mean(0)).pow(2).sum()
        if float(spread) > 0 and trace.loss.regresses:
            found.score = 1 - float((flat - wanted).pow(2).sum() / spread)
        found.variation = float(flat.std(0).norm() / wanted.std(0).norm().clamp_min(1e-12))
    return found


def _classes(trace: Trace, found: Part, scores: Tensor, known: Tensor) -> None:
    assert trace.loss is not None
    flat = scores.reshape(len(scores), -1).float()
    if flat.shape[1] == 1:
        probability = torch.sigmoid(flat[:, 0]) if trace.loss.takes == "logits" else flat[:, 0]
        guess, sure = (probability > 0.5).long(), torch.maximum(probability, 1 - probability)
    elif flat.shape[1] > int(known.max()):
        guess = flat.argmax(1)
        if trace.loss.takes == "probabilities":
            sure = flat.amax(1)
        elif trace.loss.takes == "log-probabilities":
            sure = flat.amax(1).exp()
        else:
            sure = flat.softmax(1).amax(1)
    else:
        return
    found.score = float((guess == known).float().mean())
    found.guesses = len(torch.unique(guess))
    found.confidence = float(sure.mean())
    found.variation = float(flat.std(0).max())
    for c in torch.unique(known).tolist()[:200]:
        mine = known == c
        found.recalls[c] = float((guess[mine] == c).float().mean())
