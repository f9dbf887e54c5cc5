"""Series with a class each, from the archives' files: .ts of UEA and UCR, and UCR's .tsv with the label first."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.memory import check_fits
from osler.data.parts import Part, Source
from osler.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = re.compile(r"(.+)_(TRAIN|TEST|VAL|VALIDATION)", re.IGNORECASE)
MISSING = {"?", "nan", ""}
HEADS = ("classlabel", "targetlabel")


@dataclass(frozen=True)
class Labelled:
    """What a file holds: series (length, channels), as long as they are, NaN where missing, and their labels."""

    series: list[NDArray[np.float64]]
    labels: list[str] | None


def is_ts(path: Path) -> bool:
    """Whether it is a file of series with labels: any .ts, and a .tsv that is called X_TRAIN or X_TEST, of numbers."""
    if path.suffix.lower() == ".ts":
        return path.is_file()
    if path.suffix.lower() != ".tsv" or not PARTS.fullmatch(path.stem) or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            cells = file.readline(1 << 20).rstrip("\n").split("\t")
    except (OSError, UnicodeDecodeError):
        return False
    return len(cells) > 3 and all(_number(cell) is not None for cell in cells[1:])


def read_ts_source(path: Path) -> Source:
    """The source of a file, X_TRAIN.ts with the X_TEST.ts beside it, or of a folder that holds one such pair.

    Its inputs are an array (N, length, channels). Where lengths differ, shorter series end in zeros, and one channel
    more says where a series is (1) and where it has ended (0). What is missing is as it was before, or else as it is
    next. All that is counted. Raises InputError for a file that is no such table, with the line.
    """
    files = _parts_beside(path)
    read = {part: read_ts(file) for part, file in files.items()}
    notes = [f"{file.name}: {len(read[part].series)} series" for part, file in files.items()]
    channels = {s.shape[1] for found in read.values() for s in found.series}
    if len(channels) > 1:
        raise InputError(f"{path}: the parts have {' and '.join(map(str, sorted(channels)))} channels")
    lengths = {len(s) for found in read.values() for s in found.series}
    parts = {}
    for part, found in read.items():
        if found.labels is None:
            raise InputError(f"{files[part]} has no labels (@classLabel false): there is nothing to learn")
        inputs = _array(found.series, max(lengths), len(lengths) > 1, files[part].name, notes)
        rows = tuple(f"{files[part].name} {i}" for i in range(1, len(inputs) + 1))
        parts[part] = Part(inputs, np.array(found.labels), rows)
    if len(lengths) > 1:
        notes.append(
            f"lengths from {min(lengths)} to {max(lengths)}: padded at the end by zeros, and a channel says where"
        )
    if list(parts) == ["test"]:
        parts = {"all": parts["test"]}
    return Source("arrays", str(path), parts, notes)


def read_ts_rows(path: Path, shape: tuple[int, ...], notes: list[str]) -> Part:
    """The series of one file, as those of shape (length, channels) that a run was trained on."""
    found = read_ts(path)
    lengths = {len(s) for s in found.series}
    channels = found.series[0].shape[1]
    padded = len(shape) == 2 and shape[1] == channels + 1
    if len(shape) != 2 or shape[1] - padded != channels or (not padded and lengths != {shape[0]}):
        has = f"{channels} channels and {min(lengths)} to {max(lengths)} steps"
        raise InputError(f"{path}: its series have {has}, but the run was trained on samples of shape {tuple(shape)}")
    if longer := sum(len(s) > shape[0] for s in found.series):
        notes.append(f"{longer} series are longer than those of training: cut after {shape[0]} steps")
    inputs = _array([s[: shape[0]] for s in found.series], shape[0], padded, path.name, notes)
    labels = None if found.labels is None else np.array(found.labels)
    return Part(inputs, labels, tuple(f"{path.name} {i}" for i in range(1, len(inputs) + 1)))


def _parts_beside(path: Path) -> dict[str, Path]:
    """The files of the parts "train" and "test" (and "validation"), or of "all"."""
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if is_ts(file)]
        problems = sorted({match[1] for file in files if (match := PARTS.fullmatch(file.stem))})
        if len(problems) > 1:
            raise InputError(f"{path} holds {len(problems)} problems: name one file, like {problems[0]}_TRAIN.ts")
        if not problems:
            if len(files) == 1:
                return {"all": files[0]}
            raise InputError(f"{path} holds {len(files)} files of series, none called X_TRAIN.ts: name one")
        path = next(file for file in files if PARTS.fullmatch(file.stem))
    match = PARTS.fullmatch(path.stem)
    if match is None:
        return {"all": path}
    found = {}
    for file in sorted(path.parent.iterdir()):
        other = PARTS.fullmatch(file.stem)
        if other and other[1] == match[1] and file.suffix.lower() == path.suffix.lower() and is_ts(file):
            found[{"val": "validation"}.get(other[2].lower(), other[2].lower())] = file
    return found if "train" in found and len(found) > 1 else {"all": path}


def read_ts(path: Path) -> Labelled:
    """The series of a file. Raises InputError for what is no such file, with the line."""
    try:
        check_fits(path.stat().st_size * 8, str(path))
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: not readable ({error.strerror or error})") from None
    lines = [(number, line.strip("\r\n ")) for number, line in enumerate(text.split("\n"), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(("#", "%"))]
    found = list(_ucr(path, lines) if path.suffix.lower() == ".tsv" else _ts(path, lines))
    if not found:
        raise InputError(f"{path}: holds no series")
    labels = [label for _, label in found if label is not None]
    return Labelled([series for series, _ in found], labels or None)


def _ucr(path: Path, lines: list[tuple[int, str]]) -> Iterator[tuple[NDArray[np.float64], str]]:
    for number, line in lines:
        label, *cells = line.split("\t")
        values = _values(cells, path, number)
        known = np.flatnonzero(~np.isnan(values))
        if not len(known):
            raise InputError(f"{path}, line {number}: nothing but missing values")
        yield values[: known[-1] + 1, None], _class_name(label.strip())  # shorter series end in NaN


def _class_name(label: str) -> str:
    """1.0000000e+00 is the class 1."""
    value = _number(label)
    return str(int(value)) if value is not None and math.isfinite(value) and value == int(value) else label


def _ts(path: Path, lines: list[tuple[int, str]]) -> Iterator[tuple[NDArray[np.float64], str | None]]:
    head, data = _head(path, lines)
    labelled = head.get("labelled", False)
    classes: list[str] = head.get("classes", [])
    for number, line in data:
        where = f"{path}, line {number}"
        cells = line.split(":")
        label = cells.pop().strip() if labelled else None
        if not cells or (classes and label not in classes):
            known = f"; the classes are {', '.join(classes[:10])}" if classes else ""
            raise InputError(f"{where}: ends in {label!r}, which is no label{known}")
        if "(" in line:
            raise InputError(f"{where}: has times, like (0,1.5): only values at equal steps are read")
        channels = [_values(cell.split(","), path, number) for cell in cells]
        if len({len(values) for values in channels}) > 1:
            sizes = ", ".join(str(len(values)) for values in channels)
            raise InputError(f"{where}: its channels have different lengths ({sizes})")
        series = np.stack(channels, axis=1)
        for what, said, has in (
            ("dimensions", "@dimensions", series.shape[1]),
            ("length", "@seriesLength", len(series)),
        ):
            if head.get(what, has) != has:
                raise InputError(
                    f"{where}: {has} {what if what != 'length' else 'steps'}, but {said} says {head[what]}"
                )
        yield series, label


def _head(path: Path, lines: list[tuple[int, str]]) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """What the lines before @data say, and the lines after it."""
    head: dict[str, Any] = {}
    equal = True
    for place, (number, line) in enumerate(lines):
        if not line.startswith("@"):
            raise InputError(f"{path}, line {number}: a .ts file has lines like '@univariate true' before '@data'")
        key, *values = line[1:].split()
        key = key.lower()
        yes = bool(values) and values[0].lower() == "true"
        if key == "data":
            if not equal:
                head.pop("length", None)
            if "univariate" in head and head.pop("univariate"):
                head.setdefault("dimensions", 1)
            return head, lines[place + 1 :]
        if key == "timestamps" and yes:
            raise InputError(f"{path}: has times (@timeStamps true): only values at equal steps are read")
        if key in HEADS:
            head |= {"labelled": yes, "classes": values[1:]}
        elif key == "univariate":
            head["univariate"] = yes
        elif key == "equallength":
            equal = yes
        elif key in ("dimensions", "dimension", "serieslength"):
            if not values or not values[0].isascii() or not values[0].isdigit():
                raise InputError(f"{path}, line {number}: {line!r} needs a number")
            head["length" if key == "serieslength" else "dimensions"] = int(values[0])
    raise InputError(f"{path}: has no line '@data', after which a .ts file has its series")


def _values(cells: list[str], path: Path, line: int) -> NDArray[np.float64]:
    try:
        return np.array([np.nan if cell.strip().lower() in MISSING else _finite(cell) for cell in cells])
    except ValueError as error:
        raise InputError(f"{path}, line {line}: {str(error)[:80]}") from None


def _finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is no finite number")
    return value


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _array(
    series: list[NDArray[np.float64]], length: int, padded: bool, name: str, notes: list[str]
) -> NDArray[np.float32]:
    """(N, length, channels), one channel more where they are padded."""
    channels = series[0].shape[1]
    check_fits(len(series) * length * (channels + padded) * 8, name)
    array = np.zeros((len(series), length, channels + padded), dtype=np.float32)
    filled = 0
    for i, values in enumerate(series):
        missing = np.isnan(values)
        if missing.any():
            filled += int(missing.sum())
            values = _without_gaps(values, missing, f"{name}, series {i + 1}")
        array[i, : len(values), :channels] = values
        array[i, : len(values), channels:] = 1
    if filled:
        notes.append(f"{name}: {filled} missing values are filled by the value before them, or else the next")
    return array


def _without_gaps(values: NDArray[np.float64], missing: NDArray[np.bool_], where: str) -> NDArray[np.float64]:
    if missing.all(axis=0).any():
        raise InputError(f"{where}: a channel holds nothing but missing values")
    first = (~missing).argmax(axis=0)  # (channels,)
    before = np.maximum.accumulate(np.where(missing, first, np.arange(len(values))[:, None]), axis=0)
    return np.take_along_axis(values, before, axis=0)
