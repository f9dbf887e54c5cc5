"""From a source to what training needs: rows split, preprocessing fitted on the training rows, all of it as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from osler.data.batches import Dataset
from osler.data.columns import as_dates, as_numbers, as_texts, date_format
from osler.data.parts import Part, Source
from osler.data.preprocess import Preprocess
from osler.data.splits import split_rows
from osler.data.targets import TargetEncoder, infer_task
from osler.errors import InputError, unknown_name
from osler.records import Task

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.15  # of the whole; a smaller share is enough where there are many rows
VALIDATION_ROWS = 5000


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
    parts = {name: _known_targets(part, name, notes) for name, part in source.parts.items()}
    parts = {name: _columns_left_out(part, drop) for name, part in parts.items()}
    if weight is not None:
        parts = {name: _weighted(part, weight) for name, part in parts.items()}
    # Published test files may spell their labels otherwise, so the training file decides.
    the_task = infer_task(parts["all" if "all" in parts else "train"].targets, task)
    raw = _split(parts, the_task, notes, group=group, time=time, seed=seed)
    _refuse_empty_columns(raw["train"])
    targets = TargetEncoder.fit(the_task, raw["train"].targets, scale)
    preprocess = Preprocess.fit(source.kind, raw["train"], targets, scale, notes)
    # Values that are new in the held-out parts say nothing about the user's data: they were split off by us.
    encoded = {name: preprocess.encode(part, notes if name in source.parts else []) for name, part in raw.items()}
    return Prepared(the_task, preprocess, raw, encoded)


def _known_targets(part: Part, name: str, notes: list[str]) -> Part:
    """Targets as a DataFrame, without the rows whose target is unknown (counted)."""
    part = part.with_target("class")
    unknown = part.targets.isna().any(axis=1).to_numpy()
    if unknown.all():
        raise InputError(f"target {', '.join(map(repr, part.targets.columns))}: empty in all {len(part)} rows")
    if not unknown.any():
        return part
    where = "" if name == "all" else f" of the {name} part"
    notes.append(f"{unknown.sum()} of {len(part)} rows{where} dropped: their target is missing")
    return part.take(np.flatnonzero(~unknown))


def _columns_left_out(part: Part, drop: Sequence[str]) -> Part:
    for column in drop:
        _check_column(part, column, "drop")
        part = part.without(column)
    return part


def _check_column(part: Part, column: str, option: str) -> None:
    if not hasattr(part.inputs, "columns"):
        raise InputError(f"{option} names a column of a table, but this source has none")
    if column not in part.inputs.columns:
        raise unknown_name(f"column for {option}", column, map(str, part.inputs.columns))


def _weighted(part: Part, column: str) -> Part:
    _check_column(part, column, "weight")
    weights = as_numbers(part.inputs[column])
    if np.isnan(weights).any() or (weights < 0).any() or not weights.any():
        raise InputError(f"weight column {column!r}: every row needs a number >= 0, not all of them 0")
    return replace(part.without(column), weights=weights)


def _refuse_empty_columns(train: Part) -> None:
    if not hasattr(train.inputs, "columns"):
        return
    empty = [str(name) for name in train.inputs.columns if train.inputs[name].isna().all()]
    if empty:
        options = " ".join(f"--drop {name!r}" for name in empty)
        raise InputError(
            f"nothing but missing values in column {', '.join(map(repr, empty))}: leave it out with {options}"
        )


def _split(
    parts: dict[str, Part], task: Task, notes: list[str], *, group: str | None, time: str | None, seed: int
) -> dict[str, Part]:
    """Parts that were given stay; what is missing of test and validation is held out from the rest."""
    rest = parts.get("all", parts.get("train"))
    assert rest is not None
    held: dict[str, Part] = {name: parts[name] for name in ("validation", "test") if name in parts}
    total = len(rest)
    for name, rows in (("test", round(total * TEST_SHARE)), ("validation", _validation_rows(total))):
        if name in held:
            continue
        share = min(max(rows / len(rest), 0.01), 0.5)
        kept, out = split_rows(len(rest), share, seed, **_by(rest, task, group, time))
        held[name], rest = rest.take(out), rest.take(kept)
    raw = {"train": rest, "validation": held["validation"], "test": held["test"]}
    how = f"by groups of {group!r}" if group else f"in the order of {time!r}" if time else "at random"
    how += ", every class in its share" if not (group or time) and task.kind in ("binary", "multiclass") else ""
    sizes = ", ".join(f"{len(part)} {name}" for name, part in raw.items())
    given = "" if "all" in parts else f" ({' and '.join(parts)} as given)"
    notes.append(f"split {how}{given}: {sizes}")
    return {name: part.without(group) if group else part for name, part in raw.items()}


def _validation_rows(total: int) -> int:
    return min(round(total * VALIDATION_SHARE), VALIDATION_ROWS)


def _by(part: Part, task: Task, group: str | None, time: str | None) -> dict[str, Any]:
    """What the split has to respect, as `split_rows` wants it."""
    if group is not None and time is not None:
        raise InputError("a split goes by group or by time, not both")
    if group is not None:
        _check_column(part, group, "group")
        return {"groups": np.array([str(text) for text in as_texts(part.inputs[group])])}
    if time is not None:
        _check_column(part, time, "time")
        series = part.inputs[time]
        form = date_format(series)
        times = as_dates(series, form).to_numpy() if form else as_numbers(series)
        if np.isnan(times).any() if times.dtype.kind == "f" else np.isnat(times).any():
            raise InputError(f"time column {time!r}: every row needs a date or a number")
        return {"times": times}
    if task.kind in ("binary", "multiclass"):
        return {"labels": np.array([str(text) for text in as_texts(part.targets[task.names[0]])])}
    return {}
