"""A table that does not fit in memory: its files, and its rows piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.frames import tidy
from osler.data.memory import LARGER
from osler.data.parts import Part, SourceKind
from osler.data.tablefiles import TableFile
from osler.data.tablesource import Target, agree, files_of_parts, target_names
from osler.data.values import type_kind
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CELLS = 2**20  # of a piece: some ten megabytes of numbers, more of texts


@dataclass(frozen=True)
class Piece:
    """Some rows of one file, tidy: a part of the table, and where in the file each row is (counted from 0)."""

    part: Part
    path: Path
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def row(self, place: int) -> str:
        """What the row is called in messages."""
        return f"{self.path.name}, row {self.places[place]}"

    def take(self, rows: NDArray[np.int64]) -> Piece:
        inputs, targets = (t.iloc[rows].reset_index(drop=True) for t in (self.part.inputs, self.part.targets))
        weights = None if self.part.weights is None else self.part.weights[rows]
        return Piece(Part(inputs, targets, weights=weights), self.path, self.places[rows])


@dataclass(frozen=True)
class LargeTable:
    """What `Source` is for data that fits into memory. `files` of the parts "all", or "train" and others.

    `texts`: for each text file, the columns whose cells stay as written: those that hold numbers in some pieces only.
    They are found while it is read (`kinds`), so that the first pass may have to be made again.
    """

    where: str
    files: dict[str, list[TableFile]]
    columns: list[str]
    targets: list[str]
    notes: list[str]
    kind: SourceKind = "table"
    texts: dict[Path, set[str]] = field(default_factory=dict)
    kinds: dict[tuple[Path, str], set[str]] = field(default_factory=dict)

    def pieces(self, name: str) -> Iterator[Piece]:
        """The rows of a part, in order."""
        rows = max(CELLS // len(self.columns), 1)
        for file in self.files[name]:
            first = 0
            for frame in file.frames(rows, self.texts.get(file.path, ())):
                if len(frame):
                    table = tidy(frame, str(file.path))[self.columns]
                    if file.text is not None:
                        self._note_kinds(file.path, table)
                    part = Part(table.drop(columns=self.targets), table[self.targets])
                    yield Piece(part, file.path, np.arange(first, first + len(table)))
                first += len(frame)
            if not first:
                raise InputError(f"{file.path}: the table has a header but no rows")

    def _note_kinds(self, path: Path, table: pd.DataFrame) -> None:
        for name in self.columns:
            if table[name].notna().any():
                kind = type_kind(table[name])
                self.kinds.setdefault((path, name), set()).add("number" if kind == "integer" else kind)

    def settled(self) -> bool:
        """Whether every column was read in one way in all pieces of a file; if not, it will be from now on."""
        mixed = [place for place, kinds in self.kinds.items() if len(kinds) > 1]
        for path, name in mixed:
            self.texts.setdefault(path, set()).add(name)
        self.kinds.clear()
        return not mixed

    def kept(self, name: str, drop: tuple[str, ...]) -> Iterator[tuple[Piece, int]]:
        """The pieces without the rows whose target is unknown and the columns to drop; and how many rows these were."""
        for piece in self.pieces(name):
            unknown = piece.part.targets.isna().any(axis=1).to_numpy()
            kept = piece.take(np.flatnonzero(~unknown)) if unknown.any() else piece
            part = replace(kept.part, inputs=kept.part.inputs.drop(columns=list(drop)))
            yield replace(kept, part=part), int(unknown.sum())


def large_table(where: str, files: dict[str, list[Path]], target: Target, notes: list[str]) -> LargeTable:
    """Opens the files of every part. Raises InputError for what cannot be read, and for columns that don't agree."""
    expected = target_names(target)
    opened = {name: [TableFile.open(path, notes, expected) for path in paths] for name, paths in files.items()}
    columns: dict[str, list[str]] = {}
    for name, tables in opened.items():
        first, *others = tables
        if any(set(table.columns) != set(first.columns) for table in others):
            listed = ", ".join(table.path.name for table in tables)
            raise InputError(f"{where} holds tables with different columns; name one: {listed}")
        if others:
            notes.append(f"{Path(where).name}: {len(tables)} tables of the same columns taken together")
        columns[name] = list(first.columns)
    targets, used = agree(where, columns, target, notes)
    notes.append(f"{Path(where).name} is {LARGER}")
    parts = {name: opened[name] for name in used}
    main = columns["all" if "all" in columns else "train"]
    return LargeTable(where, parts if len(parts) > 1 else {"all": next(iter(parts.values()))}, main, targets, notes)


def large_folder(folder: Path, paths: list[Path], target: Target, notes: list[str]) -> LargeTable:
    files = files_of_parts(folder, paths, notes)
    return large_table(str(folder), files if len(files) > 1 else {"all": next(iter(files.values()))}, target, notes)


def column_names(table: LargeTable, option: str, name: str) -> Any:
    """Checks a column asked for with an option, as `Part.column` does."""
    import pandas as pd

    empty = pd.DataFrame(columns=[column for column in table.columns if column not in table.targets])
    return Part(empty).column(name, option)
