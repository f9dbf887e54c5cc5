"""Pictures from files: a folder per class, or any list of files; broken ones are named, never silently skipped."""

import base64
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from osler.data.parts import Part, Source
from osler.errors import InputError

LIMIT_BYTES = 4 * 2**30
SIZE = 96  # of pictures whose own sizes differ or are too large
LARGEST = 224  # pictures of one size up to this stay as they are
FORMATS = ("PNG", "JPEG")
PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}
_SIDE_FILES = {"thumbs.db", "desktop.ini", "source.md", "readme.md", "readme.txt", "readme", "license", "__macosx"}
_SIGNATURES = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF", b"<svg": "SVG"}
_ORIENTATION = 0x0112  # EXIF: 1 is upright; 5 to 8 also swap the sides


class _Header(NamedTuple):
    width: int  # upright
    height: int
    grey: bool


def read_images(
    paths: Sequence[Path],
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    limit_bytes: int = LIMIT_BYTES,
) -> tuple[Tensor, list[str], list[Path]]:
    """Reads PNG and JPEG files into one uint8 tensor (N, C, H, W); returns it, notes for the user, and the files kept.

    `size`: a side, or (height, width). By default pictures of one size up to 224 keep it, and others become 96×96: the
    shorter side is scaled (bilinear, antialiased), the longer one cropped around its centre.
    `channels`: 1 or 3; by default 1 if every picture is grey. EXIF rotation is applied, transparency put on white,
    16-bit grey scaled to 8 bits, palettes and CMYK converted to RGB.
    Files that are not whole PNG or JPEG pictures (told by their content) are left out and named in the notes. Raises
    InputError if none is left, or if the result would be larger than `limit_bytes`.
    """
    notes: list[str] = []
    with _quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = list(pool.map(_header, paths))
        left_out = {path: h for path, h in zip(paths, headers, strict=True) if isinstance(h, str)}
        found = [(path, h) for path, h in zip(paths, headers, strict=True) if isinstance(h, _Header)]
        if not found:
            raise InputError(f"no PNG or JPEG picture could be read{': ' if paths else ''}{_listed(left_out, paths)}")
        height, width = _common_size([h for _, h in found], size, notes)
        if channels is None:
            channels = 1 if all(h.grey for _, h in found) else 3
        needed = len(found) * channels * height * width
        if needed > limit_bytes:
            raise InputError(
                f"{len(found):,} pictures of {height}×{width} with {channels} channels need {needed / 2**30:.2f} GiB, but at "
                f"most {limit_bytes / 2**30:.2f} GiB are held in memory; choose a smaller size or fewer pictures"
            )
        pixels = np.empty((len(found), channels, height, width), np.uint8)

        def decode(index: int) -> str | None:
            return _decode(found[index][0], pixels[index])

        troubles = list(pool.map(decode, range(len(found))))
    kept = []
    for index, ((path, _), trouble) in enumerate(zip(found, troubles, strict=True)):
        if trouble is None:
            pixels[len(kept)] = pixels[index]  # closes the gaps in place
            kept.append(path)
        else:
            left_out[path] = trouble
    if not kept:
        raise InputError(f"no PNG or JPEG picture could be read: {_listed(left_out, paths)}")
    if left_out:
        in_order = {path: left_out[path] for path in paths if path in left_out}
        notes.insert(0, f"{len(left_out):,} of {len(paths):,} files left out: {_listed(in_order, paths)}")
    return torch.from_numpy(pixels[: len(kept)]), notes, kept


def find_images(path: str | Path) -> list[Path]:
    """The files to read at a path: the file itself, or all in a folder and the folders inside, without side files."""
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"there is no file or folder {path}")
    files: list[Path] = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_side(name))
        files += [Path(folder, name) for name in sorted(names) if not _is_side(name)]
    return files


def find_parts(folder: str | Path) -> dict[str, Path]:
    """The parts a folder is divided into: "train" and "test" (and "validation"), or "all" for the folder itself.

    A single part beside train is what is held out, so it is "test" whatever its name.
    """
    folders = {name.lower(): path for name, path in _folders(Path(folder)).items()}
    parts: dict[str, Path] = {}
    for name, path in folders.items():
        if (part := PARTS.get(name)) and parts.setdefault(part, path) != path:
            raise InputError(f"{folder}: {parts[part].name!r} and {path.name!r} are both {part} parts; keep one")
    if "train" not in parts or (len(parts) == 1 and len(folders) > 1):  # no parts, or a class that is called "train"
        return {"all": Path(folder)}
    if len(parts) == 1:
        return {"all": parts["train"]}
    if len(parts) == 2:
        (other,) = parts.keys() - {"train"}
        return {"train": parts["train"], "test": parts[other]}
    return {name: parts[name] for name in ("train", "validation", "test")}


def find_classes(folder: str | Path) -> dict[str, list[Path]]:
    """The files of each class, by the name of its folder; both sorted. Empty if the folder has no folders."""
    return {name: find_images(path) for name, path in _folders(Path(folder)).items()}


def read_image_folder(
    folder: str | Path,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    limit_bytes: int = LIMIT_BYTES,
) -> Source:
    """Reads a folder per class (folder/class/….png), or such folders within folder/train, /test, /val.

    Targets are class names, rows the file names within the folder; `size` and `channels` as in `read_images`. Raises
    InputError if there are no pictures, if a class has none to train on, or if a class is only in the test part.

        >>> read_image_folder("hymenoptera").parts["train"].inputs.shape
        torch.Size([244, 3, 96, 96])
    """
    root = Path(folder)
    places = find_parts(root)
    classes = {part: find_classes(place) for part, place in places.items()}
    files = [(part, name, path) for part, c in classes.items() for name, paths in c.items() for path in paths]
    if not files:
        raise InputError(f"{root} has no pictures in class folders; each goes into a folder named after its class")
    try:
        pixels, notes, kept = read_images([path for *_, path in files], size, channels, limit_bytes=limit_bytes)
    except InputError as error:
        raise InputError(f"{root}: {error}") from error
    used = set(kept)
    parts: dict[str, Part] = {}
    start = 0
    for part in places:
        rows = [(name, path) for p, name, path in files if p == part and path in used]
        targets = np.array([_shown(name) for name, _ in rows], dtype=np.str_)
        names = tuple(_shown(path.relative_to(root)) for _, path in rows)
        parts[part] = Part(pixels[start : start + len(rows)], targets, names)
        start += len(rows)
        if not rows:
            raise InputError(f"{places[part]} has no picture that can be read; fill it or remove it")
    _check_classes({part: list(c) for part, c in classes.items()}, parts, places, notes)
    for part, place in places.items():
        if part == "test" and place.name.lower() != "test":
            notes.append(f"the part {place.name!r} is held out to test on")
    if "train" in places:
        ignored = [name for name, path in _folders(root).items() if path not in places.values()]
        if ignored:
            notes.append(f"folders beside the parts left out: {_listing(map(_shown, ignored))}")
    return Source("images", str(root), parts, notes)


def _check_classes(
    classes: dict[str, list[str]], parts: dict[str, Part], places: dict[str, Path], notes: list[str]
) -> None:
    """Each class needs a picture to learn from; one that is missing in a part held out is only worth a note."""
    learned = next(iter(classes))  # "train" or "all"
    for part, names in classes.items():
        filled = set(parts[part].targets.tolist())
        empty = [name for name in map(_shown, names) if name not in filled]
        if empty and part == learned:
            raise InputError(f"class folder {places[part] / empty[0]} has no picture that can be read; fill it or remove it")
        unknown = sorted(filled - set(parts[learned].targets.tolist()))
        if unknown:
            raise InputError(
                f"{places[part]} has the class {unknown[0]!r} that {places[learned]} lacks: a network cannot "
                "recognise what it was never shown; add pictures to train on or remove the folder"
            )
        missing = sorted(set(parts[learned].targets.tolist()) - filled)
        if missing:
            notes.append(f"no picture in {places[part].name!r} of: {_listing(missing)}")


def to_png_base64(image: Tensor) -> str:
    """A uint8 picture (C, H, W), grey or RGB, as base64 text of a PNG file (for a `data:image/png;base64,` address)."""
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.dtype != torch.uint8:
        raise InputError(f"a picture is uint8 (1 or 3, H, W), but got {image.dtype} {tuple(image.shape)}")
    array = image.permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(array[..., 0] if image.shape[0] == 1 else array).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _header(path: Path) -> _Header | str:
    """What a picture's header says, or why it cannot be used."""
    try:
        if not path.is_file():
            return "not a file"  # a pipe or a device would never end
        with path.open("rb") as file:
            beginning = file.read(16)
        if not beginning:
            return "empty file"
        if (kind := _format(beginning)) not in FORMATS:
            return f"{kind}, not PNG or JPEG" if kind else "not a picture"
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if _orientation(image) >= 5:
                width, height = height, width
            return _Header(width, height, _is_grey(image))
    except Exception as error:  # Pillow raises errors of many types on a stranger's bytes
        return _reason(error)


def _decode(path: Path, out: np.ndarray) -> str | None:
    """Writes the picture into `out` (C, H, W), scaled and cropped to fit; returns what is wrong with it, if anything."""
    channels, height, width = out.shape
    try:
        with Image.open(path, formats=FORMATS) as opened:
            orientation = _orientation(opened)
            sides = (width, height) if orientation < 5 else (height, width)
            scale = max(sides[0] / opened.width, sides[1] / opened.height)
            # A JPEG decodes straight to an eighth, a quarter or a half of its size: several times faster.
            opened.draft(None, (int(opened.width * scale), int(opened.height * scale)))
            image = _eight_bits(opened, "L" if channels == 1 else "RGB")
            if orientation != 1:
                image = ImageOps.exif_transpose(opened if image is opened else _oriented(image, opened))
            if image.size != (width, height):
                image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
            out[:] = np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)
    except Exception as error:  # as above
        return _reason(error)
    return None
