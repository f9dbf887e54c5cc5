"""A table that names picture files: its rows become pictures, with the table's columns for targets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from osler.data.frames import tidy
from osler.data.images import SIZE, Survey, read_images, survey_images
from osler.data.parts import Part
from osler.data.tablesource import Target, agree
from osler.data.values import as_texts
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
SPLIT_NAMES = ("split", "set", "subset", "part", "partition")
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
LOOKED_AT = 1000  # cells of a column


class Rows(NamedTuple):
    """The rows of a part whose picture is there."""

    paths: list[Path]
    names: tuple[str, ...]  # as written in the table
    targets: pd.DataFrame | None


@dataclass(frozen=True)
class PictureTable:
    """What `ImageFolder` is for a folder of pictures: they were looked at, but not read yet."""

    where: str
    rows: dict[str, Rows]  # of each part
    survey: Survey

    @classmethod
    def open(
        cls,
        where: str,
        frames: dict[str, pd.DataFrame],
        folder: Path,
        target: Target,
        notes: list[str],
        size: int | None = None,
        usual: int = SIZE,
    ) -> PictureTable | None:
        """None for a table without a column of picture files, which is one whose texts mostly end as their names do.

        `frames`: the parts "all", or "train" and others. The files are looked for in `folder`, where the table is, then
        in the folders there. A column named split (or set, part …) that says train, validation or test is respected,
        all others but the target are left out; all of it goes to `notes`. Rows whose file is not there are left out,
        counted and named there too. Raises InputError where several columns name pictures, or one whose files are
        nowhere is all there is to learn from.
        """
        main = "all" if "all" in frames else "train"
        if not _candidates(frames[main]):
            return None
        tables = {name: tidy(frame, where) for name, frame in frames.items()}
        agreed: list[str] = []
        targets, used = agree(where, {name: list(table.columns) for name, table in tables.items()}, target, agreed)
        column, root = find_pictures(tables[main], targets, folder, where, main)
        if column is None:
            return None
        if root is None:
            lost = _lost(column, folder)
            if all(name in (column, *targets) or name.lower() in SPLIT_NAMES for name in map(str, tables[main])):
                raise InputError(f"{where}: {lost}")
            notes.append(f"{lost}: only the other columns are learned from")
            return None
        notes += agreed
        notes.append(f"pictures: the files that column {column!r} names" + _inside(root, folder))
        tables = {name: tables[name] for name in used}
        split = None
        if len(tables) == 1:
            split, tables = _split(tables[main], [column, *targets], where, notes)
        unused = [name for name in next(iter(tables.values())) if name not in (column, split, *targets)]
        if unused:
            notes.append(f"columns left out, for only pictures are learned from: {', '.join(map(repr, unused))}")
        rows = {}
        for name, table in tables.items():
            place = root if split or name in ("all", main) else _root(table[column], folder, where, name)
            rows[name] = _rows(table, column, place or root, targets, notes)
        paths = [path for part in rows.values() for path in part.paths]
        return cls(where, rows, survey_images(paths, size, usual=usual))

    def parts(self, inputs: Any, kept: Sequence[Path]) -> dict[str, Part]:
        """The parts, of inputs that belong to the files kept."""
        readable = set(kept)
        parts: dict[str, Part] = {}
        start = 0
        for name, rows in self.rows.items():
            places = [i for i, path in enumerate(rows.paths) if path in readable]
            if not places:
                raise InputError(f"{self.where}: no picture of the {name} part can be read")
            part = Part(np.arange(len(rows.paths)), rows.targets, rows.names).take(np.array(places))
            parts[name] = Part(inputs[start : start + len(places)], part.targets, part.rows)
            start += len(places)
        return parts

    def check(self, parts: dict[str, Part], notes: list[str]) -> None:
        """Nothing about rows is odd that preparing them does not find."""


def read_picture_rows(
    where: str,
    frames: dict[str, pd.DataFrame],
    folder: Path,
    shape: Sequence[int],
    targets: Sequence[str],
    notes: list[str],
) -> Part | None:
    """Rows to predict: pictures of `shape`, with the targets where the table has them; the test part if there are some.

    Otherwise as `PictureTable.open`.
    """
    name = "test" if "test" in frames else next(iter(frames))
    table = tidy(frames[name], where)
    known = [target for target in targets if target in table.columns]
    column, root = find_pictures(table, known, folder, where, name)
    if column is None:
        return None
    if root is None:
        raise InputError(f"{where}: {_lost(column, folder)}")
    split, parts = _split(table, [column, *known], where, notes)
    if split:
        table = parts.get("test", table)
        notes.append("the test part is read" if "test" in parts else "all rows are read")
    rows = _rows(table, column, root, known if len(known) == len(targets) else [], notes)
    pixels, told, kept = read_images(rows.paths, size=(shape[1], shape[2]), channels=shape[0])
    notes += told
    readable = set(kept)
    places = np.array([i for i, path in enumerate(rows.paths) if path in readable])
    part = Part(np.arange(len(rows.paths)), rows.targets, rows.names).take(places)
    return Part(pixels, part.targets, part.rows)


def find_pictures(
    table: pd.DataFrame, targets: Sequence[str], folder: Path, where: str, part: str
) -> tuple[str | None, Path | None]:
    """The column that names pictures, if there is one, and the folder that they are in, if they are there.

    As `PictureTable.open` says. Raises InputError where there are several.
    """
    called = Path(where).stem if part == "all" else part
    candidates = [name for name in _candidates(table) if name not in targets]
    roots = {name: root for name in candidates if (root := _root(table[name], folder, where, called))}
    if len(roots) > 1:
        raise InputError(
            f"{where}: columns {', '.join(map(repr, roots))} all name pictures, but a network takes one picture a row: "
            "keep one of them in the table"
        )
    return next(iter(roots.items()), (candidates[0] if candidates else None, None))


def _lost(column: str, folder: Path) -> str:
    return f"column {column!r} names pictures, but none of them is in {folder.absolute()} or a folder there"


def _inside(root: Path, folder: Path) -> str:
    return "" if root == folder else f", in {root.name}/"


def _candidates(table: pd.DataFrame) -> list[str]:
    return [str(name) for i, name in enumerate(table.columns) if _names_pictures(table.iloc[:, i])]


def _names_pictures(series: pd.Series[Any]) -> bool:
    if series.dtype.kind != "O":
        return False
    cells = series.dropna().head(LOOKED_AT).tolist()
    return 2 * sum(isinstance(cell, str) and cell.lower().rstrip().endswith(SUFFIXES) for cell in cells) > len(cells)


def _root(series: pd.Series[Any], folder: Path, where: str, name: str) -> Path | None:
    """The folder in which most of the files are: the table's own, or one beside it; None if none is anywhere.

    Of several, the one that is called `name`, as train/ beside train.csv.
    """
    cells = as_texts(series.dropna())
    cells = cells[:: max(len(cells) // LOOKED_AT, 1)]
    beside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    counts = {root: sum(os.path.isfile(_at(root, cell)) for cell in cells) for root in (folder, *beside)}
    most = max(counts.values())
    best = [root for root, count in counts.items() if count == most]
    if not most:
        return None
    if folder / name in best:
        return folder / name
    if len(best) > 1 and best[0] != folder:
        named = f"{best[0].name}/ and {best[1].name}/"
        raise InputError(
            f"{where}: files of the names in column {str(series.name)!r} are in {named}; write the folder into the "
            "column, as in 'images/1.png'"
        )
    return best[0]


def _at(root: Path, cell: str | None) -> Path:
    return root / (cell or "").replace("\\", "/")  # as Windows writes them


def _split(
    table: pd.DataFrame, taken: Sequence[str], where: str, notes: list[str]
) -> tuple[str | None, dict[str, pd.DataFrame]]:
    """The column that says which part each row belongs to, if there is one, and the parts."""
    for column in (name for name in map(str, table) if name.lower() in SPLIT_NAMES and name not in taken):
        words = [text.lower() if text else None for text in as_texts(table[column])]
        if "train" not in words and "training" not in words:
            continue
        if odd := [i for i, word in enumerate(words) if word not in SPLITS]:
            raise InputError(
                f"{where}: column {column!r} says which part a row belongs to, but row {odd[0]} (of {len(odd)} such "
                f"rows) holds {words[odd[0]]!r}: it is train, validation or test"
            )
        of_row = np.array([SPLITS[str(word)] for word in words])
        parts = {name: table[of_row == name] for name in ("train", "validation", "test") if name in of_row}
        if len(parts) == 1:
            parts = {"all": table}
        elif "test" not in parts:
            parts["test"] = parts.pop("validation")  # what alone is held out, as with folders
        told = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
        notes.append(f"parts as column {column!r} says: {told}")
        return column, parts
    return None, {"all": table}


def _rows(table: pd.DataFrame, column: str, root: Path, targets: list[str], notes: list[str]) -> Rows:
    """The rows whose file is there; the others are counted and named, by their place in the table."""
    cells = as_texts(table[column])
    paths = [_at(root, cell) for cell in cells]
    there = np.array([bool(cell) and os.path.isfile(path) for cell, path in zip(cells, paths, strict=True)])
    if not there.all():
        lost = np.flatnonzero(~there)
        named = ", ".join(f"row {table.index[i]} ({cells[i] or 'empty'})" for i in lost[:5])
        more = f" and {len(lost) - 5:,} more" if len(lost) > 5 else ""
        notes.append(f"{len(lost):,} of {len(table):,} rows left out, for their picture is not there: {named}{more}")
    kept = np.flatnonzero(there)
    known = table[targets].iloc[kept].reset_index(drop=True) if targets else None
    return Rows([paths[i] for i in kept], tuple(str(cells[i]) for i in kept), known)
