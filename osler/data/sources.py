"""What is at this path? The one place that decides how a source is read, and says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from osler.data.arrayfile import npz_source
from osler.data.arrays import pair_source
from osler.data.audio import Sound, audio_column, find_audio, read_audio_folder, read_audio_table
from osler.data.examples import EXAMPLES
from osler.data.frames import tidy
from osler.data.largetable import LargeTable, large_folder, large_table
from osler.data.memory import LARGER, memory_limit
from osler.data.parts import Part, Source
from osler.data.tablefiles import needed_bytes, read_table, table_files
from osler.data.tablesource import Target, agree, read_folder, table_source, target_names
from osler.data.tsfiles import is_ts, read_ts_source
from osler.errors import InputError, nearest, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from osler.data.images import Pictures
    from osler.data.streamimages import LargeImages

TEXT_NAMES = {"text", "transcript", "transcription", "sentence"}  # of the column that says what is spoken


def open_source(
    source: object,
    target: Target = None,
    image_size: int | None = None,
    limit_bytes: int | None = None,
    *,
    usual_size: int | None = None,
    sound: Sound | None = None,
    task: str | None = None,
) -> Source | LargeTable | LargeImages:
    """Reads a source to learn from; one on disk that needs more memory than `limit_bytes` is only opened.

    `source`: the name of an embedded data set; a CSV, TSV, Parquet or JSON lines file (of pictures or recordings, if a
    column names files of them); a NumPy archive (.npz); a .ts file of series with a class each; a folder of tables, of
    MNIST's or CIFAR's files, with a folder of pictures, recordings or texts per class, or a file of texts per class; a
    DataFrame; or a pair (inputs, targets) of arrays, tensors, lists of texts or DataFrames.
    `target`: the column(s) to predict (tables only). `image_size`: the side to which pictures in files are brought.
    `usual_size`: what they are brought to where that is None and their sizes differ. `sound`: how recordings are read.
    `task`: "language" or "translation", where a file could be read otherwise; running text without labels (.txt) and
    pairs of texts (two columns, or a file for each language) are recognised.
    `limit_bytes`: default half of the machine's memory; not of what is free, so that the same run does the same again.
    Raises InputError for whatever cannot be read, with the file and the cure.
    """
    notes: list[str] = []
    limit_bytes = memory_limit() if limit_bytes is None else limit_bytes
    if hasattr(source, "columns"):
        frames = {"all": tidy(source, "a DataFrame")}
        return _tables("a DataFrame", frames, Path(), target, image_size, usual_size, limit_bytes, notes, sound)
    if isinstance(source, tuple | list) and len(source) == 2:
        return pair_source(source[0], source[1], target)
    if not isinstance(source, str | Path):
        raise InputError(
            f"a source is a name, a path, a DataFrame or a pair (inputs, targets), but got {type(source).__name__}"
        )
    path = existing(source)
    if path is None:
        return _embedded(str(source), target)
    if (found := _running(path, target, task)) is not None:
        return found
    if path.is_dir():
        return _folder(path, target, image_size, usual_size, limit_bytes, sound)
    if path.suffix.lower() == ".npz":
        return npz_source(path, target)
    if is_ts(path):
        return _of_series(path, target)
    if needed_bytes(path) > limit_bytes:
        return large_table(str(path), {"all": [path]}, target, notes)
    frames = {"all": read_table(path, notes, target_names(target))}
    return _tables(str(path), frames, path.parent, target, image_size, usual_size, limit_bytes, notes, sound)


def _of_series(path: Path, target: Target) -> Source:
    if wanted := target_names(target):
        raise InputError(f"{path} has series with a label each, but the target asked for is a column: {wanted[0]!r}")
    return read_ts_source(path)


def existing(source: str | Path) -> Path | None:
    """The path, if there is something at it."""
    try:
        path = Path(source).expanduser()
        return path if str(source) and path.exists() else None
    except (OSError, RuntimeError):  # a name too long for a path; no such user behind "~"
        return None


def _running(path: Path, target: Target, task: str | None) -> Source | None:
    """Running text or pairs of texts, where they are asked for or nothing else would make sense."""
    from osler.data.corpus import find_corpus, is_running_text, read_corpus
    from osler.data.masks import find_masks
    from osler.data.pairs import find_pairs, is_pair_text, read_pair_folder, read_pair_table
    from osler.data.text import find_texts

    folder, plain = path.is_dir(), path.suffix.lower() == ".txt"
    if task == "language":
        return read_corpus(path)
    if task == "translation":
        return read_pair_folder(path, target) if folder else read_pair_table(path, target)
    if task is not None:
        return None
    if folder:
        if table_files(path) or packed_pictures(path) or find_masks(path) or find_texts(path):
            return None
        if find_pairs(path):
            return read_pair_folder(path, target)
        return read_corpus(path) if target is None and find_corpus(path) else None
    if target is None and (plain or path.suffix.lower() == ".tsv") and is_pair_text(path):
        return read_pair_table(path, target)
    return read_corpus(path) if target is None and plain and is_running_text(path) else None


def _embedded(name: str, target: Target) -> Source:
    if name in EXAMPLES:
        source = EXAMPLES.create(name)
        own = next(iter(source.parts.values())).targets
        known = list(own.columns) if hasattr(own, "columns") else []
        wanted = target_names(target)
        if wanted and list(wanted) != known:
            has = f"the target {known[0]!r}" if known else "no columns to choose from"
            raise InputError(f"the embedded set {name!r} has {has}, but the target asked for is {wanted[0]!r}")
        return source
    path = Path(name)
    if path.suffix or len(path.parts) > 1:
        beside = [p.name for p in path.parent.iterdir()] if existing(path.parent) and path.parent.is_dir() else []
        hint = f"; did you mean {str(path.parent / near[0])!r}?" if (near := nearest(path.name, beside, 1)) else ""
        raise InputError(f"no such file or folder: {name!r}{hint}")
    raise unknown_name("source: no file or folder, and no embedded data set", name, EXAMPLES)


def packed_pictures(folder: Path) -> Callable[[Path, list[str]], dict[str, Part]] | None:
    """What reads the parts of a folder with files of many pictures each, as MNIST and CIFAR are published."""
    from osler.data.cifar import find_cifar, read_cifar
    from osler.data.idx import find_idx, read_idx_folder

    if find_idx(folder):
        return partial(read_idx_folder, limit_bytes=memory_limit())
    return read_cifar if find_cifar(folder) else None


def _tables(
    where: str,
    frames: dict[str, pd.DataFrame],
    folder: Path,
    target: Target,
    image_size: int | None,
    usual_size: int | None,
    limit_bytes: int,
    notes: list[str],
    sound: Sound | None,
) -> Source | LargeImages:
    """Tables in memory: of pictures or recordings where a column names them, which are looked for from `folder` on."""
    from osler.data.images import SIZE
    from osler.data.imagetable import PictureTable

    if column := audio_column(next(iter(frames.values()))):
        return _audio_table(where, frames, column, folder, target, notes, sound, limit_bytes)
    pictures = PictureTable.open(where, frames, folder, target, notes, image_size, usual_size or SIZE)
    if pictures is None:
        return table_source(where, frames, target, notes)
    return _pictures(pictures, limit_bytes, notes)


def _pictures(pictures: Pictures, limit_bytes: int, notes: list[str]) -> Source | LargeImages:
    """All of them, or where they are more than fits what is known of them."""
    from osler.data.images import read_pictures
    from osler.data.streamimages import LargeImages

    if pictures.survey.bytes > limit_bytes:
        return LargeImages(pictures, [*notes, f"{Path(pictures.where).name} is {LARGER}"])
    found = read_pictures(pictures, limit_bytes)
    return replace(found, notes=[*notes, *found.notes])


def _folder(
    folder: Path,
    target: Target,
    image_size: int | None,
    usual_size: int | None,
    limit_bytes: int,
    sound: Sound | None,
) -> Source | LargeTable | LargeImages:
    from osler.data.images import SIZE, ImageFolder
    from osler.data.masks import find_masks, read_mask_folder
    from osler.data.text import find_texts, read_text_folder

    notes: list[str] = []
    if any(is_ts(path) for path in folder.iterdir()):
        return _of_series(folder, target)
    tables = table_files(folder)
    packed = packed_pictures(folder)
    if tables and packed is None:
        if sum(needed_bytes(path) for path in tables) > limit_bytes:
            return large_folder(folder, tables, target, notes)
        frames = read_folder(folder, tables, target, notes)
        return _tables(str(folder), frames, folder, target, image_size, usual_size, limit_bytes, notes, sound)
    if wanted := target_names(target):
        raise InputError(f"{folder} holds no tables, but the target asked for is a column: {wanted[0]!r}")
    if find_masks(folder):
        return read_mask_folder(folder, image_size, limit_bytes=limit_bytes)
    if packed is not None:
        return Source("images", str(folder), packed(folder, notes), notes)
    if find_audio(folder):
        return read_audio_folder(folder, sound, limit_bytes)
    if find_texts(folder):
        return read_text_folder(folder)
    return _pictures(ImageFolder.open(folder, image_size, usual=usual_size or SIZE), limit_bytes, notes)


def _audio_table(
    where: str,
    tables: dict[str, pd.DataFrame],
    column: str,
    base: Path,
    target: Target,
    notes: list[str],
    sound: Sound | None,
    limit_bytes: int,
) -> Source:
    """Recordings that tables name; the target is the only other column, or that of a usual name, or as asked for."""
    others = [str(name) for name in next(iter(tables.values())).columns if name != column]
    spoken = [name for name in others if name.lower() in TEXT_NAMES]
    wanted = target or (others if len(others) == 1 else spoken if len(spoken) == 1 else None)
    targets, used = agree(where, {name: [*map(str, table.columns)] for name, table in tables.items()}, wanted, notes)
    notes.append(f"recordings named by the column {column!r}")
    mine = {name: tables[name] for name in used}
    return read_audio_table(where, mine, column, base, targets, sound, notes=notes, limit_bytes=limit_bytes)
