import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.data.arrayfile import npz_source, read_npz
from osler.data.parts import Source
from osler.data.rows import open_rows
from osler.data.sources import open_source
from osler.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (12, 5, 4), dtype=np.uint8)
Y = np.arange(12) % 3


def saved(folder: Path, packed: bool = False, **arrays: Any) -> Path:
    path = folder / "a.npz"
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("inputs", "targets"), [("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"), ("inputs", "targets")]
)
def test_one_part(tmp_path: Path, inputs: str, targets: str) -> None:
    source = open_source(saved(tmp_path, **{inputs: X, targets: Y, "about": np.array("bees")}))
    assert isinstance(source, Source)
    assert source.kind == "images"
    np.testing.assert_array_equal(source.parts["all"].inputs[:, 0].numpy(), X)
    assert source.parts["all"].targets["target"].tolist() == Y.tolist()
    assert source.notes == [f"a.npz: {inputs} as inputs, {targets} as targets; not used: about"]


@pytest.mark.parametrize("form", ["x_{}", "X_{}", "{}_images"])
@pytest.mark.parametrize("packed", [False, True])
def test_parts_by_name(tmp_path: Path, form: str, packed: bool) -> None:
    labels = form.replace("x", "y").replace("X", "y").replace("images", "labels")
    arrays: dict[str, Any] = {}
    for part, rows in (("test", slice(8, 10)), ("train", slice(0, 8)), ("val", slice(10, 12))):
        arrays |= {form.format(part): X[rows], labels.format(part): Y[rows, None]}  # labels on two axes, as some are
    source = npz_source(saved(tmp_path, packed, **arrays), "kind")
    assert list(source.parts) == ["train", "validation", "test"]
    for part, rows in (("train", slice(0, 8)), ("test", slice(8, 10)), ("validation", slice(10, 12))):
        np.testing.assert_array_equal(source.parts[part].inputs[:, 0].numpy(), X[rows])
        assert source.parts[part].targets["kind"].tolist() == Y[rows].tolist()


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_are_arrays(tmp_path: Path, dtype: str, order: Any) -> None:
    values = np.asarray(RANDOM.normal(size=(12, 3)) * 9, dtype, order=order)
    source = npz_source(saved(tmp_path, x=values, y=Y), None)
    assert source.kind == "arrays"
    np.testing.assert_array_equal(source.parts["all"].inputs, values)


def test_a_part_to_be_predicted(tmp_path: Path) -> None:
    path = saved(tmp_path, x_train=X[:8], y_train=Y[:8], x_test=X[8:])
    source = npz_source(path, None)
    assert list(source.parts) == ["all"]
    assert source.notes[-1] == "the test part has no targets: not used (it can be predicted afterwards)"
    part = open_rows(path, "images", (1, 5, 4), ("target",), [])
    assert torch.equal(part.inputs[:, 0], torch.from_numpy(X[8:]))
    assert part.targets is None
    assert isinstance(open_rows(path, "arrays", (5, 4), ("target",), []).inputs, np.ndarray)
    floats = saved(tmp_path, x=X / 2)
    with pytest.raises(InputError, match="this run was trained on pictures: uint8 arrays"):
        open_rows(floats, "images", (1, 5, 4), ("target",), [])


def renamed(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", data)
        archive.writestr("y.npy", npy(Y))
    return path


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "nothing to learn from, for there are inputs, but no targets: it needs x_train and y_train"),
        ({"y": Y}, "unclear what to learn from 'y': it needs x_train and y_train"),
        ({"a": X, "b": Y}, "unclear what to learn from 'a', 'b'"),
        ({"x": X, "y": Y, "x_test": X}, "unclear what to learn from 'x', 'y', 'x_test'"),
        ({"x": X, "images": X, "y": Y}, "'x' and 'images' are both the inputs; keep one"),
        ({"x": X, "y": Y[:3]}, "inputs have 12 rows, targets 3"),
        ({"x": np.array([{}, []], dtype=object), "y": Y}, "the array 'x' holds Python objects, which are never read"),
        ({"x_train": X, "y_train": Y, "x_test": X / 2, "y_test": Y}, "pictures in one part, other numbers in another"),
    ],
)
def test_what_cannot_be_learned_from(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        npz_source(saved(tmp_path, **arrays), None)


def test_a_header_that_claims_too_much(tmp_path: Path) -> None:
    whole = npy(X)
    huge = whole.replace(b"(12, 5, 4), }         ", b"(99999999, 99999, 9),}")
    assert len(huge) == len(whole)
    assert huge != whole
    with pytest.raises(InputError, match=r"the array 'x' needs about .* GiB in memory"):
        npz_source(renamed(tmp_path / "a.npz", huge), None)
    more = whole.replace(b"(12, 5, 4), }", b"(13, 5, 4), }")
    with pytest.raises(InputError, match="the array 'x' should have 260 bytes by its header, but has 240"):
        npz_source(renamed(tmp_path / "a.npz", more), None)
    with pytest.raises(InputError, match="should have 240 bytes by its header, but has more"):
        npz_source(renamed(tmp_path / "a.npz", whole + b"a"), None)
    with pytest.raises(InputError, match="the array 'x' is no array as NumPy writes it"):
        npz_source(renamed(tmp_path / "a.npz", b"something"), None)


@given(st.binary(max_size=60), st.integers(0, 2000))
def test_a_strangers_bytes_are_refused_by_name(tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int) -> None:
    path = saved(tmp_path_factory.getbasetemp(), x=X, y=Y)
    whole = path.read_bytes()
    for stranger in (data, whole[:cut] + data, whole[:cut] + data + whole[cut + len(data) :]):
        path.write_bytes(stranger)
        try:
            read_npz(path, ("target",), [])
        except InputError as error:
            message = str(error)
            assert message


def test_prepared(tmp_path: Path, ready: Callable) -> None:
    names = np.array(["ant", "bee", "cat"])[Y]
    prepared, _ = ready(saved(tmp_path, x_train=X, y_train=names, x_test=X[:5], y_test=names[:5]))
    assert prepared.task.classes == ("ant", "bee", "cat")
    np.testing.assert_array_equal(prepared.parts["test"].inputs[:, 0].numpy(), X[:5])
    assert prepared.parts["test"].targets.tolist() == Y[:5].tolist()
