from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from osler.data.parts import Source
from osler.data.rows import open_rows
from osler.data.sources import existing, open_source
from osler.errors import InputError

FRAME = pd.DataFrame({"a": [1.5, 2.5, None], "b": ["x", "y", "x"], "t": ["u", "v", "u"]})


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "T.CSV", "t.txt"])
def test_the_same_table_from_any_place(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if "parquet" in name:
        FRAME.to_parquet(path)
    else:
        FRAME.to_csv(path, index=False, sep="\t" if "tsv" in name else ",")
    wanted = open_source(FRAME, "t").parts["all"]
    for source in (path, str(path), tmp_path):
        if name == "t.txt" and source == tmp_path:
            continue
        found = open_source(source, "t")
        assert (found.kind, found.where) == ("table", str(source))
        pd.testing.assert_frame_equal(found.parts["all"].inputs, wanted.inputs)
        pd.testing.assert_frame_equal(found.parts["all"].targets, wanted.targets)


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ("digits", None, "images"),
        ("Iris", None, "table"),
        ("breast-cancer", "tumour", "table"),
        (FRAME, "t", "table"),
        ((np.ones((3, 2)), [0, 1, 0]), None, "arrays"),
        ([torch.ones(3, 2), torch.tensor([0, 1, 0])], None, "arrays"),
        ((FRAME[["a", "b"]], FRAME["t"]), None, "table"),
        ((np.ones((3, 4, 4), np.uint8), list("uvu")), None, "images"),
    ],
)
def test_kinds_of_sources(source: Any, target: str | None, kind: str) -> None:
    found = open_source(source, target)
    assert isinstance(found, Source)
    assert found.kind == kind
    assert len(next(iter(found.parts.values()))) > 0


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("irsi", None, "unknown source: no file or folder, and no embedded data set 'irsi'; did you mean 'iris'?"),
        ("", None, "unknown source: no file or folder, and no embedded data set ''"),
        ("iris", "spieces", "the embedded set 'iris' has the target 'species', but the target asked for is 'spieces'"),
        ("digits", "digit", "the embedded set 'digits' has no columns to choose from, but the target asked for is"),
        ("~nobody-of-this-name/x.csv", None, "no such file or folder: '~nobody-of-this-name/x.csv'"),
        ("x" * 5000, None, "unknown source"),
        ("folder/" + "x" * 5000 + ".csv", None, "no such file or folder"),
        (None, None, "a source is a name, a path, a DataFrame or a pair (inputs, targets), but got NoneType"),
        ({"a": 1}, None, "a source is a name, a path, a DataFrame or a pair (inputs, targets), but got dict"),
        (np.ones((2, 2)), None, "a source is a name, a path, a DataFrame or a pair (inputs, targets), but got ndarray"),
        ((1, 2, 3), None, "a source is a name, a path, a DataFrame or a pair (inputs, targets), but got tuple"),
        (FRAME, "tt", "unknown target column 'tt'; did you mean 't'?"),
        (FRAME, None, "a DataFrame: which column is to be predicted? Say it with --target; columns: a, b, t"),
        (FRAME[:0], "t", "a DataFrame: the table has no rows"),
        (FRAME[["a", "a", "t"]], "t", "a DataFrame: column names must differ, but 'a' stands there twice"),
    ],
)
def test_sources_that_are_none(source: Any, target: str | None, message: str) -> None:
    with pytest.raises(InputError) as error:
        open_source(source, target)
    assert str(error.value).startswith(message)


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "titanic.csv").write_text("a\n1\n")
    with pytest.raises(InputError) as error:
        open_source(tmp_path / "titanik.csv")
    wanted = str(tmp_path / "titanic.csv")
    assert str(error.value) == f"no such file or folder: {str(tmp_path / 'titanik.csv')!r}; did you mean {wanted!r}?"


def test_pictures_have_no_target_column(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tables, but the target asked for is a column: 'kind'"):
        open_source(tmp_path, "kind")


def test_existing(tmp_path: Path) -> None:
    assert existing(tmp_path) == tmp_path
    assert [existing(name) for name in ("", "no/such", "~nobody-of-this-name", "x" * 5000, "a\0b")] == [None] * 5


def test_other_frames_are_refused_by_name() -> None:
    class Other:
        columns = ("a",)

    with pytest.raises(InputError, match="a table is a file or a pandas DataFrame, but got Other"):
        open_source(Other(), "a")


# ---- real data


@pytest.mark.slow
def test_titanic(real_data: Path, ready: Callable) -> None:
    prepared, notes = ready(real_data / "titanic" / "train.csv", "Survived")
    assert (prepared.task.kind, prepared.task.classes) == ("binary", ("0", "1"))
    kinds = {column.name: column.kind for column in prepared.preprocess.inputs.columns}
    assert kinds["Age"] == kinds["Pclass"] == "number"
    assert kinds["Sex"] == kinds["Embarked"] == "category"
    assert kinds["Cabin"] == "presence"
    assert prepared.preprocess.inputs.left_out == ["PassengerId", "Name", "Ticket"]
    for name in ("PassengerId", "Name", "Ticket", "Cabin"):
        assert any(note.startswith(f"column {name!r}") for note in notes)
    rows = open_rows(real_data / "titanic" / "test.csv", "table", (), ("Survived",), said := [])
    assert len(prepared.preprocess.encode(rows, said)) == 418
    assert any("'Fare': 1 values missing, never so in training" in note for note in said)
    folder, notes = ready(real_data / "titanic", "Survived")
    assert sum(len(part) for part in folder.raw.values()) == 891
    assert "the test part has no column 'Survived': not used (it can be predicted afterwards)" in notes


@pytest.mark.slow
def test_adult(real_data: Path, ready: Callable) -> None:
    prepared, notes = ready(real_data / "adult")
    assert (prepared.task.names, prepared.task.classes) == (("class",), ("<=50K", ">50K"))
    assert len(prepared.parts["test"]) == 16281
    assert prepared.parts["test"].targets.sum() == 3846  # its labels end in a full stop
    assert len(prepared.parts["train"]) + len(prepared.parts["validation"]) == 32561
    assert list(prepared.raw["train"].inputs.columns)[:2] == ["age", "workclass"]
    assert prepared.raw["train"].inputs["workclass"].isna().any()
    assert "adult-train.csv has no header: columns named after adult.names; the last one is 'class'" in notes


@pytest.mark.slow
def test_california_housing(real_data: Path, ready: Callable) -> None:
    prepared, _ = ready(real_data / "california_housing" / "housing.csv", "median_house_value")
    assert prepared.task.kind == "regression"
    assert sum(len(part) for part in prepared.raw.values()) == 20640
    features = prepared.preprocess.inputs.features
    assert "total_bedrooms is missing" in features
    assert "ocean_proximity = INLAND" in features
    assert prepared.parts["train"].targets.mean().abs() < 1e-4
    assert torch.isfinite(prepared.parts["test"].inputs).all()


@pytest.mark.slow
def test_wine_quality(real_data: Path, ready: Callable) -> None:
    prepared, notes = ready(real_data / "wine_quality")
    assert sum(len(part) for part in prepared.raw.values()) == 1599 + 4898
    assert (prepared.task.kind, prepared.task.classes) == ("multiclass", tuple("3456789"))
    assert any("2 tables of the same columns taken together" in note for note in notes)
    assert prepared.preprocess.shape == (11,)
