import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from osler.data.targets import TargetEncoder
from osler.data.task import infer_task
from osler.errors import InputError


def fitted(frame: pd.DataFrame, wanted: str | None = None, scale: bool = True) -> TargetEncoder:
    encoder = TargetEncoder.fit(infer_task(frame, wanted), frame, scale)
    return TargetEncoder.from_json(json.loads(json.dumps(encoder.to_json(), allow_nan=False)))


@pytest.mark.parametrize(
    ("columns", "encoded", "dtype"),
    [
        ({"y": ["no", "yes", "no", "yes"]}, [[0], [1], [0], [1]], np.float32),
        ({"y": [5, 7, 9, 5, 7, 9] * 3}, [0, 1, 2, 0, 1, 2] * 3, np.int64),
        ({"p": [0, 1, 1], "q": [1, 1, 0]}, [[0, 1], [1, 1], [1, 0]], np.float32),
        ({"k_a": [0, 1, 0, 1], "k_b": [1, 0, 1, 0]}, [1, 0, 1, 0], np.int64),
    ],
)
def test_classes_become_numbers(columns: dict[str, Any], encoded: Any, dtype: type) -> None:
    frame = pd.DataFrame(columns)
    got = fitted(frame).encode(frame.assign(extra=0)[["extra", *reversed(frame.columns)]])
    assert got.tolist() == encoded
    assert got.dtype == dtype


def test_regression_equals_scikit_learn() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(5, [3, 300], (40, 2)), columns=["p", "q"])
    got = fitted(frame).encode(frame)
    np.testing.assert_allclose(got, StandardScaler().fit_transform(frame), atol=1e-6)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(fitted(frame, scale=False).encode(frame), frame.to_numpy(np.float32))


def test_test_files_with_full_stops() -> None:
    encoder = fitted(pd.DataFrame({"y": ["<=50K", ">50K"] * 2}))
    assert encoder.encode(pd.DataFrame({"y": [">50K.", "<=50K"]})).tolist() == [[1], [0]]


def test_classes_written_as_other_numbers() -> None:
    encoder = fitted(pd.DataFrame({"y": [1, 2] * 3}))
    assert encoder.encode(pd.DataFrame({"y": [2.0, 1.0]})).tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("train", "new", "message"),
    [
        (
            {"y": ["a", "b"] * 2},
            {"y": ["a", "z"]},
            "target 'y' has 1 classes that the training rows lack: 'z'; known: 'a', 'b'",
        ),
        ({"y": ["a", "b"] * 2}, {"x": ["a"]}, "the targets lack 'y'; they have ['x']"),
        ({"y": [0.5, 1.5]}, {"y": [1.0, None]}, "target 'y' holds None (and the like, in 1 row), but a target is"),
        ({"y": [0.5, 1.5]}, {"y": ["n/k"]}, "target 'y' holds 'n/k' (and the like, in 1 row), but a target is"),
        ({"y": [0.5, 1.5]}, {"y": [0.5e9]}, "target 'y' holds '500000000' (and the like, in 1 row), but a target is"),
        ({"p": [0, 1, 1], "q": [1, 1, 0]}, {"p": [2], "q": [0]}, "target 'p' holds '2' (and the like, in 1 row)"),
        ({"p": [0, 1] * 2, "q": [1, 0] * 2}, {"p": [1], "q": [1]}, "targets p, q: exactly one is 1 in every row"),
    ],
)
def test_new_targets_without_a_meaning(train: dict[str, Any], new: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        fitted(pd.DataFrame(train)).encode(pd.DataFrame(new))
    assert str(error.value).startswith(message)


def test_unscaled_targets_beyond_single_precision() -> None:
    with pytest.raises(InputError, match=r"target 'y' holds '1e\+300'.* within"):
        fitted(pd.DataFrame({"y": [0.5, 1.5]}), scale=False).encode(pd.DataFrame({"y": [1e300]}))


@given(st.lists(st.floats(-1e200, 1e200), min_size=2, max_size=8).filter(lambda v: min(v) != max(v)))
def test_json_keeps_every_bit(values: list[float]) -> None:
    frame = pd.DataFrame({"y": values})
    task = infer_task(frame, "regression")
    encoder = TargetEncoder.fit(task, frame)
    assert fitted(frame, "regression").task == task
    assert fitted(frame, "regression").encode(frame).tobytes() == encoder.encode(frame).tobytes()
