from pathlib import Path

import pandas as pd
import pytest

from osler.data import texttable
from osler.data.tablefiles import TableFile
from osler.data.texttable import find_encoding, text_table
from osler.errors import InputError

TEXT = "name,size,code\nAnn,1.5,007\nBob,2,8\nÉva €,,x\n"


@pytest.mark.parametrize("block", [1, 2, 3, 7, 2**20])
@pytest.mark.parametrize(
    ("raw", "encoding", "note"),
    [
        (TEXT.encode(), "utf-8-sig", None),
        (TEXT.encode("utf-8-sig"), "utf-8-sig", None),
        (TEXT.encode("utf-16"), "utf-16", None),
        (TEXT.encode("cp1252"), "cp1252", "t.csv is not UTF-8 (byte 0xc9 in line 4): read as Windows-1252"),
        (TEXT.encode()[:-5] + b"\xe2\x82", "cp1252", "t.csv is not UTF-8 (byte 0xe2 in line 4): read as Windows-1252"),
    ],
)
def test_encodings_are_found_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, raw: bytes, encoding: str, note: str | None
) -> None:
    monkeypatch.setattr(texttable, "BLOCK", block)
    (tmp_path / "t.csv").write_bytes(raw)
    notes: list[str] = []
    assert find_encoding(tmp_path / "t.csv", notes) == encoding
    assert notes == ([] if note is None else [note])


@pytest.mark.parametrize("block", [1, 3, 2**20])
def test_what_is_no_text_is_found_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(texttable, "BLOCK", block)
    for raw, message in ((b"abcd\xff\0ef", "byte 5 is zero"), (b"\xff\xfea\0,", "but byte 4 is not")):
        (tmp_path / "t.csv").write_bytes(raw)
        with pytest.raises(InputError, match=message):
            find_encoding(tmp_path / "t.csv", [])


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_pieces_are_the_table_and_texts_stay_as_written(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TEXT, encoding="utf-8")
    table = text_table(path, [])
    whole = pd.concat(list(table.frames(rows, ["code"])), ignore_index=True)
    pd.testing.assert_frame_equal(whole, table.frame())
    assert whole["code"].tolist() == ["007", "8", "x"]
    assert next(table.frames(2))["code"].tolist() == [7, 8]


def test_a_quote_never_closed_is_named_when_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 50 + '1,"never closed\n1,2\n')
    with pytest.raises(InputError, match="line 52: not readable as a table"):
        list(text_table(path, []).frames(10))


def test_parquet_in_pieces_whatever_its_row_groups(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(100), "b": [f"t{i}" for i in range(100)]})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=30)
    file = TableFile.open(tmp_path / "t.parquet", [])
    assert file.columns == ("a", "b")
    pieces = list(file.frames(40))
    assert max(map(len, pieces)) <= 40
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), frame)


def test_a_parquet_file_cut_off_is_named(tmp_path: Path) -> None:
    pd.DataFrame({"a": range(100)}).to_parquet(tmp_path / "t.parquet")
    raw = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(raw[:-10])
    with pytest.raises(InputError, match=r"t.parquet: not a readable Parquet file"):
        TableFile.open(tmp_path / "t.parquet", [])
