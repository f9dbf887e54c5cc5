"""Which rows are held out for validation and test, where the source doesn't say."""

from __future__ import annotations

from typing import Any

import numpy as np

from osler.data.parts import Part
from osler.data.splits import split_rows
from osler.data.targets import TargetEncoder
from osler.data.values import as_dates, as_numbers, as_texts, date_format
from osler.errors import InputError
from osler.records import Task

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.15  # of the whole; a smaller share is enough where there are many rows
VALIDATION_ROWS = 5000


def hold_out(
    parts: dict[str, Part], task: Task, notes: list[str], *, group: str | None, time: str | None, seed: int
) -> dict[str, Part]:
    """The parts "train", "validation" and "test": those given stay, what is missing is held out from the rest."""
    refuse_both(group, time)
    rest = parts.get("all", parts.get("train"))
    assert rest is not None
    held: dict[str, Part] = {name: parts[name] for name in ("validation", "test") if name in parts}
    total, needed = len(rest), 3 - len(held)
    refuse_too_few(total, needed)
    if group is not None:
        _check_groups(rest, group, needed, notes)
    for name in ("test", "validation"):
        if name in held:
            continue
        share = held_share(name, total, len(rest))
        kept, out = split_rows(len(rest), share, seed, **_respecting(rest, task, group, time))
        held[name], rest = rest.take(out), rest.take(kept)
    raw = {"train": rest, "validation": held["validation"], "test": held["test"]}
    notes.append(split_told(task, group, time, list(parts), {name: len(part) for name, part in raw.items()}))
    return {name: part.without(group) if group else part for name, part in raw.items()}


def held_share(name: str, total: int, rest: int) -> float:
    """The share of the `rest` of `total` rows that the part takes."""
    rows = round(total * TEST_SHARE) if name == "test" else min(round(total * VALIDATION_SHARE), VALIDATION_ROWS)
    return min(max(rows / rest, 0.01), 0.5)


def split_told(task: Task, group: str | None, time: str | None, given: list[str], sizes: dict[str, int]) -> str:
    """The sentence about the split."""
    how = f"by groups of {group!r}" if group else f"in the order of {time!r}" if time else "at random"
    how = "by the texts to translate" if task.kind == "translation" else how
    how += ", every class in its share" if not (group or time) and task.kind in ("binary", "multiclass") else ""
    told = "" if "all" in given else f" ({' and '.join(given)} as given)"
    return f"split {how}{told}: " + ", ".join(f"{count} {name}" for name, count in sizes.items())


def refuse_both(group: str | None, time: str | None) -> None:
    if group is not None and time is not None:
        raise InputError(f"a split goes by group or by time, not both, but got group {group!r} and time {time!r}")


def refuse_too_few(total: int, needed: int) -> None:
    if total < needed:
        raise InputError(f"{total} rows are too few: to learn, to validate and to test need at least one each")


def refuse_few_groups(group: str, different: int, rows: int, needed: int) -> None:
    if different < needed:
        raise InputError(
            f"group column {group!r} holds {different} different groups in {rows} rows: "
            f"a split by groups needs at least {needed}, one for each part"
        )


def class_indices(part: Part, task: Task) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(N,), of a binary or multiclass task."""
    return TargetEncoder(task).encode(part.targets).reshape(-1).astype(np.int64)


def _check_groups(part: Part, group: str, needed: int, notes: list[str]) -> None:
    names = as_texts(part.column(group, "group"))
    refuse_few_groups(group, len(set(names)), len(part), needed)
    if missing := names.count(None):
        notes.append(missing_groups(missing, group))


def missing_groups(count: int, group: str) -> str:
    return f"{count} rows have no group in {group!r}: they stay together, as a group of their own"


def _respecting(part: Part, task: Task, group: str | None, time: str | None) -> dict[str, Any]:
    """What the split has to respect, as `split_rows` wants it."""
    if group is not None:
        return {"groups": np.array([str(text) for text in as_texts(part.column(group, "group"))], dtype=object)}
    if time is not None:
        return {"times": _times(part, time)}
    if task.kind == "translation":  # one text may have several translations
        return {"groups": part.inputs.iloc[:, 0].to_numpy()}
    if task.kind in ("binary", "multiclass"):
        return {"labels": class_indices(part, task)}
    return {}


def _times(part: Part, column: str) -> np.ndarray[Any, Any]:
    series = part.column(column, "time")
    form = date_format(series)
    times = as_dates(series, form).to_numpy() if form else as_numbers(series)
    odd = np.flatnonzero(np.isnat(times) if form else np.isnan(times))
    if len(odd):
        value, row = as_texts(series)[odd[0]], part.row(odd[0])
        raise InputError(f"time column {column!r} holds {value!r} in row {row}: every row needs a date or a number")
    return times
