import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from osler.data.frames import as_array, target_frame, tidy
from osler.errors import InputError

DAYS = pd.date_range("2021-01-01", periods=2)


@pytest.mark.parametrize(
    ("cells", "plain"),
    [
        (pd.array([1, None], dtype="Int64"), [1, None]),
        (pd.array([0.5, None], dtype="Float64"), [0.5, None]),
        (pd.array([1, None], dtype="int64[pyarrow]"), [1, None]),
        (pd.array([0.5, None], dtype="float64[pyarrow]"), [0.5, None]),
        (pd.array(["a ", " "], dtype="string"), ["a", None]),
        (pd.array(["a", None], dtype="string[pyarrow]"), ["a", None]),
        (pd.array([datetime.date(2021, 1, 1), None], dtype="date32[pyarrow]"), [DAYS[0], None]),
        (np.array([0.5, 1], dtype=np.float16), [0.5, 1]),
        (pd.arrays.SparseArray([0.0, 1.0]), [0, 1]),
        (pd.arrays.SparseArray([0, 1]), [0, 1]),
        (pd.Categorical([1, None]), ["1", None]),
        (pd.Categorical([" ", "b"]), [None, "b"]),
        (pd.array([True, None], dtype="boolean"), [True, None]),
        (pd.Series([True, None], dtype=object), [True, None]),
        (pd.Series(["", " x "], dtype=object), [None, "x"]),
        (pd.Series([2**60 + 1, None], dtype=object), [2**60 + 1, None]),
        (DAYS.tz_localize("Europe/Berlin"), DAYS - pd.Timedelta(hours=1)),
        (DAYS.to_period("D"), DAYS),
        (pd.to_timedelta([36, None], unit="h"), [1.5, None]),
    ],
)
def test_columns_become_plain(cells: Any, plain: Any) -> None:
    got = tidy(pd.DataFrame({"a": cells}), "it")["a"]
    assert got.dtype.kind in "iufbMO"
    assert [None if pd.isna(cell) else cell for cell in got.tolist()] == list(plain)


def test_names_and_index_become_plain() -> None:
    frame = pd.DataFrame([[1, 2, 3]] * 2, index=[7, 7], columns=[0, None, "c"])
    assert list(tidy(frame, "it").columns) == ["0", str(frame.columns[1]), "c"]
    assert list(tidy(frame, "it").index) == [0, 1]
    frame.columns = pd.MultiIndex.from_tuples([("x", "a"), ("x", "b"), ("y", 1)])
    assert list(tidy(frame, "it").columns) == ["x_a", "x_b", "y_1"]


def test_the_original_stays_as_it_is() -> None:
    frame = pd.DataFrame({1: [" a ", ""], "d": DAYS.tz_localize("UTC"), "c": pd.Categorical([1, 2])}, index=[5, 5])
    before = frame.copy(deep=True)
    plain = tidy(frame, "it")
    plain.loc[0, "1"] = "changed"
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "it: column names must differ, but 'a' stands there twice"),
        (pd.DataFrame([[1, 2]], columns=[0, "0"]), "it: column names must differ, but '0' stands there twice"),
        (pd.DataFrame({"a": []}), "it: the table has no rows"),
        (np.ones(3), "it: a table is a file or a pandas DataFrame, but got ndarray"),
    ],
)
def test_frames_that_cannot_be_used(frame: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        tidy(frame, "it")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("targets", "columns"),
    [
        ([1, 2], {"y": [1, 2]}),
        (["a", None], {"y": ["a", None]}),
        (np.array([[1], [2]]), {"y": [1, 2]}),
        (torch.tensor([1.5, 2.5], dtype=torch.bfloat16, requires_grad=True), {"y": [1.5, 2.5]}),
        ([[1, 2], [3, 4]], {"y_0": [1, 3], "y_1": [2, 4]}),
        (pd.Series([1, 2], name="z", index=[4, 4]), {"z": [1, 2]}),
        (pd.Series([1, 2]), {"y": [1, 2]}),
        (pd.DataFrame({"p": [1, 2], 3: [0, 0]}), {"p": [1, 2], "3": [0, 0]}),
    ],
)
def test_targets_in_any_form(targets: Any, columns: dict[str, list[object]]) -> None:
    frame = target_frame(targets, ("y",))
    assert {n: [None if pd.isna(v) else v for v in frame[n].tolist()] for n in frame} == columns


def test_several_targets_take_the_names_given() -> None:
    assert list(target_frame([[1, 2]], ("p", "q")).columns) == ["p", "q"]


@pytest.mark.parametrize("targets", [3, np.ones((2, 2, 2)), np.ones((2, 0)), [[1, 2], [3]]])
def test_targets_of_no_usable_shape(targets: Any) -> None:
    with pytest.raises(InputError, match="shape"):
        target_frame(targets, ("y",))


def test_arrays_of_any_make() -> None:
    np.testing.assert_array_equal(as_array(np.ma.masked_equal([1, 2], 2), "x"), [1, np.nan])
    np.testing.assert_array_equal(as_array(torch.eye(2).to_sparse(), "x"), np.eye(2))
    with pytest.raises(InputError, match="the inputs are lists of different lengths"):
        as_array([[1], [1, 2]], "the inputs")
