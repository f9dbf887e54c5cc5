import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.data import tablefiles
from osler.data.tablefiles import read_table
from osler.errors import InputError

TEXT = "name,size\nAnn,1.5\nBob,2\nÉva,\n"
FRAME = pd.DataFrame({"name": ["Ann", "Bob", "Éva"], "size": [1.5, 2, np.nan]})


def read(path: Path, content: str | bytes, expected: tuple[str, ...] = ()) -> tuple[pd.DataFrame, list[str]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    notes: list[str] = []
    return read_table(path, notes, expected), notes


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-be").join([b"\xfe\xff", b""]),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "|").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", ", ").encode(),
        TEXT.replace("\nB", "\n\n   \nB").encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.replace("Bob", '"Bob"').encode(),
        TEXT.replace("Éva,", "Éva,?").encode(),
    ],
)
def test_the_same_table_however_written(tmp_path: Path, content: bytes) -> None:
    frame, notes = read(tmp_path / "t.csv", content)
    pd.testing.assert_frame_equal(frame, FRAME)
    assert notes == []


def test_windows_1252_is_read_and_said(tmp_path: Path) -> None:
    frame, notes = read(tmp_path / "t.csv", TEXT.encode("cp1252"))
    pd.testing.assert_frame_equal(frame, FRAME)
    assert notes == ["t.csv is not UTF-8 (byte 0xc9 in line 4): read as Windows-1252"]


@pytest.mark.parametrize("suffix", ["parquet", "PARQUET"])
def test_parquet(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "year=2021"  # looks like a partition, which would become a column
    folder.mkdir()
    FRAME.to_parquet(folder / f"t.{suffix}")
    pd.testing.assert_frame_equal(read_table(folder / f"t.{suffix}", []), FRAME)


def test_tsv_and_decimal_commas(tmp_path: Path) -> None:
    frame, _ = read(tmp_path / "t.tsv", "a\tb\n1,5\tx\n")
    assert frame["a"].tolist() == [1.5]
    frame, notes = read(tmp_path / "t.csv", "a;b\n1,5;2\n-0,25;3\n")
    assert frame["a"].tolist() == [1.5, -0.25]
    assert notes == ["t.csv: numbers are written with a decimal comma"]


def test_without_a_header(tmp_path: Path) -> None:
    frame, notes = read(tmp_path / "t.csv", "1,a\n2,b\n")
    assert frame.columns.tolist() == ["column_1", "column_2"]
    assert len(frame) == 2
    assert notes == ["t.csv has no header: columns are named column_1 … column_2"]


def test_names_from_the_description_beside(tmp_path: Path) -> None:
    (tmp_path / "t.names").write_text("| made up: by me.\n>50K, <=50K.\n\nage: continuous.\nsex: f, m.\n")
    frame, notes = read(tmp_path / "t.data", "31, f, <=50K\n22, m, >50K\n")
    assert frame.columns.tolist() == ["age", "sex", "class"]
    assert frame["sex"].tolist() == ["f", "m"]
    assert notes == ["t.data has no header: columns named after t.names; the last one is 'class'"]


def test_an_index_without_a_name_is_a_column(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv")
    frame = read_table(tmp_path / "t.csv", [])
    pd.testing.assert_frame_equal(frame.drop(columns="column_1"), FRAME)


@pytest.mark.parametrize(
    ("content", "line", "width"),
    [
        ("a,b\n1,2\n3\n", 3, 1),
        ("a,b\r\n1,2,3\r\n", 2, 3),
        ('a,b\n"x\ny\nz",1\n1,2,3\n', 5, 3),  # a quoted field over three lines
        ('a,b\n1,2\n"x\ny",1,2\n', 3, 3),  # the row that is wrong begins in line 3
        ("\n\na,b\n\n1,2,3\n", 5, 3),
    ],
)
def test_ragged_rows_are_named_by_line(tmp_path: Path, content: str, line: int, width: int) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path / "t.csv", content)
    assert str(error.value) == (
        f"{tmp_path}/t.csv, line {line}: this row has {width} fields, the first one has 2; "
        "every row needs the same number (a text that holds the delimiter goes in double quotes)"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "the file is empty"),
        ("t.csv", " \n \n", "the file is empty"),
        ("t.parquet", "", "the file is empty"),
        ("t.csv", "a,b\n", "the table has a header but no rows"),
        ("t.csv", "a,b,a\n1,2,3\n", "column names must differ, but 'a' stands there twice"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\0\0", "this is a binary file, not a text table (byte 8 is zero)"),
        ("t.csv", b"\xff\xfea\0,", "begins like UTF-16, but byte 4 is not; save it as UTF-8"),
        ("t.parquet", "a,b\n1,2\n", "not a readable Parquet file"),
        ("t.xlsx", "x", "files of type .xlsx are not read; .csv, .tsv, .parquet, .jsonl, .ndjson are"),
        ("t", "x", "files of type without a suffix are not read"),
        ("t.csv", 'a,b\n1,2\n1,"never closed\n1,2\n', "line 3: not readable as a table (unexpected end of data)"),
        ("t.csv", "a,b\n1,2\n1," + "x" * 140_000 + "\n", "line 3: not readable as a table (field larger than"),
    ],
)
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path / name, content)
    assert str(error.value).startswith(str(tmp_path / name))
    assert message in str(error.value)


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "t.csv").write_text(TEXT)
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match=r"t.csv: not readable \(Permission denied\)"):
        read_table(tmp_path / "t.csv", [])


def test_a_file_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tablefiles, "TABLE_BYTES", 2**60)
    with pytest.raises(InputError, match=r"t.csv needs about .* GiB in memory; the limit is .* GiB"):
        read(tmp_path / "t.csv", TEXT)


NAMES = st.lists(st.text("abcxyzäß ", min_size=1, max_size=5).map(lambda n: f"n{n}"), min_size=2, max_size=4)
CELLS = st.one_of(
    st.integers(-(10**6), 10**6).map(str), st.text('ab ",;\n|\té', max_size=6).map(lambda t: f"t{t}t"), st.just("")
)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), names=NAMES.filter(lambda n: len({name.strip() for name in n}) == len(n)))
def test_reads_what_pandas_reads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, names: list[str]
) -> None:
    rows = data.draw(st.lists(st.tuples(*[CELLS] * len(names)), min_size=1, max_size=8))
    rows = [("7", *row[1:]) for row in rows]  # the first column has numbers under a text: a header, and no blank rows
    text = io.StringIO()
    csv.writer(text).writerows([[name.strip() for name in names], *rows])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    wanted = pd.read_csv(io.StringIO(text.getvalue()), index_col=False, skipinitialspace=True)
    pd.testing.assert_frame_equal(read_table(path, []), wanted)
