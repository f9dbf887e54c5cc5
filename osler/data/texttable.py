"""A CSV or TSV file as a stranger wrote it: encoding and dialect found, rows checked, read whole or in chunks."""

from __future__ import annotations

import codecs
import contextlib
import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from osler.data.dialect import MISSING, find_delimiter, has_decimal_commas, has_header
from osler.data.frames import refuse_repeated
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SAMPLE = 1000  # rows looked at to find out whether the first one is a header
HEAD = 2**20  # characters looked at for the delimiter
BLOCK = 2**20  # bytes decoded at once


@dataclass(frozen=True)
class TextTable:
    """How the table in a text file is written; every row has been found to have `len(names)` fields."""

    path: Path
    encoding: str
    delimiter: str
    header: bool
    names: list[str]
    commas: bool  # 1,5 for 1.5

    def frame(self) -> pd.DataFrame:
        """The whole table."""
        import pandas as pd

        with _opened(self.path, self.encoding) as text, _errors(self):
            frame: pd.DataFrame = pd.read_csv(text, **self._options())
            return frame

    def frames(self, rows: int, texts: Iterable[str] = ()) -> Iterator[pd.DataFrame]:
        """The table in pieces of so many rows. Each finds the types of its columns, except that `texts` stay texts."""
        import pandas as pd

        with _opened(self.path, self.encoding) as text, _errors(self):
            yield from pd.read_csv(text, chunksize=rows, dtype=dict.fromkeys(texts, "str"), **self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "sep": self.delimiter,
            "header": 0 if self.header else None,
            "names": self.names,
            "decimal": "," if self.commas else ".",
            "skipinitialspace": True,
            "na_values": MISSING,
            "low_memory": False,
            "index_col": False,
        }


@contextlib.contextmanager
def _errors(table: TextTable) -> Iterator[None]:
    """Says what pandas could not read, with the line where it can be found."""
    import pandas as pd

    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        with _opened(table.path, table.encoding) as text:  # finds the line of a quote that is never closed
            first_rows(table.path, text, table.delimiter, strict=True)
        raise InputError(f"{table.path}: not a readable table ({' '.join(str(error).split())})") from error


def text_table(path: Path, notes: list[str], expected: tuple[str, ...] = ()) -> TextTable:
    """Finds out how the table is written, in bounded memory; what was decided goes to `notes`.

    `expected` are column names asked for elsewhere (the target): a first line that has one is a header. Raises
    InputError, with file and line, for an empty or binary file, for rows of different lengths and repeated names.
    """
    encoding = find_encoding(path, notes)
    with _opened(path, encoding) as text:
        head = text.read(HEAD)
        if len(head) == HEAD and "\n" in head:
            head = head[: head.rindex("\n") + 1]
    if not head.strip():
        raise InputError(f"{path}: the file is empty")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else find_delimiter(head)
    with _opened(path, encoding) as text:
        rows = first_rows(path, text, delimiter)
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
    return TextTable(path, encoding, delimiter, header, names, commas)


def find_encoding(path: Path, notes: list[str]) -> str:
    """UTF-8 and UTF-16 (by their mark) are recognised; anything else is read as Windows-1252, and said."""
    with path.open("rb") as file:
        wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-16" if wide else "utf-8")()
        before = lines = 0
        odd: tuple[int, int] | None = None  # the byte that is no UTF-8, and its line
        while True:
            block = file.read(BLOCK)
            if not wide and (zero := block.find(0)) >= 0:
                raise InputError(
                    f"{path}: this is a binary file, not a text table (byte {before + zero} is zero); "
                    ".csv, .tsv, .parquet are read"
                )
            try:
                if odd is None:
                    decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                place = error.start - (len(error.object) - len(block))  # bytes of the block before may be left over
                if wide:
                    raise InputError(
                        f"{path}: begins like UTF-16, but byte {before + place} is not; save it as UTF-8"
                    ) from error
                odd = error.object[error.start], lines + block.count(b"\n", 0, max(place, 0)) + 1
            if not block:
                break
            before += len(block)
            lines += block.count(b"\n")
    if odd is not None:
        notes.append(f"{path.name} is not UTF-8 (byte 0x{odd[0]:02x} in line {odd[1]}): read as Windows-1252")
        return "cp1252"
    return "utf-16" if wide else "utf-8-sig"


def _opened(path: Path, encoding: str) -> TextIO:
    return path.open(encoding=encoding, errors="replace" if encoding == "cp1252" else "strict", newline="")


def first_rows(path: Path, text: Iterable[str], delimiter: str, strict: bool = False) -> list[list[str]]:
    """The first rows, stripped; InputError at the first row of all that has another number of fields."""
    rows = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=strict)
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
