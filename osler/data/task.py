"""What is to be predicted: the kind of task that target columns pose, inferred from their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from osler.data.values import as_numbers, as_texts, refuse_collections
from osler.errors import InputError, unknown_name
from osler.records import Task, TaskKind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

OF_SOURCES = {  # tasks that the source itself poses
    "segmentation": "pictures with masks",
    "language": "running text, in a .txt file or a folder of them",
    "translation": "a table of two columns, or a folder with a file for each language",
}
FEW_NUMBERS = 20  # up to here whole numbers can be classes
NEED_MORE = ("segmentation", "transcription", "forecasting")  # than columns: masks, recordings, a series
ROWS_PER_CLASS = 5  # with fewer of them on average, whole numbers are measures rather than classes


def infer_task(
    targets: pd.DataFrame, wanted: str | None = None, rows: int | None = None, *, spoken: bool = False
) -> Task:
    """The task that these target columns pose (all rows known), with the reason in `Task.why`.

    `wanted` ("classification" or a kind of `records.TaskKind`) overrules the inference. `rows`: how many there are,
    where `targets` holds every different one of them only once. `spoken`: they may say what is said in a recording.
    Raises InputError for targets
    that cannot be learned: one class only, a constant, more classes than rows can teach.
    """
    names = tuple(str(name) for name in targets.columns)
    for name in names:
        refuse_collections(targets[name], f"target {name!r}", "name a column of single values")
    rows = len(targets) if rows is None else rows
    if spoken and (wanted == "transcription" or (wanted is None and _are_sentences(targets, rows))):
        return Task("transcription", 0, names, why="texts, most of them different" if wanted is None else "asked for")
    kind, why = _infer(targets, rows) if wanted is None else _asked(targets, wanted)
    if kind == "regression":
        for name in names:
            values = as_numbers(targets[name])
            refuse_values(name, targets[name], np.isnan(values), "a regression target needs finite numbers")
            if values.min() == values.max():
                raise InputError(f"target {name!r} is always {values[0]:g}: there is nothing to learn")
        return Task(kind, len(names), names, why=why)
    if kind == "multilabel":
        for name in names:
            odd = ~np.isin(as_numbers(targets[name]), (0, 1))
            refuse_values(name, targets[name], odd, "a label of several (multilabel) is 0 or 1 in every row")
            _refuse_one_class(name, sorted(set(known_texts(targets[name]))), rows)
        return Task(kind, len(names), names, names, why)
    if len(names) > 1:
        return _one_hot_task(targets, names, why, rows)
    name = names[0]
    classes = _class_order(set(known_texts(targets[name])))
    _refuse_one_class(name, classes, rows)
    if len(classes) * 2 > rows:
        raise InputError(
            f"target {name!r} has {len(classes)} classes in {rows} rows: at least two rows per class are "
            "needed (is this column an identifier, or a number for --task regression?)"
        )
    if kind == "binary" and len(classes) > 2:
        raise InputError(f"target {name!r} has {len(classes)} classes, not two: use --task multiclass")
    return Task(kind, 1 if kind == "binary" else len(classes), names, tuple(classes), why)


def _infer(targets: pd.DataFrame, rows: int) -> tuple[TaskKind, str]:
    if targets.shape[1] > 1:
        return _infer_several(targets)
    series = targets.iloc[:, 0]
    distinct = len(set(known_texts(series)))
    kind: TaskKind = "binary" if distinct <= 2 else "multiclass"
    if not _is_numeric(series):
        return kind, f"{series.name!r} holds {distinct} different values that are no numbers"
    values = as_numbers(series)
    if not (values % 1 == 0).all():
        return "regression", f"{series.name!r} holds fractions"
    if distinct > 2 and (distinct > FEW_NUMBERS or distinct * ROWS_PER_CLASS > rows):
        return "regression", f"{series.name!r} holds {distinct} different whole numbers in {rows} rows"
    return kind, f"{series.name!r} holds {distinct} different whole numbers"


def _are_sentences(targets: pd.DataFrame, rows: int) -> bool:
    """Whether these are texts as various as sentences: too many classes to be any."""
    texts = known_texts(targets.iloc[:, 0])
    return targets.shape[1] == 1 and not _is_numeric(targets.iloc[:, 0]) and len(set(texts)) * 2 > rows


def _infer_several(targets: pd.DataFrame) -> tuple[TaskKind, str]:
    columns = f"{targets.shape[1]} columns"
    if one_hot(targets) is not None:
        return "multiclass", f"{columns}, exactly one of them 1 in every row: one-hot"
    values = numbers(targets)
    if np.isin(values, (0, 1)).all():
        return "multilabel", f"{columns} of 0 and 1"
    for name in targets.columns:
        refuse_values(
            name, targets[name], np.isnan(as_numbers(targets[name])), "several targets are numbers, or all 0 and 1"
        )
    return "regression", f"{columns} of numbers"


def _asked(targets: pd.DataFrame, wanted: str) -> tuple[TaskKind, str]:
    kinds = tuple(kind for kind in get_args(TaskKind) if kind not in (*NEED_MORE, *OF_SOURCES))
    one = targets.shape[1] == 1
    if wanted in OF_SOURCES:
        raise InputError(
            f"task {wanted!r} needs {OF_SOURCES[wanted]}, but this source has columns or classes to predict"
        )
    if wanted == "classification":
        several = "multilabel" if one_hot(targets) is None else "multiclass"
        wanted = ("binary" if len(set(known_texts(targets.iloc[:, 0]))) <= 2 else "multiclass") if one else several
    kind = next((kind for kind in kinds if kind == wanted), None)
    if kind is None:
        raise unknown_name("task", wanted, (*kinds, "classification"))
    if kind in ("binary", "multiclass") and not one and (kind == "binary" or one_hot(targets) is None):
        raise InputError(f"task {kind!r} has one target column, but {targets.shape[1]} were given")
    return kind, "asked for"


def _one_hot_task(targets: pd.DataFrame, names: tuple[str, ...], why: str, rows: int) -> Task:
    """Columns "species_setosa", "species_virginica" … are the classes "setosa", "virginica" …"""
    beginnings = {name.rpartition("_")[0] for name in names}
    classes = [name.rpartition("_")[2] for name in names] if len(beginnings) == 1 else list(names)
    hot = one_hot(targets)
    assert hot is not None
    _refuse_one_class(", ".join(names), sorted({classes[i] for i in hot}), rows)
    return Task("multiclass", len(names), names, tuple(classes), why)


def one_hot(targets: pd.DataFrame) -> NDArray[np.int64] | None:
    """The column that is 1, for every row; None unless it is exactly one in each and all others are 0."""
    values = numbers(targets)
    if not np.isin(values, (0, 1)).all() or (values.sum(axis=1) != 1).any():
        return None
    hot: NDArray[np.int64] = np.argmax(values, axis=1)
    return hot


def numbers(targets: pd.DataFrame) -> NDArray[np.float64]:
    return np.stack([as_numbers(targets[name]) for name in targets.columns], axis=1)


def known_texts(series: pd.Series[Any]) -> list[str]:
    return [str(text) for text in as_texts(series)]


def _is_numeric(series: pd.Series[Any]) -> bool:
    """Numbers, or texts that all are; what was declared to be a category or a truth value is none."""
    import pandas as pd

    if series.dtype.kind in "iuf":
        return True
    declared = series.dtype.kind == "b" or isinstance(series.dtype, pd.CategoricalDtype)
    return not declared and not np.isnan(as_numbers(series)).any()


def refuse_values(name: str, series: pd.Series[Any], odd: NDArray[np.bool_], rule: str) -> None:
    if odd.any():
        value = as_texts(series[odd].head(1))[0]
        rows = f"{odd.sum()} rows" if odd.sum() > 1 else "1 row"
        raise InputError(f"target {name!r} holds {value!r} (and the like, in {rows}), but {rule}")


def _refuse_one_class(name: str, classes: list[str], rows: int) -> None:
    if len(classes) < 2:
        raise InputError(f"target {name!r} is {classes[0]!r} in all {rows} rows: at least two classes are needed")


def _class_order(names: set[str]) -> list[str]:
    """Numbers by value, everything else by spelling."""
    try:
        values = {name: float(name) for name in names}
    except ValueError:
        return sorted(names)
    if np.isnan(list(values.values())).any():  # "nan" is a number to Python, but has no place among them
        return sorted(names)
    return sorted(names, key=lambda name: (values[name], name))
