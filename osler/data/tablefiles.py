"""Reads tables from files: CSV, TSV and Parquet, as strangers write them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from osler.data.dialect import MISSING, find_delimiter, has_decimal_commas, has_header
from osler.data.frames import refuse_repeated
from osler.data.memory import check_fits
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".parquet")
TABLE_BYTES = 5  # a table takes up to so many bytes in memory for each byte on disk
SAMPLE = 1000  # rows looked at to find out whether the first one is a header


def read_table(path: Path, notes: list[str], expected: tuple[str, ...] = ()) -> pd.DataFrame:
    """The table in a CSV, TSV or Parquet file, with one sentence in `notes` for all that was decided on the way.

    `expected` are column names asked for elsewhere (the target): a first line that has one is a header.
    Raises InputError for an empty, binary or ragged file and for repeated column names, with file and line.
    """
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES, ".txt", ".data"):
        raise InputError(
            f"{path}: files of type {suffix or 'without a suffix'} are not read; {', '.join(SUFFIXES)} are"
        )
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path}: the file is empty")
    check_fits(size * TABLE_BYTES, str(path))
    try:
        frame = _read_parquet(path) if suffix == ".parquet" else _read_text(path, notes, expected)
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror or error})") from error
    if not len(frame):
        raise InputError(f"{path}: the table has a header but no rows")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow

    try:
        # From bytes, because a path may be taken for that of a partitioned data set ("year=2020/a.parquet").
        return pd.read_parquet(io.BytesIO(path.read_bytes()))
    except (pyarrow.ArrowException, ValueError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


def _read_text(path: Path, notes: list[str], expected: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    text = _decode(path, notes)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else find_delimiter(text)
    rows = _first_rows(path, text, delimiter)
    width = len(rows[0])
    header = has_header(rows, expected)
    if header:
        names = [name or f"column_{i + 1}" for i, name in enumerate(rows[0])]
        refuse_repeated(names, str(path))
    else:
        names = _names_beside(path, width, notes) or [f"column_{i + 1}" for i in range(width)]
    commas = delimiter != "," and has_decimal_commas(rows)
    if commas:
        notes.append(f"{path.name}: numbers are written with a decimal comma")
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=0 if header else None,
            names=names,
            decimal="," if commas else ".",
            skipinitialspace=True,
            na_values=MISSING,
            low_memory=False,
            index_col=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        _first_rows(path, text, delimiter, strict=True)  # finds the line of a quote that is never closed
        raise InputError(f"{path}: not a readable table ({' '.join(str(error).split())})") from error


def _decode(path: Path, notes: list[str]) -> str:
    """The file's text. UTF-8 and UTF-16 (by their mark) are recognised; anything else is read as Windows-1252, said."""
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: begins like UTF-16, but byte {error.start} is not; save it as UTF-8") from error
    if b"\0" in raw:
        raise InputError(
            f"{path}: this is a binary file, not a text table (byte {raw.index(0)} is zero); "
            f"{', '.join(SUFFIXES)} are read"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        notes.append(f"{path.name} is not UTF-8 (byte 0x{byte:02x} in line {line}): read as Windows-1252")
        return raw.decode("cp1252", errors="replace")


def _first_rows(path: Path, text: str, delimiter: str, strict: bool = False) -> list[list[str]]:
    """The first rows, stripped; InputError at the first row of all that has another number of fields."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=strict)
    first: list[list[str]] = []
    line = 1
    try:
        for row in rows:
            if len(row) > 1 or (row and row[0].strip()):  # a blank line is no row
                if first and len(row) != len(first[0]):
                    raise InputError(
                        f"{path}, line {line}: this row has {len(row)} fields, the first one has {len(first[0])}; "
                        "every row needs the same number (a text that holds the delimiter goes in double quotes)"
                    )
                if len(first) < SAMPLE:
                    first.append([cell.strip() for cell in row])
            line = rows.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {line}: not readable as a table ({error})") from error
    return first


def _names_beside(path: Path, width: int, notes: list[str]) -> list[str] | None:
    """Column names from the `.names` description (UCI, C4.5: "age: continuous.") next to a table without a header."""
    for beside in sorted(path.parent.glob("*.names")):
        attributes = []
        for line in beside.read_text("utf-8", errors="replace").splitlines():
            name, colon, values = line.partition(":")
            if colon and not line.startswith("|") and values.strip().endswith("."):
                attributes.append(name.strip())
        if len(attributes) == width - 1 == len(set(attributes)) and "class" not in attributes:
            notes.append(f"{path.name} has no header: columns named after {beside.name}; the last one is 'class'")
            return [*attributes, "class"]
    notes.append(f"{path.name} has no header: columns are named column_1 … column_{width}")
    return None
