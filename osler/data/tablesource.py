"""Tables become a source: which file is which part, and which columns are to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from osler.data.dialect import is_position
from osler.data.frames import tidy
from osler.data.parts import Part, Source
from osler.data.tablefiles import read_table
from osler.errors import InputError, nearest, unknown_name

if TYPE_CHECKING:
    import pandas as pd

Target = str | int | Sequence[str | int] | None
VALIDATION_NAMES = {"val", "valid", "validation", "eval", "dev"}
# What tables call the column to be predicted, if nobody says it.
TARGET_NAMES = ("target", "label", "class", "y", "outcome")


def target_names(target: Target) -> tuple[str, ...]:
    """The columns asked for: one, several (in a sequence, or with commas between), by name or by position."""
    if isinstance(target, str):
        return tuple(name.strip() for name in target.split(","))
    return () if target is None else (str(target),) if isinstance(target, int) else tuple(map(str, target))


def table_source(where: str, frames: dict[str, pd.DataFrame], target: Target, notes: list[str]) -> Source:
    """A source of the parts "all", or "train" and others, with the targets apart from the rest."""
    tables = {name: tidy(frame, where if name == "all" else f"{where}, {name} part") for name, frame in frames.items()}
    targets, used = agree(where, {name: list(table.columns) for name, table in tables.items()}, target, notes)
    parts = {name: Part(tables[name].drop(columns=targets), tables[name][targets]) for name in used}
    return Source("table", where, parts if len(parts) > 1 else {"all": next(iter(parts.values()))}, notes)


def agree(where: str, columns: dict[str, list[str]], target: Target, notes: list[str]) -> tuple[list[str], list[str]]:
    """The target columns, and the parts that can be used: those that have all columns of the training part."""
    main = columns["all" if "all" in columns else "train"]
    targets = _target_columns(main, target_names(target), where, notes)
    used = []
    for name, there in columns.items():
        absent = [column for column in main if column not in there]
        if set(absent) & set(targets):
            lost = next(column for column in targets if column in absent)
            notes.append(f"the {name} part has no column {lost!r}: not used (it can be predicted afterwards)")
            continue
        if absent:
            near = nearest(absent[0], there, 1)
            hint = f" (is it {near[0]!r}?)" if near else ""
            raise InputError(f"{where}: the {name} part lacks the column {absent[0]!r} of the training part{hint}")
        used.append(name)
    return targets, used


def read_folder(folder: Path, paths: list[Path], target: Target, notes: list[str]) -> dict[str, pd.DataFrame]:
    """Files named after train and test are the given parts; several files of the same columns are one table, "all"."""
    of_part = files_of_parts(folder, paths, notes)
    expected = target_names(target)
    frames = {name: _together(folder, files, expected, notes) for name, files in of_part.items()}
    return frames if len(frames) > 1 else {"all": next(iter(frames.values()))}


def files_of_parts(folder: Path, paths: list[Path], notes: list[str]) -> dict[str, list[Path]]:
    """Which files are the parts "train" and "test" (and "validation"), by their names, or all of them "all"."""
    of_part: dict[str, list[Path]] = {}
    for path in paths:
        of_part.setdefault(_part_name(path), []).append(path)
    if "train" in of_part:
        unused = of_part.pop("other", [])
        as_parts = ", ".join(f"{_listed(files)} as the {name} part" for name, files in of_part.items())
        notes.append(f"{folder.name}: {as_parts}" + (f"; not used: {_listed(unused)}" if unused else ""))
        if "validation" in of_part and "test" not in of_part:
            of_part["test"] = of_part.pop("validation")
        return of_part
    return {"all": paths}


def _listed(paths: list[Path]) -> str:
    return " and ".join(path.name for path in paths)


def _together(folder: Path, paths: list[Path], expected: tuple[str, ...], notes: list[str]) -> pd.DataFrame:
    """The rows of several files as one table."""
    import pandas as pd

    frames = {path.name: read_table(path, notes, expected) for path in paths}
    first, *others = frames.values()
    if not others:
        return first
    if any(set(frame.columns) != set(first.columns) for frame in others):
        raise InputError(f"{folder} holds tables with different columns; name one: {', '.join(frames)}")
    rows = ", ".join(f"{name} {len(frame):,}" for name, frame in frames.items())
    notes.append(f"{folder.name}: {len(paths)} tables of the same columns taken together (rows: {rows})")
    return pd.concat(list(frames.values()), ignore_index=True)


def _part_name(path: Path) -> str:
    words = set(path.stem.lower().replace("-", "_").replace(".", "_").split("_"))
    if words & {"train", "training"}:
        return "train"
    return "test" if "test" in words else "validation" if words & VALIDATION_NAMES else "other"


def _target_columns(columns: list[str], wanted: tuple[str, ...], where: str, notes: list[str]) -> list[str]:
    if wanted:
        found = [_target_column(columns, name) for name in wanted]
        if len(set(found)) < len(found):
            raise InputError(f"a target column is named twice: {', '.join(map(repr, found))}")
        return found
    usual = [name for name in columns if name.lower() in TARGET_NAMES]
    if len(usual) == 1:
        notes.append(f"target: column {usual[0]!r}, by its name")
        return usual
    if columns == [f"column_{i + 1}" for i in range(len(columns))]:
        notes.append(f"target: {columns[-1]!r}, the last column (no column has a name)")
        return columns[-1:]
    raise InputError(f"{where}: which column is to be predicted? Say it with --target; columns: {', '.join(columns)}")


def _target_column(columns: list[str], name: str) -> str:
    """A column by its name, or by its position (0 is the first, -1 the last)."""
    if name in columns:
        return name
    if is_position(name, len(columns)):
        return columns[int(name)]
    raise unknown_name("target column", name, columns)
