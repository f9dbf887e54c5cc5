"""From a source to what training needs: rows split, preprocessing fitted on the training rows, all of it as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from osler.data.batches import Dataset
from osler.data.holdout import class_indices, hold_out
from osler.data.parts import Part, Source
from osler.data.preprocess import Preprocess
from osler.data.targets import TargetEncoder
from osler.data.task import infer_task
from osler.data.values import as_numbers, as_texts
from osler.errors import InputError
from osler.records import Task


@dataclass(frozen=True)
class Prepared:
    """The parts "train", "validation" and "test": as read (`raw`) and as tensors (`parts`)."""

    task: Task
    preprocess: Preprocess
    raw: dict[str, Part]
    parts: dict[str, Dataset]


def prepare(
    source: Source,
    notes: list[str],
    *,
    task: str | None = None,
    group: str | None = None,
    time: str | None = None,
    weight: str | None = None,
    drop: Sequence[str] = (),
    scale: bool = True,
    seed: int = 0,
) -> Prepared:
    """Splits the source's rows (given parts stay as they are) and fits the preprocessing on the training part.

    `group`, `time`, `weight` name columns of a table: rows of one group stay on one side; later rows are held out;
    how much each row counts. `drop` names columns to leave out. What was decided goes to `notes` as sentences.
    """
    main = "all" if "all" in source.parts else "train"
    parts = {}
    for name, part in source.parts.items():
        part = _columns_left_out(_known_targets(part, name, notes), drop)
        if len(part) == 0 and name != main:
            continue
        parts[name] = part if weight is None else _weighted(part, weight)
    _refuse_empty_columns(parts[main])
    # Published test files may spell their labels otherwise, so the training file decides.
    the_task = infer_task(parts[main].targets, task)
    raw = hold_out(parts, the_task, notes, group=group, time=time, seed=seed)
    _check_classes(raw["train"], the_task, notes)
    targets = TargetEncoder.fit(the_task, raw["train"].targets, scale)
    preprocess = Preprocess.fit(source.kind, raw["train"], targets, scale, notes)
    # Values that are new in the held-out parts say nothing about the user's data: they were split off by us.
    encoded = {name: preprocess.encode(part, notes if name in parts else []) for name, part in raw.items()}
    return Prepared(the_task, preprocess, raw, encoded)


def _known_targets(part: Part, name: str, notes: list[str]) -> Part:
    """Targets as a DataFrame, without the rows whose target is unknown (counted)."""
    part = part.with_target("class")
    unknown = part.targets.isna().any(axis=1).to_numpy()
    if unknown.all() and name in ("all", "train"):
        raise InputError(f"target {', '.join(map(repr, part.targets.columns))}: empty in all {len(part)} rows")
    if not unknown.any():
        return part
    where = "" if name == "all" else f" of the {name} part"
    notes.append(f"{unknown.sum()} of {len(part)} rows{where} dropped: their target is missing")
    return part.take(np.flatnonzero(~unknown))


def _columns_left_out(part: Part, drop: Sequence[str]) -> Part:
    for column in dict.fromkeys(drop):
        part.column(column, "drop")
        part = part.without(column)
    return part


def _weighted(part: Part, column: str) -> Part:
    series = part.column(column, "weight")
    weights = as_numbers(series)
    odd = np.flatnonzero(~(weights >= 0))
    if len(odd):
        value, row = as_texts(series)[odd[0]], part.row(odd[0])
        raise InputError(f"weight column {column!r} holds {value!r} in row {row}: every row needs a number >= 0")
    if not weights.any():
        raise InputError(f"weight column {column!r} is 0 in every row: nothing would count")
    # Of mean 1, so that the loss keeps its scale.
    return replace(part.without(column), weights=weights / weights.mean())


def _refuse_empty_columns(part: Part) -> None:
    if not hasattr(part.inputs, "columns"):
        return
    empty = [name for name in part.inputs.columns if part.inputs[name].isna().all()]
    if empty:
        options = " ".join(f"--drop {name!r}" for name in empty)
        raise InputError(
            f"nothing but missing values in column {', '.join(map(repr, empty))}: leave it out with {options}"
        )


def _check_classes(train: Part, task: Task, notes: list[str]) -> None:
    """A split by groups or time may take all rows of a class away from training."""
    if task.kind not in ("binary", "multiclass"):
        return
    counts = np.bincount(class_indices(train, task), minlength=len(task.classes))
    if np.count_nonzero(counts) < 2:
        only = task.classes[int(counts.argmax())]
        raise InputError(f"after the split all {len(train)} training rows are of class {only!r}: split another way")
    absent = [name for name, count in zip(task.classes, counts, strict=True) if count == 0]
    if absent:
        notes.append(f"no training row has the class {', '.join(map(repr, absent))}: it cannot be learned")
