"""CIFAR-10 and CIFAR-100 as published (Krizhevsky, 2009): records of bytes (.bin), or Python's pickled batches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from osler.data.memory import check_fits
from osler.data.parts import Part
from osler.data.plainpickle import read_plain_pickle
from osler.errors import InputError

SHAPE = (3, 32, 32)
PIXELS = 3072
_BATCH = re.compile(r"(?:data_batch_(\d+)|test_batch)(\.bin)?")


class Layout(NamedTuple):
    """Which files of a folder are which part."""

    classes: int  # 10 or 100
    binary: bool
    train: list[Path]
    test: list[Path]


def find_cifar(folder: Path) -> Layout | None:
    """The files in a folder that bear CIFAR's names and look like it; None where there are none.

    CIFAR-10: data_batch_1.bin … and test_batch.bin, or the same without .bin. CIFAR-100: train.bin and test.bin, or
    train, test and meta. Records of bytes come before pickles.
    """
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    for ending in (".bin", ""):
        ours = [path for name, path in files.items() if (m := _BATCH.fullmatch(name)) and (m[2] or "") == ending]
        train = sorted((path for path in ours if path.stem.startswith("data")), key=_number)
        test = [path for path in ours if path.stem.startswith("test")]
        if ours:
            return Layout(10, bool(ending), train, test)
        named = {part: [files[part + ending]] if part + ending in files else [] for part in ("train", "test")}
        both = [*named["train"], *named["test"]]
        looks = _is_of_records if ending else _is_pickle
        if both and (ending or "meta" in files) and all(map(looks, both)):
            return Layout(100, bool(ending), named["train"], named["test"])
    return None


def read_cifar(folder: Path, notes: list[str]) -> dict[str, Part]:
    """Reads such a folder: "train" and "test", or "all" (with a note) where only one half is there.

    Inputs are uint8 (N, 3, 32, 32); targets class names where batches.meta (or .txt, fine_label_names.txt) has them,
    otherwise their numbers. CIFAR-100 has its fine labels, not the coarse ones.
    Raises InputError, naming the file, for what is not whole, and for a pickle that asks for more than plain data.

        >>> read_cifar(Path("cifar-10-batches-bin"), [])["test"].inputs.shape  # doctest: +SKIP
        torch.Size([10000, 3, 32, 32])
    """
    layout = find_cifar(folder)
    if layout is None:
        raise InputError(f"{folder} has no files with CIFAR's names (data_batch_1.bin or data_batch_1, and so on)")
    check_fits(2 * sum(path.stat().st_size for path in [*layout.train, *layout.test]), str(folder))
    form = "records of bytes" if layout.binary else "pickled batches"
    named = ", ".join(path.name for path in [*layout.train, *layout.test])
    notes.append(f"{folder.name}: CIFAR-{layout.classes}, {form} ({named})")
    numbers = [_number(path) for path in layout.train] if layout.classes == 10 else []
    if missing := sorted(set(range(1, 6)) - set(numbers)) if numbers else []:
        notes.append(f"not there, of the five files to train on: data_batch_{', '.join(map(str, missing))}")
    names = _names(folder, layout)
    parts = {
        name: _part(paths, layout, names) for name, paths in (("train", layout.train), ("test", layout.test)) if paths
    }
    if len(parts) == 1:
        (name,) = parts
        notes.append(f"only the {name} files are there: they are all the data")
        return {"all": parts[name]}
    return parts


def _part(paths: list[Path], layout: Layout, names: list[str] | None) -> Part:
    read = _records if layout.binary else _batch
    pictures, labels = zip(*(read(path, layout.classes) for path in paths), strict=True)
    targets = np.concatenate(labels)
    return Part(torch.from_numpy(np.concatenate(pictures)), targets if names is None else np.array(names)[targets])


def _records(path: Path, classes: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of each picture a byte for its class (before it, of CIFAR-100, one for its group of classes), then its pixels."""
    ahead = 1 if classes == 10 else 2
    data = np.fromfile(path, np.uint8)
    if not len(data) or len(data) % (ahead + PIXELS):
        raise InputError(
            f"{path} has {len(data):,} bytes, but CIFAR-{classes} has {ahead + PIXELS:,} for each picture: it is cut "
            "off, or something else"
        )
    records = data.reshape(-1, ahead + PIXELS)
    return records[:, ahead:].reshape(-1, *SHAPE), _checked(path, records[:, ahead - 1].tolist(), classes)


def _batch(path: Path, classes: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A dict of "data", uint8 (N, 3072), and "labels" (of CIFAR-100 "fine_labels"), a list."""
    key = "labels" if classes == 10 else "fine_labels"
    batch = read_plain_pickle(path)
    if not isinstance(batch, dict) or not {"data", key} <= set(batch):
        has = f"has {', '.join(map(repr, list(batch)[:9]))}" if isinstance(batch, dict) else "holds something else"
        raise InputError(f"{path}: a batch of CIFAR-{classes} is a dict with 'data' and {key!r}, but it {has}")
    data, labels = batch["data"], batch[key]
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != PIXELS or not len(data):
        got = f"an array of shape {data.shape}" if isinstance(data, np.ndarray) else f"a {type(data).__name__}"
        raise InputError(f"{path}: 'data' is an array of bytes, {PIXELS:,} for each picture, but got {got}")
    if not isinstance(labels, list) or len(labels) != len(data):
        got = f"{len(labels):,}" if isinstance(labels, list) else f"a {type(labels).__name__}"
        raise InputError(f"{path}: {key!r} is a list of a label for each of {len(data):,} pictures, but got {got}")
    return data.reshape(-1, *SHAPE), _checked(path, labels, classes)


def _checked(path: Path, labels: list[Any], classes: int) -> np.ndarray[Any, Any]:
    for place, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < classes:
            got = f"the label {label}" if type(label) is int else f"a {type(label).__name__} for label"
            raise InputError(f"{path}: picture {place} has {got}; labels of CIFAR-{classes} are 0 to {classes - 1}")
    return np.array(labels, np.int64)


def _names(folder: Path, layout: Layout) -> list[str] | None:
    """The classes by name, if a file says them."""
    ten = layout.classes == 10
    if layout.binary:
        path = folder / ("batches.meta.txt" if ten else "fine_label_names.txt")
    else:
        path = folder / ("batches.meta" if ten else "meta")
    if not path.is_file():
        return None
    found: Any
    if layout.binary:
        found = path.read_text(encoding="utf-8", errors="replace").split()
    else:
        meta = read_plain_pickle(path)
        found = meta.get("label_names" if ten else "fine_label_names") if isinstance(meta, dict) else None
    names = (
        [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in found]
        if isinstance(found, list)
        else []
    )
    names = [name for name in names if isinstance(name, str)]
    if len(set(names)) != layout.classes or len(names) != layout.classes:
        raise InputError(f"{path}: holds {len(set(names))} different names of classes, not {layout.classes}")
    return names


def _number(path: Path) -> int:
    match = _BATCH.fullmatch(path.name)
    return int(match[1] or 0) if match else 0


def _is_of_records(path: Path) -> bool:
    size = path.stat().st_size
    return size > 0 and size % (2 + PIXELS) == 0


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"
