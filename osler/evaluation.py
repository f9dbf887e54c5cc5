"""What a trained network does with held-out rows: metrics, confusions or residuals, and its worst predictions."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import torch
from torch import nn

from osler.data.batches import Batches
from osler.data.parts import LookedUp, Part
from osler.data.stream import StreamedBatches
from osler.objectives.classification import Classification
from osler.objectives.regression import Regression
from osler.training.looking import looking
from osler.training.meter import Meter

WORST = 12
RESIDUALS = 2000  # so many points show in a plot what all of them would


def judge(
    model: nn.Module, objective: Classification | Regression, batches: Batches | StreamedBatches, part: LookedUp
) -> dict[str, Any]:
    """The record of evaluation.json, in one pass and bounded memory.

    {"count", "metrics", "confusion" {"classes", "counts"} or "residuals" {"names", "target", "prediction"}, "worst"}.
    """
    meter = Meter(objective, batches.device)
    worst: list[tuple[float, int, dict[str, Any]]] = []
    task = objective.task
    confusion = np.zeros((len(task.classes),) * 2, dtype=np.int64) if task.kind in ("binary", "multiclass") else None
    shown = np.random.default_rng(0).permutation(len(part))[:RESIDUALS]
    points: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []
    first = 0
    with looking(model):
        for batch in batches:
            outcome = objective.evaluate(model, batch)
            meter.add_looked_at(outcome, batch)
            losses = objective.losses(outcome.outputs, batch.targets).float().cpu().numpy()
            told = told_apart(objective, outcome.outputs, batch.targets)
            if confusion is not None:
                np.add.at(confusion, (told["target"], told["prediction"]), 1)
            elif task.kind == "regression":
                mine = shown[(shown >= first) & (shown < first + len(batch))] - first
                points.append((told["target"][mine], told["prediction"][mine]))
            losses = np.nan_to_num(losses, nan=np.inf, posinf=np.inf)
            for i in np.argsort(-losses, kind="stable")[:WORST]:
                entry = (float(losses[i]), -(first + int(i)), {key: values[i] for key, values in told.items()})
                (heapq.heappush if len(worst) < WORST else heapq.heappushpop)(worst, entry)
            first += len(batch)
    record: dict[str, Any] = {"count": len(part), "metrics": meter.result()}
    if confusion is not None:
        record["confusion"] = {"classes": list(task.classes), "counts": confusion.tolist()}
    elif points:
        target, prediction = (np.concatenate(values).T.tolist() for values in zip(*points, strict=True))
        record["residuals"] = {"names": list(task.names), "target": target, "prediction": prediction}
    ranked = sorted(worst, key=lambda entry: (-entry[0], -entry[1]))
    few = part.take(np.array([-place for _, place, _ in ranked], dtype=np.int64))
    record["worst"] = [_shown(objective, few, i, loss, told) for i, (loss, _, told) in enumerate(ranked)]
    return record


def told_apart(
    objective: Classification | Regression, outputs: torch.Tensor, targets: torch.Tensor
) -> dict[str, np.ndarray[Any, Any]]:
    """Per sample: target and prediction (class index, labels, or numbers in the target's units), and confidence."""
    if isinstance(objective, Regression):
        pair = {"target": objective.in_units(targets), "prediction": objective.in_units(outputs.float())}
        return {key: value.cpu().numpy() for key, value in pair.items()}
    probabilities = objective.probabilities(outputs.float())
    predictions = objective.predictions(outputs)
    if objective.task.kind == "multiclass":
        known, confidence = targets, probabilities.amax(dim=1)
    else:
        certain = torch.maximum(probabilities, 1 - probabilities)
        known = targets.long() if objective.task.kind == "multilabel" else targets[:, 0].long()
        confidence = certain.amin(dim=1)
    pair = {"target": known, "prediction": predictions, "confidence": confidence}
    return {key: value.cpu().numpy() for key, value in pair.items()}


def _shown(
    objective: Classification | Regression, part: Part, place: int, loss: float, told: dict[str, Any]
) -> dict[str, Any]:
    """One of the worst predictions, for people."""
    entry: dict[str, Any] = {
        "row": part.rows[place] if part.rows else str(place),
        "target": in_words(objective, told["target"]),
        "prediction": in_words(objective, told["prediction"]),
        "confidence": float(told["confidence"]) if "confidence" in told else None,
        "loss": loss,
        "picture": None,
        "features": None,
    }
    if hasattr(part.inputs, "columns"):
        entry["features"] = {str(name): str(part.inputs[name].iloc[place]) for name in part.inputs.columns}
    elif isinstance(part.inputs, torch.Tensor):
        from osler.data.images import to_png_base64

        entry["picture"] = to_png_base64(part.inputs[place])
    return entry


def in_words(objective: Classification | Regression, value: Any) -> str:
    """A class by its name, labels by theirs, numbers in short."""
    task = objective.task
    if task.kind == "regression":
        return ", ".join(f"{number:.4g}" for number in value)
    if task.kind == "multilabel":
        return ", ".join(name for name, on in zip(task.classes, value, strict=True) if on) or "none"
    return task.classes[int(value)]
