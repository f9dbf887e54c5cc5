"""What a trained network does with held-out rows: metrics, confusions or residuals, and its worst predictions."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import torch
from torch import nn

from osler.data.batches import Batches
from osler.data.parts import LookedUp, Part
from osler.data.recording import Clips
from osler.data.series import Series, Windows
from osler.data.seriesencoder import SeriesEncoder
from osler.data.stream import StreamedBatches
from osler.data.timeaxis import time_text
from osler.objectives.backtest import STANDARDISED, Backtest
from osler.objectives.forecasting import Forecasting
from osler.objectives.supervised import Supervised
from osler.training.looking import looking
from osler.training.meter import Meter

WORST = 12
CHARACTERS = 500  # shown of a text
ONE_OF_CLASSES = ("binary", "multiclass", "segmentation")
RESIDUALS = 2000  # so many points show in a plot what all of them would


def judge(
    model: nn.Module,
    objective: Supervised,
    batches: Batches | StreamedBatches,
    part: LookedUp,
    series: SeriesEncoder | None = None,
) -> dict[str, Any]:
    """The record of evaluation.json, in one pass and bounded memory.

    {"count", "metrics", "confusion" {"classes", "counts"} or "residuals" {"names", "target", "prediction"}, "worst"};
    of forecasts of a `series` "backtest", what `Backtest` records, and "last", the forecast of the last window.
    """
    meter = Meter(objective, batches.device)
    worst: list[tuple[float, int, dict[str, Any]]] = []
    task = objective.task
    assert task is not None
    confusion = np.zeros((len(task.classes),) * 2, dtype=np.int64) if task.kind in ONE_OF_CLASSES else None
    shown = np.random.default_rng(0).permutation(len(part))[:RESIDUALS]
    points: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []
    first = 0
    backtest = Backtest(objective, series.season if series else 1) if isinstance(objective, Forecasting) else None
    with looking(model):
        for batch in batches:
            outcome = objective.evaluate(model, batch)
            meter.add_looked_at(outcome, batch)
            losses = objective.losses(outcome.outputs, batch.targets).float().cpu().numpy()
            told = objective.told(outcome.outputs, batch.targets)
            if confusion is not None:
                known = told["target"] < len(confusion)  # pixels of a mask may be void
                np.add.at(confusion, (told["target"][known], told["prediction"][known]), 1)
            elif backtest is not None:
                backtest.add(batch, outcome.outputs)
                last = outcome.outputs[-1:]
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
    if backtest is not None:
        record["backtest"] = backtest.record()
        record["metrics"] |= {key: record["backtest"]["forecasts"]["model"][key] for key in STANDARDISED}
        if isinstance(part, Part):
            record["last"] = _last_forecast(objective, part, last)
    ranked = sorted(worst, key=lambda entry: (-entry[0], -entry[1]))
    few = part.take(np.array([-place for _, place, _ in ranked], dtype=np.int64))
    record["worst"] = [_shown(objective, few, i, loss, told) for i, (loss, _, told) in enumerate(ranked)]
    return record


def _last_forecast(objective: Supervised, part: Part, outputs: torch.Tensor) -> dict[str, Any]:
    """{"before", "after": times; each series by name: "before", "after" and the forecasts}, in the data's units."""
    windows: Windows = part.inputs
    start, series = int(windows.starts[-1]), windows.series
    now = start + windows.window
    shown = min(windows.window, max(2 * windows.horizon, 24))
    before, after = series.between(now - shown, now), series.between(now, now + windows.horizon)
    columns = objective.columns(outputs.float().cpu())
    names = objective.task.names if objective.task else ()
    found = {}
    for i, name in enumerate(names):
        own = {
            key.removesuffix(f" {name}"): v for key, v in columns.items() if len(names) == 1 or key.endswith(f" {name}")
        }
        found[name] = {
            "before": before.values[:, i].tolist(),
            "after": after.values[:, i].tolist(),
            **{key: values.tolist() for key, values in own.items()},
        }
    return {"before": _texts(before), "after": _texts(after), "series": found}


def _texts(series: Series) -> list[str]:
    return [time_text(time) for time in series.times]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]} …"


def _shown(objective: Supervised, part: Part, place: int, loss: float, told: dict[str, Any]) -> dict[str, Any]:
    """One of the worst predictions, for people."""
    entry: dict[str, Any] = {
        "row": part.rows[place] if part.rows else str(place),
        "target": objective.in_words(told["target"]),
        "prediction": objective.in_words(told["prediction"]),
        "confidence": float(told["confidence"]) if "confidence" in told else None,
        "loss": loss,
        "picture": None,
        "features": None,
    }
    if hasattr(part.inputs, "columns"):
        entry["features"] = {str(name): _short(part.inputs[name].iloc[place]) for name in part.inputs.columns}
    elif isinstance(part.inputs, Clips):
        from osler.data.audioencoder import picture_of
        from osler.data.images import to_png_base64

        entry["picture"] = to_png_base64(picture_of(part.inputs, place))
    elif isinstance(part.inputs, torch.Tensor):
        from osler.data.images import to_png_base64

        entry["picture"] = to_png_base64(part.inputs[place])
        if told["target"].ndim == 2:
            from osler.data.masks import coloured

            entry["masks"] = {key: to_png_base64(coloured(told[key])) for key in ("target", "prediction")}
    return entry
