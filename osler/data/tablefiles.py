"""Reads tables from files: CSV, TSV, Parquet, JSON lines, as strangers write them; whole, or in chunks that fit."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osler.data.jsonlines import JSON_LINES, read_json_lines
from osler.data.memory import check_fits
from osler.data.texttable import TextTable, text_table
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".parquet", *JSON_LINES)
TABLE_BYTES = 5  # a table takes up to so many bytes in memory for each byte on disk
CELL_BYTES = 24  # and for each cell: as read, split, and encoded


def read_table(path: Path, notes: list[str], expected: tuple[str, ...] = ()) -> pd.DataFrame:
    """The table in a CSV, TSV, Parquet or JSON lines file, with one sentence in `notes` for all that was decided.

    `expected` are column names asked for elsewhere (the target): a first line that has one is a header.
    Raises InputError for an empty, binary or ragged file and for repeated column names, with file and line.
    """
    _check_kind(path)
    check_fits(needed_bytes(path), str(path))
    try:
        if is_json_lines(path):
            frame = read_json_lines(path, notes)
        else:
            frame = _read_parquet(path) if is_parquet(path) else text_table(path, notes, expected).frame()
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror or error})") from error
    if not len(frame):
        raise InputError(f"{path}: the table has a header but no rows")
    return frame


def table_files(path: Path) -> list[Path]:
    """The tables in a folder, by name; or the file itself if it is one."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.suffix.lower() in SUFFIXES and file.is_file()]


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def is_json_lines(path: Path) -> bool:
    return path.suffix.lower() in JSON_LINES


def needed_bytes(path: Path) -> int:
    """About how much memory the table takes at its most, from read to encoded."""
    size = path.stat().st_size * TABLE_BYTES
    if is_parquet(path):  # packed as tightly as its values allow
        with _parquet_errors(path):
            import pyarrow.parquet as pq

            about = pq.read_metadata(path)
            return max(size, int(about.num_rows * about.num_columns * CELL_BYTES))
    return size


def _check_kind(path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES, ".txt", ".data"):
        raise InputError(
            f"{path}: files of type {suffix or 'without a suffix'} are not read; {', '.join(SUFFIXES)} are"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    with _parquet_errors(path):
        # From bytes, because a path may be taken for that of a partitioned data set ("year=2020/a.parquet").
        return pd.read_parquet(io.BytesIO(path.read_bytes()))


@contextlib.contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror or error})") from error
    except InputError:
        raise
    except (pyarrow.ArrowException, ValueError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from error


@dataclass(frozen=True)
class TableFile:
    """A table in a file, to be read in chunks. `texts`: columns that stay as written, not numbers in some chunks."""

    path: Path
    columns: tuple[str, ...]
    text: TextTable | None  # None: Parquet

    @classmethod
    def open(cls, path: Path, notes: list[str], expected: tuple[str, ...] = ()) -> TableFile:
        """Looks at the file: Parquet's own description, or all of a text table's rows. Raises what read_table does."""
        _check_kind(path)
        if is_json_lines(path):
            raise InputError(f"{path}: larger than half of the memory; JSON lines are read whole: save it as Parquet")
        try:
            if not is_parquet(path):
                text = text_table(path, notes, expected)
                return cls(path, tuple(text.names), text)
            with _parquet_errors(path):
                import pyarrow.parquet as pq

                with pq.ParquetFile(path) as file:
                    names = file.schema_arrow.empty_table().to_pandas().columns
                    return cls(path, tuple(str(name) for name in names), None)
        except OSError as error:
            raise InputError(f"{path}: not readable ({error.strerror or error})") from error

    def frames(self, rows: int, texts: Iterable[str] = ()) -> Iterator[pd.DataFrame]:
        """The table in pieces of at most so many rows. `texts`: columns of a text table whose cells stay as written."""
        if self.text is not None:
            yield from self.text.frames(rows, texts)
            return
        with _parquet_errors(self.path):
            import pyarrow as pa
            import pyarrow.parquet as pq

            # Without a buffer a whole row group, which may be the whole file, would be read at once.
            with pq.ParquetFile(self.path, buffer_size=2**20, pre_buffer=False) as file:
                for batch in file.iter_batches(rows):
                    yield pa.Table.from_batches([batch]).to_pandas()
