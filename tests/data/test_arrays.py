from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from osler.data.arrays import as_pictures, input_array, pair_part, pair_source
from osler.errors import InputError

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ("values", "shape", "dtype"),
    [
        (X, (6, 3), "float64"),
        (X.tolist(), (6, 3), "float64"),
        (X.astype(np.float16), (6, 3), "float16"),
        (X.astype(object), (6, 3), "float64"),
        (X[:, 0], (6, 1), "float64"),
        (X[:, :, None], (6, 3, 1), "float64"),
        (X > 0, (6, 3), "float32"),
        (Y, (6, 1), "int64"),
        (torch.tensor(X, dtype=torch.bfloat16, requires_grad=True), (6, 3), "float32"),
        (pd.Series(X[:, 0]), (6, 1), "float64"),
        (np.broadcast_to(np.float32(1), (6, 2)), (6, 2), "float32"),
    ],
)
def test_inputs_of_any_make(values: Any, shape: tuple[int, ...], dtype: str) -> None:
    array = input_array(values)
    assert (array.shape, str(array.dtype)) == (shape, dtype)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(1.0), "got ndarray of float64 and shape ()"),
        (np.array([["a", 1.0]], dtype=object), "got ndarray of object and shape (1, 2)"),
        (X + 1j, "got ndarray of complex128"),
        (None, "got NoneType of object and shape ()"),
        (csr_matrix(X), "got csr_matrix of object"),
        (np.zeros(3, dtype=[("a", float)]), "got ndarray of [('a', '<f8')]"),
        (X[:0], "the inputs are empty: shape (0, 3)"),
        (X[:, :0], "the inputs are empty: shape (6, 0)"),
        ([[1, 2], [3]], "the inputs are lists of different lengths"),
    ],
)
def test_inputs_that_are_no_numbers(values: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        input_array(values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((5, 8, 9), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 1, 8, 3), (5, 1, 8, 3)),
    ],
)
def test_pictures(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    values.flags.writeable = False
    pictures = as_pictures(values)
    assert isinstance(pictures, torch.Tensor)
    assert pictures.shape == wanted
    assert int(pictures.sum()) == values.sum()


def test_what_is_no_picture() -> None:
    for values in (np.zeros((5, 8), np.uint8), np.zeros((5, 8, 8))):
        assert as_pictures(values) is values
    with pytest.raises(InputError, match=r"pictures have 1 or 3 channels, but got an array of shape \(5, 4, 8, 8\)"):
        as_pictures(np.zeros((5, 4, 8, 8), np.uint8))


def test_kinds_of_pairs() -> None:
    assert pair_source(X, Y, None).kind == "arrays"
    assert pair_source(np.zeros((6, 4, 4), np.uint8), Y, None).kind == "images"
    source = pair_source(pd.DataFrame(X), pd.Series(Y, index=range(6, 0, -1), name="y"), None)
    assert source.kind == "table"
    assert source.parts["all"].targets["y"].tolist() == Y.tolist()  # row by row, whatever the indices
    assert list(pair_source(X, Y, "label").parts["all"].targets.columns) == ["label"]
    assert list(pair_source(X, pd.Series(Y, name="y"), "label").parts["all"].targets.columns) == ["y"]


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (X, Y[:-1], "inputs have 6 rows, targets 5: they need the same number"),
        (pd.DataFrame(X), Y[:-1], "inputs have 6 rows, targets 5: they need the same number"),
        (X, None, "a pair is (inputs, targets), but its targets are None"),
        (pd.DataFrame({"target": X[:, 0]}), Y, "the inputs have a column 'target' too"),
        (X, 3, "targets have one number or class per sample"),
    ],
)
def test_pairs_that_do_not_fit(inputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        pair_source(inputs, targets, None)
    assert str(error.value).startswith(message)


def test_the_data_given_stay_as_they_are() -> None:
    pictures = np.zeros((6, 4, 4), np.uint8)
    part = pair_part(pictures, Y, ("y",))
    part.inputs.add_(1)
    assert not pictures.any()
