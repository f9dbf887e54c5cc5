"""Rows to predict: read like a source, but a target is welcome, not needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.arrayfile import read_npz
from osler.data.arrays import is_texts, pair_part
from osler.data.audio import Sound, audio_column, read_audio_folder, read_recordings, table_part
from osler.data.frames import text_frame, tidy
from osler.data.parts import Part, Source
from osler.data.sources import existing, open_source, packed_pictures
from osler.data.tablefiles import SUFFIXES, read_table, table_files
from osler.data.tablesource import read_folder
from osler.data.tsfiles import is_ts, read_ts_rows
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def open_rows(
    source: object,
    kind: str,
    shape: Sequence[int],
    targets: Sequence[str],
    notes: list[str],
    sound: Sound | None = None,
) -> Part:
    """Reads rows to predict: what `open_source` takes, or inputs alone.

    `kind` and `shape` are those of the data trained on (pictures are brought to that shape); `targets` are the names
    of the target columns. What was odd goes to `notes`: pictures that cannot be read, rows without a target. `sound`:
    how the recordings were read.
    """
    if kind == "audio":
        return _known_or_none(_recording_rows(source, targets, notes, sound or Sound()), targets, notes)
    return _known_or_none(_rows(source, kind, shape, targets, notes), targets, notes)


def _rows(source: object, kind: str, shape: Sequence[int], targets: Sequence[str], notes: list[str]) -> Part:
    if isinstance(source, str | Path):
        return _rows_at(source, kind, shape, targets, notes)
    inputs: Any = source
    known: Any = None
    if isinstance(source, tuple) and len(source) == 2:
        inputs, known = source
    if kind in ("corpus", "pairs"):
        texts = inputs.iloc[:, 0] if hasattr(inputs, "columns") else [inputs] if isinstance(inputs, str) else inputs
        part = Part(text_frame(list(map(str, texts))), None, tuple(str(i) for i in range(len(texts))))
        return part if known is None else replace(part, targets=text_frame(list(map(str, known))))
    if kind in ("table", "text") and not is_texts(inputs):
        inputs = tidy(inputs, "the data")
        return _table_part(inputs, targets) if known is None else pair_part(inputs, known, tuple(targets))
    if hasattr(inputs, "columns"):
        inputs = inputs.to_numpy()
    if kind not in ("table", "text") and is_texts(inputs):
        raise InputError(f"this run was trained on {kind}, but got texts")
    return _pictures_only(pair_part(inputs, known, tuple(targets), pictures=kind == "images"), kind)


def _pictures_only(part: Part, kind: str) -> Part:
    if kind == "images" and isinstance(part.inputs, np.ndarray):
        raise InputError(
            "this run was trained on pictures: uint8 arrays of shape (N, height, width) or (N, channels, height, "
            f"width), but got {part.inputs.dtype} of shape {part.inputs.shape}"
        )
    return part


def _rows_at(source: str | Path, kind: str, shape: Sequence[int], targets: Sequence[str], notes: list[str]) -> Part:
    path = existing(source)
    if kind in ("corpus", "pairs"):
        return _running_rows(source, path, kind, targets, notes)
    if kind == "text" and (texts := _text_rows(source, path, notes)) is not None:
        return texts
    if path is not None and kind in ("table", "text") and not path.is_dir():
        return _table_part(tidy(read_table(path, notes, tuple(targets)), str(path)), targets)
    if path is not None and path.suffix.lower() == ".npz" and kind not in ("table", "text"):
        parts = read_npz(path, tuple(targets), notes, pictures=kind == "images")
        return _pictures_only(parts.get("test", next(iter(parts.values()))), kind)
    if path is not None and kind == "arrays" and is_ts(path):
        return read_ts_rows(path, tuple(shape), notes)
    if path is not None and kind == "images":
        return _picture_rows(path, shape, targets, notes)
    columns = path is not None and (kind == "table" or (kind == "text" and bool(table_files(path))))
    found = open_source(source, list(targets) if columns else None)
    if not isinstance(found, Source):
        raise InputError(
            f"{str(source)!r} is larger than half of the memory: give its files one by one, or a part of them"
        )
    if found.kind != kind and (found.kind, kind) != ("table", "text"):
        raise InputError(f"this run was trained on {kind}, but {str(source)!r} holds a source of kind {found.kind!r}")
    notes.extend(found.notes)
    return found.parts.get("test", next(iter(found.parts.values())))


def _running_rows(source: str | Path, path: Path | None, kind: str, targets: Sequence[str], notes: list[str]) -> Part:
    """Running text, pairs of texts, or texts to translate: the lines of a file, or the text itself."""
    from osler.data.corpus import read_corpus
    from osler.data.pairs import is_pair_text, read_pair_folder, read_pair_table
    from osler.data.text import read_lines

    if path is None:
        return Part(text_frame([str(source)]), None, ("0",))
    if kind == "corpus":
        found = read_corpus(path)
    elif path.is_dir():
        found = read_pair_folder(path, list(targets))
    elif path.suffix.lower() in SUFFIXES or is_pair_text(path):
        found = read_pair_table(path, None)
    else:
        lines = read_lines(path, notes)
        return Part(text_frame(lines), None, tuple(f"line {i}" for i in range(1, len(lines) + 1)))
    notes.extend(found.notes)
    return found.parts.get("test", next(iter(found.parts.values())))


def _text_rows(source: str | Path, path: Path | None, notes: list[str]) -> Part | None:
    """Lines of a file that is no table, the files of a folder that says no classes, or a text itself; else None."""
    from osler.data.text import find_texts, read_lines, read_text, text_files

    if path is None:
        said = str(source).strip()
        return Part(text_frame([said]), None, ("0",)) if " " in said and not Path(said).suffix[1:].isalpha() else None
    if path.is_dir():
        files = [] if table_files(path) or find_texts(path) else text_files(path)
        texts = [read_text(file, notes).strip() for file in files]
        return Part(text_frame(texts), None, tuple(file.name for file in files)) if files else None
    if path.suffix.lower() in SUFFIXES:
        return None
    lines = read_lines(path, notes)
    if path.suffix.lower() in (".txt", ".data") and all("\t" in line for line in lines if line):
        return None
    return Part(text_frame(lines), None, tuple(f"line {i}" for i in range(1, len(lines) + 1)))


def _table_part(table: pd.DataFrame, targets: Sequence[str]) -> Part:
    present = [name for name in targets if name in table.columns]
    known = table[list(targets)] if len(present) == len(targets) else None
    return Part(table.drop(columns=present), known, tuple(str(i) for i in range(len(table))))


def _known_or_none(part: Part, targets: Sequence[str], notes: list[str]) -> Part:
    """Targets are used if every row has them: predictions stay row for row those of the data."""
    known: pd.DataFrame | None = part.with_target(targets[0]).targets
    if known is None or not hasattr(known, "columns"):
        return part
    if known.shape[1] == len(targets) and not set(targets) <= set(known.columns):
        known = known.set_axis(list(targets), axis=1)  # by position, where names differ
    missing = int(known.isna().any(axis=1).sum())
    if missing:
        notes.append(f"{missing} of {len(known)} rows have no target: predicted, but compared with nothing")
    return replace(part, targets=None if missing else known)


def _picture_rows(path: Path, shape: Sequence[int], targets: Sequence[str], notes: list[str]) -> Part:
    from osler.data.images import find_classes, find_images, read_images
    from osler.data.masks import find_masks, read_mask_folder

    if path.is_dir() and (read := packed_pictures(path)):
        found = read(path, notes)
        return found.get("test", next(iter(found.values())))
    if (tables := table_files(path)) and (part := _named_pictures(path, tables, shape, targets, notes)):
        return part
    if path.is_dir() and find_masks(path):
        masked = read_mask_folder(path, (shape[1], shape[2]), shape[0])
        notes.extend(masked.notes)
        return masked.parts.get("test", next(iter(masked.parts.values())))
    labels: dict[Path, str] = {}
    if path.is_dir():
        labels = {file: name for name, files in find_classes(path).items() for file in files}
    files = sorted(labels) or find_images(path)
    images, broken, kept = read_images(files, size=(shape[1], shape[2]), channels=shape[0])
    notes.extend(broken)
    known = np.array([labels[file] for file in kept]) if labels else None
    return Part(images, known, tuple(str(file) for file in kept))


def _named_pictures(
    path: Path, tables: list[Path], shape: Sequence[int], targets: Sequence[str], notes: list[str]
) -> Part | None:
    """The pictures that a table names: the file at the path, or in a folder the test part where there is one."""
    from osler.data.imagetable import read_picture_rows

    if path.is_dir():
        return read_picture_rows(
            str(path), read_folder(path, tables, tuple(targets), notes), path, shape, targets, notes
        )
    table = read_table(path, notes, tuple(targets))
    return read_picture_rows(str(path), {"all": table}, path.parent, shape, targets, notes)


def _recording_rows(source: object, targets: Sequence[str], notes: list[str], sound: Sound) -> Part:
    """A recording, a folder of them (in folders by class, or named by the pattern), a table, or a list of files."""
    from osler.data.images import find_classes, find_images, find_parts

    if hasattr(source, "columns"):
        return _named_recordings("a DataFrame", tidy(source, "a DataFrame"), Path(), targets, sound, notes)
    if isinstance(source, list) and source and all(isinstance(file, str | Path) for file in source):
        files, root = [Path(file) for file in source], Path()
    elif not isinstance(source, str | Path) or (path := existing(source)) is None:
        raise InputError(
            f"this run was trained on recordings: give a file, a folder or a table of them, not {source!r}"
        )
    elif path.is_dir():
        if sound.pattern is not None or any(find_classes(place) for place in find_parts(path).values()):
            found = read_audio_folder(path, sound)
            notes.extend(found.notes)
            return found.parts.get("test", next(iter(found.parts.values())))
        files, root = find_images(path), path
    elif path.suffix.lower() in SUFFIXES:
        table = tidy(read_table(path, notes, tuple(targets)), str(path))
        return _named_recordings(str(path), table, path.parent, targets, sound, notes)
    else:
        files, root = [path], path.parent
    clips, kept = read_recordings(files, root, sound, notes)
    return Part(clips, None, tuple(str(files[i]) for i in kept))


def _named_recordings(
    where: str, table: pd.DataFrame, base: Path, targets: Sequence[str], sound: Sound, notes: list[str]
) -> Part:
    column = audio_column(table)
    if column is None:
        raise InputError(f"{where} has no column that names recordings")
    return table_part(table, column, base, targets, sound, notes)
