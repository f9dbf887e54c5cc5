"""What is to be predicted: its kind inferred from the values, and its way into numbers and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from osler.data.columns import as_numbers, as_texts
from osler.data.scaling import Standardizer
from osler.errors import InputError, unknown_name
from osler.records import Task, TaskKind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FEW_NUMBERS = 20  # up to here whole numbers can be classes


def infer_task(targets: pd.DataFrame, wanted: str | None = None) -> Task:
    """The task that these target columns pose (all rows known), with the reason in `Task.why`.

    `wanted` ("classification" or a kind of `records.TaskKind`) overrules the inference. Raises InputError for targets
    that cannot be learned: one class only, a constant, more classes than rows can teach.
    """
    names = tuple(str(name) for name in targets.columns)
    kind, why = _infer(targets) if wanted is None else _asked(targets, wanted)
    if kind == "regression":
        for name in names:
            values = as_numbers(targets[name])
            if np.isnan(values).any():
                odd = targets[name][np.isnan(values)].iloc[0]
                raise InputError(f"target {name!r} holds {odd!r}, but a regression target needs finite numbers")
            if values.min() == values.max():
                raise InputError(f"target {name!r} is always {values[0]:g}: there is nothing to learn")
        return Task(kind, len(names), names, why=why)
    if kind == "multilabel":
        for name in names:
            if not np.isin(as_numbers(targets[name]), (0, 1)).all():
                raise InputError(f"target {name!r}: a label of several is 0 or 1 in every row (multilabel)")
            _refuse_one_class(name, sorted({str(t) for t in as_texts(targets[name])}), len(targets))
        return Task(kind, len(names), names, names, why)
    name = names[0]
    classes = _class_order([str(t) for t in as_texts(targets[name])])
    _refuse_one_class(name, classes, len(targets))
    if len(classes) * 2 > len(targets):
        raise InputError(
            f"target {name!r} has {len(classes)} classes in {len(targets)} rows: at least two rows per class are "
            "needed (is this column an identifier, or a number for --task regression?)"
        )
    if kind == "binary" and len(classes) > 2:
        raise InputError(f"target {name!r} has {len(classes)} classes, not two: use --task multiclass")
    return Task(kind, 1 if kind == "binary" else len(classes), names, tuple(classes), why)


def _infer(targets: pd.DataFrame) -> tuple[TaskKind, str]:
    if targets.shape[1] > 1:
        numbers = [as_numbers(targets[name]) for name in targets.columns]
        if all(np.isin(column, (0, 1)).all() for column in numbers):
            return "multilabel", f"{targets.shape[1]} columns of 0 and 1"
        return "regression", f"{targets.shape[1]} columns of numbers"
    series = targets.iloc[:, 0]
    distinct = int(series.nunique())
    if series.dtype.kind in "iuf":
        if series.dtype.kind == "f" and bool((series % 1 != 0).any()):
            return "regression", f"{series.name!r} holds fractions"
        if distinct > 2 and (distinct > FEW_NUMBERS or distinct * 5 > len(series)):
            return "regression", f"{series.name!r} holds {distinct} different whole numbers in {len(series)} rows"
        what = f"{distinct} different whole numbers"
    else:
        what = f"{distinct} different values that are no numbers"
    kind: TaskKind = "binary" if distinct <= 2 else "multiclass"
    return kind, f"{series.name!r} holds {what}"


def _asked(targets: pd.DataFrame, wanted: str) -> tuple[TaskKind, str]:
    kinds = get_args(TaskKind)
    one = targets.shape[1] == 1
    if wanted == "classification":
        wanted = ("binary" if targets.iloc[:, 0].nunique() <= 2 else "multiclass") if one else "multilabel"
    kind = next((kind for kind in kinds if kind == wanted), None)
    if kind is None:
        raise unknown_name("task", wanted, (*kinds, "classification"))
    if kind in ("binary", "multiclass") and not one:
        raise InputError(f"task {kind!r} has one target column, but {targets.shape[1]} were given")
    return kind, "asked for"


def _refuse_one_class(name: str, classes: list[str], rows: int) -> None:
    if len(classes) < 2:
        raise InputError(f"target {name!r} is {classes[0]!r} in all {rows} rows: at least two classes are needed")


def _class_order(texts: list[str]) -> list[str]:
    """Numbers by value, everything else by spelling."""
    names = set(texts)
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)


@dataclass(frozen=True)
class TargetEncoder:
    """Targets as losses want them: class indices (N,), zeros and ones (N, 1) or (N, L), standardised numbers (N, K)."""

    task: Task
    scaler: Standardizer | None = None  # regression only

    @classmethod
    def fit(cls, task: Task, targets: pd.DataFrame, scale: bool = True) -> TargetEncoder:
        if task.kind != "regression" or not scale:
            return cls(task)
        return cls(task, Standardizer.fit(np.stack([as_numbers(targets[n]) for n in task.names], axis=1)))

    def encode(self, targets: pd.DataFrame) -> NDArray[Any]:
        """int64 (N,) for multiclass, float32 otherwise. Raises InputError for a class that training did not know."""
        if self.task.kind == "regression":
            numbers = np.stack([as_numbers(targets[name]) for name in self.task.names], axis=1)
            return self.scaler.apply(numbers) if self.scaler else numbers.astype(np.float32)
        if self.task.kind == "multilabel":
            return np.stack([as_numbers(targets[name]) for name in self.task.names], axis=1).astype(np.float32)
        texts = [str(t) for t in as_texts(targets[self.task.names[0]])]
        place = {name: i for i, name in enumerate(self.task.classes)}
        texts = _without_full_stops(texts, place)
        new = sorted(set(texts) - set(place))
        if new:
            raise InputError(
                f"target {self.task.names[0]!r} has {len(new)} classes that the training rows lack: "
                f"{', '.join(map(repr, new[:5]))}; known: {', '.join(map(repr, self.task.classes[:10]))}"
            )
        indices = np.array([place[text] for text in texts], dtype=np.int64)
        return indices[:, None].astype(np.float32) if self.task.kind == "binary" else indices

    def to_json(self) -> dict[str, Any]:
        return {"task": asdict(self.task), "scaler": self.scaler.to_json() if self.scaler else None}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> TargetEncoder:
        task = {**record["task"], "names": tuple(record["task"]["names"]), "classes": tuple(record["task"]["classes"])}
        return cls(Task(**task), Standardizer.from_json(record["scaler"]) if record["scaler"] else None)


def _without_full_stops(texts: list[str], known: dict[str, int]) -> list[str]:
    """Some published test files end every label in a full stop that the training file lacks."""
    return [text[:-1] if text not in known and text.endswith(".") and text[:-1] in known else text for text in texts]
