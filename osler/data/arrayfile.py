"""Arrays in a NumPy archive (.npz), named as those of published data sets are: x_train, y_train, x_test …"""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from osler.data.arrays import pair_part
from osler.data.memory import check_fits
from osler.data.parts import Part, Source
from osler.data.tablesource import Target, target_names
from osler.errors import InputError

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
ROLES = {
    **dict.fromkeys(("x", "image", "images", "input", "inputs", "data"), "inputs"),
    **dict.fromkeys(("y", "label", "labels", "target", "targets"), "targets"),
}
_RULE = "it needs x_train and y_train (x_test, y_test), or images and labels, or X and y"


def npz_source(path: Path, target: Target) -> Source:
    """The source of the archive's parts, each with inputs and targets. `target` is what the targets are called.

    Bytes on 3 or 4 axes are pictures, all else arrays of numbers. Raises InputError for an archive without targets.
    """
    notes: list[str] = []
    parts = read_npz(path, target_names(target) or ("target",), notes)
    without = [name for name, part in parts.items() if part.targets is None]
    if next(iter(parts)) in without:
        raise InputError(f"{path}: nothing to learn from, for there are inputs, but no targets: {_RULE}")
    for name in without:
        notes.append(f"the {name} part has no targets: not used (it can be predicted afterwards)")
        del parts[name]
    kinds = {"arrays" if isinstance(part.inputs, np.ndarray) else "images" for part in parts.values()}
    if len(kinds) > 1:
        raise InputError(f"{path}: pictures in one part, other numbers in another; all need the same type and shape")
    parts = parts if len(parts) > 1 else {"all": next(iter(parts.values()))}
    return Source("images" if kinds == {"images"} else "arrays", str(path), parts, notes)


def read_npz(path: Path, names: tuple[str, ...], notes: list[str], pictures: bool = True) -> dict[str, Part]:
    """The parts of an archive, "all" or "train" first, with targets, called `names`, where it has them.

    An array of objects, which is a pickle, is never read. Raises InputError for an archive that is not whole, that
    claims more than it holds or more than fits, and where no array has the name of inputs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            found = _meanings(path, list(entries))
            read = {
                part: {role: _array(archive, entries[name], path) for role, name in roles.items()}
                for part, roles in found.items()
            }
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is not a whole NumPy archive ({error}); get the file again") from error
    used = {name: f"{part} {role}" for part, roles in found.items() for role, name in roles.items()}
    told = ", ".join(f"{name} as {what.removeprefix('all ')}" for name, what in used.items())
    unused = ", ".join(name for name in entries if name not in used)
    notes.append(f"{path.name}: {told}" + (f"; not used: {unused}" if unused else ""))
    return {part: pair_part(of["inputs"], of.get("targets"), names, pictures) for part, of in read.items()}


def _meanings(path: Path, names: list[str]) -> dict[str, dict[str, str]]:
    """Which array is the inputs and which the targets of each part."""
    found: dict[str, dict[str, str]] = {part: {} for part in ("all", "train", "validation", "test")}
    for name in names:
        words = re.split(r"[_\-. ]", name.lower())
        parts = [PARTS[word] for word in words if word in PARTS]
        roles = [ROLES[word] for word in words if word in ROLES]
        if len(roles) == 1 and len(words) == len(parts) + len(roles) <= 2:
            of = found["".join(parts) or "all"]
            if roles[0] in of:
                raise InputError(f"{path}: {of[roles[0]]!r} and {name!r} are both the {roles[0]}; keep one")
            of[roles[0]] = name
    found = {part: roles for part, roles in found.items() if roles}
    if not found or any("inputs" not in roles for roles in found.values()) or ("all" in found and len(found) > 1):
        raise InputError(f"{path}: unclear what to learn from {', '.join(map(repr, names)) or 'nothing'}: {_RULE}")
    return found


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> np.ndarray[Any, Any]:
    """One array. What its header claims is compared with the memory before any is taken."""
    what = f"{path}: the array {entry.filename.removesuffix('.npy')!r}"
    with archive.open(entry) as file:
        try:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(file)
        except (zipfile.BadZipFile, zlib.error):
            raise
        except Exception as error:  # NumPy raises errors of many types on a stranger's header
            raise InputError(f"{what} is no array as NumPy writes it ({error!r:.80})") from error
        if dtype.hasobject:
            raise InputError(f"{what} holds Python objects, which are never read; save numbers or texts")
        size = math.prod(shape) * dtype.itemsize
        check_fits(2 * size, what)
        data = file.read(size + 1)
    if len(data) != size:
        got = "more" if len(data) > size else f"{len(data):,}"
        raise InputError(f"{what} should have {size:,} bytes by its header, but has {got}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
