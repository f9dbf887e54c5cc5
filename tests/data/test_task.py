from typing import Any

import numpy as np
import pandas as pd
import pytest

from osler.data.frames import tidy
from osler.data.task import infer_task
from osler.errors import InputError

RANDOM = np.random.default_rng(0)


def infer(wanted: str | None = None, **columns: Any) -> Any:
    return infer_task(tidy(pd.DataFrame(columns), "it"), wanted)


@pytest.mark.parametrize(
    ("values", "kind", "classes", "why"),
    [
        (["b", "a"] * 30, "binary", ("a", "b"), "'y' holds 2 different values that are no numbers"),
        (["b", "a", "c"] * 20, "multiclass", ("a", "b", "c"), "'y' holds 3 different values that are no numbers"),
        ([1, 0] * 30, "binary", ("0", "1"), "'y' holds 2 different whole numbers"),
        ([10.0, 2.0, 3.0] * 20, "multiclass", ("2", "3", "10"), "'y' holds 3 different whole numbers"),
        (["10", "2", "3"] * 20, "multiclass", ("2", "3", "10"), "'y' holds 3 different whole numbers"),
        ([True, False] * 30, "binary", ("False", "True"), "'y' holds 2 different values that are no numbers"),
        (pd.array([True, False] * 30, dtype="boolean"), "binary", ("False", "True"), None),
        (pd.array([1, 2] * 30, dtype="Int64"), "binary", ("1", "2"), None),
        (pd.Categorical([3, 1] * 30, categories=[1, 2, 3]), "binary", ("1", "3"), None),
        ([2**60, 2**60 + 1] * 30, "binary", (str(2**60), str(2**60 + 1)), None),
        ([1, "1", "a"] * 20, "binary", ("1", "a"), None),
        (["nan", "1", "1.0"] * 20, "multiclass", ("1", "1.0", "nan"), None),
        (np.arange(60) / 7, "regression", (), "'y' holds fractions"),
        ([str(i / 7) for i in range(60)], "regression", (), "'y' holds fractions"),
        (np.arange(60), "regression", (), "'y' holds 60 different whole numbers in 60 rows"),
        (np.arange(40) % 10, "regression", (), "'y' holds 10 different whole numbers in 40 rows"),
        (np.arange(100) % 25, "regression", (), "'y' holds 25 different whole numbers in 100 rows"),
    ],
)
def test_one_target(values: Any, kind: str, classes: tuple[str, ...], why: str | None) -> None:
    task = infer(y=values)
    assert (task.kind, task.classes, task.names) == (kind, classes, ("y",))
    assert task.outputs == (len(classes) if kind == "multiclass" else 1)
    assert why is None or task.why == why


def test_several_targets() -> None:
    ones = {"p": [0, 1, 1, 0], "q": [1, 1, 0, 0]}
    task = infer(**ones)
    assert (task.kind, task.outputs, task.classes, task.why) == ("multilabel", 2, ("p", "q"), "2 columns of 0 and 1")
    assert infer(p=[True, False, True], q=[True, False, False]).kind == "multilabel"
    task = infer(p=[0.5, 1, 2], q=[1, 2, 3])
    assert (task.kind, task.outputs, task.names, task.classes) == ("regression", 2, ("p", "q"), ())


@pytest.mark.parametrize(
    ("names", "classes"),
    [(("kind_a", "kind_b", "kind_c"), ("a", "b", "c")), (("a", "b_x", "c"), ("a", "b_x", "c"))],
)
def test_one_hot_targets_are_classes(names: tuple[str, ...], classes: tuple[str, ...]) -> None:
    hot = dict(zip(names, np.eye(3, dtype=int)[[0, 1, 2, 1, 0, 2]].T, strict=True))
    task = infer(**hot)
    assert (task.kind, task.outputs, task.names, task.classes) == ("multiclass", 3, names, classes)
    assert infer("classification", **hot).kind == "multiclass"
    assert infer("multilabel", **hot).kind == "multilabel"


@pytest.mark.parametrize(
    ("wanted", "values", "kind"),
    [
        ("regression", [0, 1] * 9, "regression"),
        ("classification", [0.5, 1.5, 1.0] * 9, "multiclass"),
        ("classification", [0.5, 1.5] * 9, "binary"),
        ("multiclass", ["a", "b"] * 9, "multiclass"),
        ("multilabel", [0, 1] * 9, "multilabel"),
    ],
)
def test_asked_for(wanted: str, values: list[Any], kind: str) -> None:
    task = infer(wanted, y=values)
    assert (task.kind, task.why) == (kind, "asked for")


@pytest.mark.parametrize(
    ("wanted", "columns", "message"),
    [
        (None, {"y": ["a"] * 6}, "target 'y' is 'a' in all 6 rows: at least two classes are needed"),
        (None, {"y": [1.5] * 6}, "target 'y' is always 1.5: there is nothing to learn"),
        ("regression", {"y": [3] * 6}, "target 'y' is always 3: there is nothing to learn"),
        (None, {"y": ["a", "b", "a"]}, "target 'y' has 2 classes in 3 rows: at least two rows per class are needed"),
        (None, {"y": [f"u{i}" for i in range(9)]}, "target 'y' has 9 classes in 9 rows"),
        (None, {"y": [1.5, np.inf]}, "target 'y' holds 'inf' (and the like, in 1 row), but a regression target needs"),
        ("regression", {"y": ["1", "n/k", "2"]}, "target 'y' holds 'n/k' (and the like, in 1 row), but a regression"),
        ("binary", {"y": list("abcabc")}, "target 'y' has 3 classes, not two: use --task multiclass"),
        ("multilabel", {"y": [0, 2, 2]}, "target 'y' holds '2' (and the like, in 2 rows), but a label"),
        (None, {"p": [0, 0, 0], "q": [0, 1, 0]}, "target 'p' is '0' in all 3 rows"),
        (None, {"p": [1, 1, 1], "q": [0, 0, 0]}, "target 'p, q' is 'p' in all 3 rows"),
        (None, {"p": ["yes", "no"], "q": [0, 1]}, "target 'p' holds 'yes' (and the like, in 2 rows), but several"),
        ("multiclass", {"p": [1, 1], "q": [0, 1]}, "task 'multiclass' has one target column, but 2 were given"),
        ("binary", {"p": [1, 0], "q": [0, 1]}, "task 'binary' has one target column, but 2 were given"),
        ("clasification", {"y": [0, 1]}, "unknown task 'clasification'; did you mean 'classification'?"),
        (None, {"y": [[1], [2]]}, "target 'y' holds a list in a cell"),
    ],
)
def test_targets_that_cannot_be_learned(wanted: str | None, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        infer(wanted, **columns)
    assert str(error.value).startswith(message)
