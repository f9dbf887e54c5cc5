"""What is at this path? The one place that decides how a source is read, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from osler.data.examples import EXAMPLES
from osler.data.memory import check_fits, memory_limit
from osler.data.parts import Part, Source
from osler.data.tablefiles import SUFFIXES, read_table
from osler.errors import InputError, nearest, unknown_name

if TYPE_CHECKING:
    import pandas as pd

Target = str | Sequence[str] | None
TEST_NAMES = ("test", "val", "valid", "validation", "eval")
# What tables call the column to be predicted, if nobody says it.
TARGET_NAMES = ("target", "label", "class", "y", "outcome")
TABLE_BYTES = 5  # a text table takes up to so many bytes in memory for each byte on disk


def open_source(source: object, target: Target = None, image_size: int | None = None) -> Source:
    """Reads a source to learn from.

    `source`: the name of an embedded data set; a CSV, TSV or Parquet file; a folder of tables, of idx files or with one
    folder of pictures per class; a DataFrame; or a pair (inputs, targets) of arrays, tensors or DataFrames.
    `target`: the column(s) to predict (tables only). `image_size`: the side to which pictures of a folder are brought.
    Raises InputError for whatever cannot be read, with the file and the cure.
    """
    if hasattr(source, "columns"):
        return _table_source("a DataFrame", {"all": _frame(source)}, target, [])
    if isinstance(source, tuple | list) and len(source) == 2:
        return _pair(source[0], source[1], target)
    if not isinstance(source, str | Path):
        raise InputError(
            f"a source is a name, a path, a DataFrame or a pair (inputs, targets), but got {type(source).__name__}"
        )
    path = Path(source).expanduser()
    if not path.exists():
        return _embedded(str(source), target)
    if path.is_dir():
        return _folder(path, target, image_size)
    notes: list[str] = []
    return _table_source(str(path), {"all": _table_file(path, notes, _names(target))}, target, notes)


def open_rows(source: object, kind: str, shape: Sequence[int], targets: Sequence[str], notes: list[str]) -> Part:
    """Reads rows to predict: like `open_source`, but a target is welcome, not needed.

    `kind` and `shape` are those of the data trained on (pictures are brought to that shape); `targets` are the names
    of the target columns. Pictures that cannot be read are counted in `notes`.
    """
    if kind == "table":
        return _table_rows(source, targets, notes)
    if kind == "images" and isinstance(source, str | Path) and str(source) not in EXAMPLES:
        return _picture_rows(Path(source).expanduser(), shape, notes)
    if isinstance(source, str | Path):
        found = open_source(source)
        if found.kind != kind:
            raise InputError(f"this run was trained on {kind}, but {source} holds a source of kind {found.kind!r}")
        return found.parts.get("test", found.parts.get("all", next(iter(found.parts.values()))))
    inputs, known = source if isinstance(source, tuple | list) and len(source) == 2 else (source, None)
    if kind == "arrays":
        return Part(_array(inputs), None if known is None else _target_frame(known, targets))
    images = _as_images(_array(inputs))
    if images is None:
        raise InputError(
            "this run was trained on pictures: uint8 arrays of shape (N, height, width) or (N, channels, …)"
        )
    return Part(images, None if known is None else _target_frame(known, targets))


# ---- embedded, files and folders


def _embedded(name: str, target: Target) -> Source:
    if name in EXAMPLES:
        source = EXAMPLES.create(name)
        own = next(iter(source.parts.values())).targets
        wanted = _names(target)
        if wanted and hasattr(own, "columns") and list(own.columns) != list(wanted):
            raise InputError(f"the embedded set {name!r} has the target {own.columns[0]!r}, but got {wanted[0]!r}")
        return source
    path = Path(name).expanduser()
    if path.suffix or len(path.parts) > 1:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = f"; did you mean {str(path.parent / near[0])!r}?" if (near := nearest(path.name, beside, 1)) else ""
        raise InputError(f"no such file or folder: {name!r}{hint}")
    raise unknown_name("source: no file or folder, and no embedded data set", name, EXAMPLES)


def _table_file(path: Path, notes: list[str], expected: tuple[str, ...] = ()) -> pd.DataFrame:
    if path.suffix.lower() not in (*SUFFIXES, ".txt", ".data"):
        raise InputError(
            f"{path}: files of type {path.suffix or 'without a suffix'} are not read; {', '.join(SUFFIXES)} are"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    check_fits(path.stat().st_size * TABLE_BYTES, str(path))
    return read_table(path, notes, expected)


def _folder(folder: Path, target: Target, image_size: int | None) -> Source:
    from osler.data.idx import find_idx, read_idx_folder
    from osler.data.images import read_image_folder

    notes: list[str] = []
    if find_idx(folder):
        parts = read_idx_folder(folder, notes, limit_bytes=memory_limit())
        return Source("images", str(folder), parts, [f"{folder.name}: idx files of images and labels", *notes])
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if tables:
        return _table_folder(folder, tables, target, notes)
    return read_image_folder(folder, size=image_size, limit_bytes=memory_limit())


def _table_folder(folder: Path, paths: list[Path], target: Target, notes: list[str]) -> Source:
    """Files named after train and test are the given parts; several files of the same columns are one table."""
    by_part = {_part_name(path): path for path in paths}
    if "train" in by_part and len(by_part) == len(paths):
        notes.append(
            f"{folder.name}: " + ", ".join(f"{path.name} as the {name} part" for name, path in by_part.items())
        )
        frames = {name: _table_file(path, notes, _names(target)) for name, path in by_part.items()}
        if "validation" in frames and "test" not in frames:
            frames["test"] = frames.pop("validation")
        return _table_source(str(folder), frames, target, notes)
    all_frames = {path.name: _table_file(path, notes, _names(target)) for path in paths}
    first, *others = all_frames.values()
    if any(list(frame.columns) != list(first.columns) for frame in others):
        raise InputError(f"{folder} holds tables with different columns; name one: {', '.join(all_frames)}")
    if others:
        rows = ", ".join(f"{name} {len(frame):,}" for name, frame in all_frames.items())
        notes.append(f"{folder.name}: {len(paths)} tables of the same columns taken together (rows: {rows})")
    return _table_source(str(folder), {"all": _concat(list(all_frames.values()))}, target, notes)


def _part_name(path: Path) -> str:
    words = path.stem.lower().replace("-", "_").replace(".", "_").split("_")
    if "train" in words or "training" in words:
        return "train"
    if "test" in words:
        return "test"
    return "validation" if set(words) & set(TEST_NAMES) else path.name


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


# ---- tables


def _names(target: Target) -> tuple[str, ...]:
    return () if target is None else tuple(target.split(",")) if isinstance(target, str) else tuple(target)


def _table_source(where: str, frames: dict[str, pd.DataFrame], target: Target, notes: list[str]) -> Source:
    main = frames["all" if "all" in frames else "train"]
    columns = _target_columns(main, _names(target), where, notes)
    parts = {}
    for name, frame in frames.items():
        frame = frame.reset_index(drop=True)
        frame.columns = [str(column) for column in frame.columns]
        if frame.columns.has_duplicates:
            raise InputError(f"{where}: column names must differ, but {_repeated(frame)!r} stands there twice")
        absent = [column for column in main.columns if str(column) not in frame.columns]
        if set(absent) & set(columns):
            notes.append(f"the {name} part has no column {columns[0]!r}: not used (it can be predicted afterwards)")
            continue
        if absent:
            raise InputError(f"the {name} part lacks the column {absent[0]!r} of the training part")
        parts[name] = Part(frame.drop(columns=columns), frame[columns])
    return Source("table", where, parts if len(parts) > 1 else {"all": next(iter(parts.values()))}, notes)


def _repeated(frame: pd.DataFrame) -> str:
    return str(frame.columns[frame.columns.duplicated()][0])


def _target_columns(frame: pd.DataFrame, wanted: tuple[str, ...], where: str, notes: list[str]) -> list[str]:
    columns = [str(column) for column in frame.columns]
    if wanted:
        return [_target_column(columns, name.strip()) for name in wanted]
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
    if name.lstrip("-").isdigit() and -len(columns) <= int(name) < len(columns):
        return columns[int(name)]
    raise unknown_name("target column", name, columns)


def _table_rows(source: object, targets: Sequence[str], notes: list[str]) -> Part:
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if not path.exists() or path.is_dir():
            found = open_source(source, targets)
            part = found.parts.get("test", next(iter(found.parts.values())))
            notes.extend(found.notes)
            frame = _concat_columns(part.inputs, part.targets)
        else:
            frame = _table_file(path, notes)
    elif isinstance(source, tuple | list) and len(source) == 2:
        frame = _concat_columns(_frame(source[0]), _target_frame(source[1], targets))
    else:
        frame = _frame(source)
    frame = frame.reset_index(drop=True)
    frame.columns = [str(column) for column in frame.columns]
    known = all(name in frame.columns for name in targets)
    features = frame.drop(columns=[name for name in targets if name in frame.columns])
    return Part(features, frame[list(targets)] if known else None, tuple(str(i) for i in range(len(frame))))


def _concat_columns(left: Any, right: Any) -> pd.DataFrame:
    import pandas as pd

    frame: pd.DataFrame = pd.concat([left.reset_index(drop=True), right.reset_index(drop=True)], axis=1)
    return frame


def _frame(values: Any) -> pd.DataFrame:
    if hasattr(values, "columns"):
        return cast("pd.DataFrame", values)
    raise InputError(f"this run was trained on a table: give a file or a DataFrame, not a {type(values).__name__}")


# ---- arrays


def _pair(inputs: object, targets: object, target: Target) -> Source:
    names = _names(target) or ("target",)
    if hasattr(inputs, "columns"):
        known = _target_frame(targets, names)
        if len(inputs) != len(known):  # type: ignore[arg-type]
            raise InputError(f"inputs have {len(inputs)} rows, targets {len(known)}: they need the same number")  # type: ignore[arg-type]
        return _table_source("a DataFrame", {"all": _concat_columns(inputs, known)}, list(known.columns), [])
    values = _array(inputs)
    notes: list[str] = []
    known = _target_frame(_without_one_hot(targets, notes), names)
    if len(values) != len(known):
        raise InputError(f"inputs have {len(values)} rows, targets {len(known)}: they need the same number")
    images = _as_images(values)
    if images is not None:
        return Source("images", "arrays", {"all": Part(images, known)}, notes)
    check_fits(values.size * 4, f"an array of shape {values.shape}")
    return Source("arrays", "arrays", {"all": Part(values, known)}, notes)


def _array(values: Any) -> np.ndarray[Any, Any]:
    array = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    if array.dtype.kind not in "iufb" or array.ndim < 1:
        raise InputError(f"inputs must be an array of numbers, but got {array.dtype} of shape {array.shape}")
    if array.ndim == 1:
        array = array[:, None]
    if len(array) == 0:
        raise InputError("the inputs are empty")
    return array.astype(np.float32) if array.dtype.kind == "b" else array


def _as_images(values: np.ndarray[Any, Any]) -> Any:
    """uint8 arrays of 3 or 4 axes are pictures, channels first or last; None for anything else."""
    import torch

    if values.dtype != np.uint8 or values.ndim not in (3, 4):
        return None
    if values.ndim == 3:
        values = values[:, None]
    elif values.shape[3] in (1, 3) and values.shape[1] not in (1, 3):
        values = values.transpose(0, 3, 1, 2)
    if values.shape[1] not in (1, 3):
        raise InputError(f"pictures have 1 or 3 channels, but got an array of shape {values.shape}")
    return torch.from_numpy(np.ascontiguousarray(values))


def _target_frame(targets: Any, names: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    if hasattr(targets, "columns"):
        return cast("pd.DataFrame", targets.reset_index(drop=True))
    if isinstance(targets, pd.Series):
        return targets.reset_index(drop=True).to_frame(str(targets.name or names[0]))
    values = targets.detach().cpu().numpy() if hasattr(targets, "detach") else np.asarray(targets)
    if values.ndim == 2 and values.shape[1] > 1:
        names = names if len(names) == values.shape[1] else [f"{names[0]}_{i}" for i in range(values.shape[1])]
        return pd.DataFrame(values, columns=list(names))
    if values.ndim == 0 or values.size != len(values):
        raise InputError(
            f"targets have one number or class per sample, or one row of them, but got shape {values.shape}"
        )
    return pd.DataFrame({names[0]: values.reshape(-1)})


def _without_one_hot(targets: Any, notes: list[str]) -> Any:
    if hasattr(targets, "columns") or not hasattr(targets, "shape") or len(targets.shape) != 2 or targets.shape[1] < 2:
        return targets
    values = _array(targets)
    if np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
        notes.append(f"targets are one-hot: read as {values.shape[1]} classes, one per row")
        return values.argmax(axis=1)
    return targets


# ---- pictures to predict


def _picture_rows(path: Path, shape: Sequence[int], notes: list[str]) -> Part:
    from osler.data.idx import find_idx, read_idx_folder
    from osler.data.images import find_classes, find_images, read_images

    if not path.exists():
        raise InputError(f"no such file or folder: {str(path)!r}")
    if path.is_dir() and find_idx(path):
        found = read_idx_folder(path, notes, limit_bytes=memory_limit())
        return found.get("test", next(iter(found.values())))
    labels: dict[Path, str] = {}
    if path.is_dir():
        labels = {file: name for name, files in find_classes(path).items() for file in files}
    files = sorted(labels) or find_images(path)
    images, broken, kept = read_images(files, size=(shape[1], shape[2]), channels=shape[0])
    notes.extend(broken)
    known = np.array([labels[file] for file in kept]) if labels else None
    return Part(images, known, tuple(str(file) for file in kept))
