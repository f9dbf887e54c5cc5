"""What is at this path? The one place that decides how a source is read, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from osler.data.arrays import pair_source
from osler.data.examples import EXAMPLES
from osler.data.frames import tidy
from osler.data.largetable import LargeTable, large_folder, large_table
from osler.data.memory import LARGER, memory_limit
from osler.data.parts import Source
from osler.data.tablefiles import SUFFIXES, needed_bytes, read_table
from osler.data.tablesource import Target, folder_source, table_source, target_names
from osler.errors import InputError, nearest, unknown_name

if TYPE_CHECKING:
    from osler.data.streamimages import LargeImages


def open_source(
    source: object,
    target: Target = None,
    image_size: int | None = None,
    limit_bytes: int | None = None,
    *,
    usual_size: int | None = None,
) -> Source | LargeTable | LargeImages:
    """Reads a source to learn from; one on disk that needs more memory than `limit_bytes` is only opened.

    `source`: the name of an embedded data set; a CSV, TSV or Parquet file; a folder of tables, of idx files or with one
    folder of pictures per class; a DataFrame; or a pair (inputs, targets) of arrays, tensors or DataFrames.
    `target`: the column(s) to predict (tables only). `image_size`: the side to which pictures of a folder are brought.
    `usual_size`: what they are brought to where that is None and their sizes differ.
    `limit_bytes`: default half of the machine's memory; not of what is free, so that the same run does the same again.
    Raises InputError for whatever cannot be read, with the file and the cure.
    """
    notes: list[str] = []
    limit_bytes = memory_limit() if limit_bytes is None else limit_bytes
    if hasattr(source, "columns"):
        return table_source("a DataFrame", {"all": tidy(source, "a DataFrame")}, target, notes)
    if isinstance(source, tuple | list) and len(source) == 2:
        return pair_source(source[0], source[1], target)
    if not isinstance(source, str | Path):
        raise InputError(
            f"a source is a name, a path, a DataFrame or a pair (inputs, targets), but got {type(source).__name__}"
        )
    path = existing(source)
    if path is None:
        return _embedded(str(source), target)
    if path.is_dir():
        return _folder(path, target, image_size, usual_size, limit_bytes)
    if needed_bytes(path) > limit_bytes:
        return large_table(str(path), {"all": [path]}, target, notes)
    return table_source(str(path), {"all": read_table(path, notes, target_names(target))}, target, notes)


def existing(source: str | Path) -> Path | None:
    """The path, if there is something at it."""
    try:
        path = Path(source).expanduser()
        return path if str(source) and path.exists() else None
    except (OSError, RuntimeError):  # a name too long for a path; no such user behind "~"
        return None


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


def _folder(
    folder: Path, target: Target, image_size: int | None, usual_size: int | None, limit_bytes: int
) -> Source | LargeTable | LargeImages:
    from osler.data.idx import find_idx, read_idx_folder
    from osler.data.images import SIZE, ImageFolder
    from osler.data.masks import find_masks, read_mask_folder
    from osler.data.streamimages import LargeImages

    notes: list[str] = []
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if tables and not find_idx(folder):
        large = sum(needed_bytes(path) for path in tables) > limit_bytes
        return (large_folder if large else folder_source)(folder, tables, target, notes)
    if wanted := target_names(target):
        raise InputError(f"{folder} holds no tables, but the target asked for is a column: {wanted[0]!r}")
    if find_masks(folder):
        return read_mask_folder(folder, image_size, limit_bytes=limit_bytes)
    if find_idx(folder):
        parts = read_idx_folder(folder, notes, limit_bytes=memory_limit())
        return Source("images", str(folder), parts, [f"{folder.name}: idx files of images and labels", *notes])
    pictures = ImageFolder.open(folder, image_size, usual=usual_size or SIZE)
    if pictures.survey.bytes > limit_bytes:
        return LargeImages(pictures, [f"{folder.name} is {LARGER}"])
    return pictures.read(limit_bytes)
