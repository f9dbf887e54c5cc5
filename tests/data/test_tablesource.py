from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from osler.data.sources import open_source
from osler.data.tablesource import table_source, target_names
from osler.errors import InputError

FRAME = pd.DataFrame({"size": [1, 2], "weight": [3, 4], "kind": ["a", "b"]})


def targets_of(frame: pd.DataFrame, target: Any) -> list[str]:
    return list(table_source("it", {"all": frame}, target, []).parts["all"].targets.columns)


@pytest.mark.parametrize(
    ("target", "columns"),
    [
        ("kind", ["kind"]),
        ("-1", ["kind"]),
        ("0", ["size"]),
        (1, ["weight"]),
        (["kind"], ["kind"]),
        ("size, kind", ["size", "kind"]),
        (["kind", 0], ["kind", "size"]),
    ],
)
def test_targets_by_name_and_position(target: Any, columns: list[str]) -> None:
    assert targets_of(FRAME, target) == columns


def test_a_name_that_is_a_number_comes_before_a_position() -> None:
    assert targets_of(pd.DataFrame([[1, 2, 3]], columns=[2, 1, 0]), "2") == ["2"]


@pytest.mark.parametrize(
    ("columns", "target", "said"),
    [
        (["a", "Label"], "Label", "target: column 'Label', by its name"),
        (["column_1", "column_2"], "column_2", "target: 'column_2', the last column (no column has a name)"),
    ],
)
def test_a_target_nobody_named(columns: list[str], target: str, said: str) -> None:
    notes: list[str] = []
    source = table_source("it", {"all": pd.DataFrame([[1, 2]], columns=columns)}, None, notes)
    assert list(source.parts["all"].targets.columns) == [target]
    assert notes == [said]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, "it: which column is to be predicted? Say it with --target; columns: size, weight, kind"),
        ("wieght", "unknown target column 'wieght'; did you mean 'weight'?"),
        ("3", "unknown target column '3'; known: kind, size, weight"),
        ("", "unknown target column ''; known: kind, size, weight"),
        ("kind,kind", "a target column is named twice: 'kind', 'kind'"),
        (["kind", -1], "a target column is named twice: 'kind', 'kind'"),
    ],
)
def test_targets_that_are_not_there(target: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        targets_of(FRAME, target)
    assert str(error.value) == message


def test_target_names() -> None:
    assert target_names(None) == ()
    assert target_names("a, b") == ("a", "b")
    assert target_names([" a", 0]) == (" a", "0")


def write(folder: Path, **tables: str) -> Path:
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


ONE, TWO = "a,b,y\n1,5.5,p\n2,6.5,q\n", "a,b,y\n3,7.5,p\n4,8.5,q\n"


def test_files_named_after_parts(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, my_train=ONE, my_test=TWO, val=TWO, submission="id,y\n1,2\n"), "y")
    assert {name: len(part) for name, part in source.parts.items()} == {"test": 2, "train": 2, "validation": 2}
    (note,) = source.notes
    assert "my_train.csv as the train part" in note
    assert note.endswith("not used: submission.csv")


def test_several_files_of_one_part(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, train_1=ONE, train_2=TWO, test=TWO), "y")
    assert {name: len(part) for name, part in source.parts.items()} == {"train": 4, "test": 2}


def test_validation_stands_for_test(tmp_path: Path) -> None:
    assert set(open_source(write(tmp_path, train=ONE, valid=TWO), "y").parts) == {"train", "test"}


def test_tables_of_the_same_columns_are_taken_together(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, red=ONE, white="b,a,y\n9.5,9,p\n"), "y")
    assert source.parts["all"].inputs["b"].tolist() == [5.5, 6.5, 9.5]
    assert source.notes == [
        f"{tmp_path.name}: 2 tables of the same columns taken together (rows: red.csv 2, white.csv 1)"
    ]


def test_a_test_part_without_target_is_left(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, train=ONE, test="a,b\n1,2\n"), "y")
    assert set(source.parts) == {"all"}
    assert "the test part has no column 'y': not used (it can be predicted afterwards)" in source.notes


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"train": ONE, "test": "a,bb,y\n1,2,p\n"}, "the test part lacks the column 'b' of the training part (is it"),
        ({"one": ONE, "two": "q,r\n1,2\n"}, "holds tables with different columns; name one: one.csv, two.csv"),
        ({"train": ONE, "test": "a,b,y\n"}, "test.csv: the table has a header but no rows"),
    ],
)
def test_folders_that_do_not_fit(tmp_path: Path, tables: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as error:
        open_source(write(tmp_path, **tables), "y")
    assert str(tmp_path) in str(error.value)
    assert message in str(error.value)
