from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from osler.data.parts import Part
from osler.data.rows import open_rows
from osler.errors import InputError

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"], "t": ["u", "v"]})
PICTURES = np.arange(2 * 64).reshape(2, 8, 8).astype(np.uint8)


def rows(source: object, kind: str = "table", shape: Any = (3,), targets: Any = ("t",)) -> tuple[Part, list[str]]:
    notes: list[str] = []
    return open_rows(source, kind, shape, targets, notes), notes


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"new.{suffix}"
    FRAME.to_csv(path, index=False) if suffix == "csv" else FRAME.to_parquet(path)
    part, notes = rows(path)
    assert part.inputs.columns.tolist() == ["a", "b"]
    assert part.targets["t"].tolist() == ["u", "v"]
    assert part.rows == ("0", "1")
    assert notes == []
    assert rows(str(path))[0].inputs.equals(part.inputs)


def test_a_target_is_welcome_not_needed() -> None:
    assert rows(FRAME)[0].targets["t"].tolist() == ["u", "v"]
    assert rows(FRAME[["b", "a"]])[0].targets is None
    assert rows((FRAME[["a", "b"]], ["u", "v"]))[0].targets["t"].tolist() == ["u", "v"]
    assert rows((FRAME[["a", "b"]], pd.Series([1, 2], name="other")))[0].targets["t"].tolist() == [1, 2]
    assert rows(FRAME, targets=("t", "z"))[0].targets is None


@pytest.mark.parametrize("gaps", [["u", None], [None, None]])
def test_rows_without_a_target_are_predicted(gaps: list[str | None]) -> None:
    part, notes = rows(FRAME.assign(t=gaps))
    assert len(part) == 2
    assert part.targets is None
    assert notes == [f"{gaps.count(None)} of 2 rows have no target: predicted, but compared with nothing"]


def test_folders_and_embedded_sets(tmp_path: Path) -> None:
    for name in ("train", "test"):
        FRAME.assign(a=[5.0, 6.0] if name == "test" else 0).to_csv(tmp_path / f"{name}.csv", index=False)
    part, notes = rows(tmp_path)
    assert part.inputs["a"].tolist() == [5, 6]
    assert "test.csv as the test part" in notes[0]
    assert len(rows("iris", targets=("species",))[0]) == 150
    assert len(rows("digits", "images", (1, 8, 8))[0]) == 1797


def test_arrays() -> None:
    values = np.ones((4, 3))
    for source in (values, torch.ones(4, 3), values.tolist(), pd.DataFrame(values)):
        part, _ = rows(source, "arrays")
        assert part.inputs.shape == (4, 3)
        assert part.targets is None
    part, _ = rows((values, [1, 2, 3, 4]), "arrays", targets=("target",))
    assert part.targets["target"].tolist() == [1, 2, 3, 4]
    part, _ = rows((values, np.eye(3)[[0, 1, 2, 0]]), "arrays", targets=("p", "q", "r"))
    assert list(part.targets.columns) == ["p", "q", "r"]
    assert rows([[1, 2], [3, 4]], "arrays")[0].inputs.tolist() == [[1, 2], [3, 4]]  # two samples, not a pair
    assert isinstance(rows(PICTURES, "arrays")[0].inputs, np.ndarray)


def test_pictures(tmp_path: Path) -> None:
    part, _ = rows((PICTURES, ["u", "v"]), "images", (1, 8, 8))
    assert part.inputs.shape == (2, 1, 8, 8)
    assert part.targets["t"].tolist() == ["u", "v"]
    for name, picture in zip("uv", PICTURES, strict=True):
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "p.png")
    part, _ = rows(tmp_path, "images", (1, 8, 8))
    np.testing.assert_array_equal(part.inputs.numpy()[:, 0], PICTURES)
    assert part.targets["t"].tolist() == ["u", "v"]
    part, _ = rows(tmp_path / "u" / "p.png", "images", (1, 8, 8))
    assert part.inputs.shape == (1, 1, 8, 8)
    assert part.targets is None


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("no/such.csv", "table", "no such file or folder: 'no/such.csv'"),
        ("no/such.png", "images", "no such file or folder: 'no/such.png'"),
        ("digits", "table", "this run was trained on table, but 'digits' holds a source of kind 'images'"),
        (np.ones((2, 3)), "table", "the data: a table is a file or a pandas DataFrame, but got ndarray"),
        (None, "table", "the data: a table is a file or a pandas DataFrame, but got NoneType"),
        (FRAME[:0], "table", "the data: the table has no rows"),
        (FRAME[["a", "a"]], "table", "the data: column names must differ, but 'a' stands there twice"),
        ((FRAME, ["u"]), "table", "inputs have 2 rows, targets 1: they need the same number"),
        (np.ones((2, 8, 8)), "images", "this run was trained on pictures: uint8 arrays of shape (N, height, width)"),
        (FRAME, "images", "inputs must be an array of numbers"),
        (FRAME, "arrays", "inputs must be an array of numbers"),
        ((np.ones((2, 3)), [1]), "arrays", "inputs have 2 rows, targets 1: they need the same number"),
    ],
)
def test_what_cannot_be_predicted(source: object, kind: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        rows(source, kind)
    assert str(error.value).startswith(message)
