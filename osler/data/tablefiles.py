"""Reads tables from files: CSV, TSV and Parquet, as strangers write them."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".parquet")
DELIMITERS = (",", ";", "\t", "|")
# What people write for "unknown", beside what pandas knows ("", NA, NaN, null, …).
MISSING = ["?", "n.a."]


def read_table(path: Path, notes: list[str], expected: tuple[str, ...] = ()) -> pd.DataFrame:
    """The table in a CSV, TSV or Parquet file, with one sentence in `notes` for all that was decided on the way.

    `expected` are column names asked for elsewhere (the target): a first line that has one is a header.
    Raises InputError for an empty, binary or ragged file and for repeated column names, with file and line.
    """
    parquet = path.suffix.lower() == ".parquet"
    frame = _read_parquet(path) if parquet else _read_text(path, notes, expected)
    if not len(frame):
        raise InputError(f"{path}: the table has a header but no rows")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow

    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error
    frame.columns = [str(name) for name in frame.columns]
    _refuse_repeated(path, list(frame.columns))
    return frame.reset_index(drop=True)


def _read_text(path: Path, notes: list[str], expected: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    text = decode(path, notes)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    first = _check_rows(path, text, delimiter)
    if _is_header(first, expected):
        names = first
        _refuse_repeated(path, names)
    else:
        names = _names_beside(path, len(first), notes) or [f"column_{i + 1}" for i in range(len(first))]
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=0 if names is first else None,
            names=names,
            skipinitialspace=True,
            na_values=MISSING,
            low_memory=False,
            index_col=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a readable table ({error})") from error


def decode(path: Path, notes: list[str]) -> str:
    """The file's text. UTF-8 and UTF-16 (by their mark) are recognised; anything else is read as Windows-1252, said."""
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    if b"\0" in raw[:65536]:
        raise InputError(f"{path}: this is a binary file, not a text table (it holds zero bytes)")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        notes.append(f"{path.name} is not UTF-8 (byte 0x{byte:02x} in line {line}): read as Windows-1252")
        return raw.decode("cp1252", errors="replace")


def _delimiter(text: str) -> str:
    """The character that cuts the first lines into the same number (> 1) of fields most often."""
    lines = list(itertools.islice((line for line in io.StringIO(text) if line.strip()), 50))

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        width, lines_agreeing = widths.most_common(1)[0]
        return (lines_agreeing if width > 1 else 0, width)

    return max(DELIMITERS, key=agreement)


def _check_rows(path: Path, text: str, delimiter: str) -> list[str]:
    """The first row; InputError at the first row that has another number of fields."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    first: list[str] = []
    try:
        for row in rows:
            if not row:
                continue
            if not first:
                first = [cell.strip() for cell in row]
            elif len(row) != len(first):
                raise InputError(
                    f"{path}, line {rows.line_num}: this row has {len(row)} fields, the first one has {len(first)}; "
                    "every row needs the same number (a text that holds the delimiter goes in double quotes)"
                )
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: not readable as a table ({error})") from error
    return first


def _is_header(first: list[str], expected: tuple[str, ...]) -> bool:
    """Names, not values: no field of the first line is empty or a number (unless a wanted column is among them)."""
    if any(name in first for name in expected):
        return True
    return all(cell and not _is_number(cell) and cell not in MISSING for cell in first)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _refuse_repeated(path: Path, names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{path}: column names must differ, but {', '.join(map(repr, repeated))} stands there twice")


def _names_beside(path: Path, width: int, notes: list[str]) -> list[str] | None:
    """Column names from the `.names` description (UCI, C4.5: "age: continuous.") next to a table without a header."""
    for beside in sorted(path.parent.glob("*.names")):
        attributes = []
        for line in beside.read_text("utf-8", errors="replace").splitlines():
            name, colon, values = line.partition(":")
            if colon and not line.startswith("|") and values.strip().endswith("."):
                attributes.append(name.strip())
        if len(attributes) == width - 1 == len(set(attributes)):
            notes.append(f"{path.name} has no header: columns named after {beside.name}; the last one is 'class'")
            return [*attributes, "class"]
    notes.append(f"{path.name} has no header: columns are named column_1 … column_{width}")
    return None
