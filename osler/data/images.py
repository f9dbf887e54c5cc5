"""Pictures from files: a folder per class, or any list of files; broken ones are named, never silently skipped."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from osler.data.parts import Part, Source
from osler.data.picture import decode, quiet, read_header
from osler.data.pictureheader import Header
from osler.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
LIMIT_BYTES = 4 * 2**30
SIZE = 96  # of pictures whose own sizes differ or are too large
LARGEST = 224  # pictures of one size up to this stay as they are
PARTS = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}
_SIDE_FILES = {"thumbs.db", "desktop.ini", "source.md", "readme.md", "readme.txt", "readme", "license", "__macosx"}


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
    return survey_images(paths, size, channels).read(limit_bytes)


@dataclass(frozen=True)
class Survey:
    """What the headers of picture files say, before any is decoded: those to read, and the shape that all get."""

    asked: Sequence[Path]
    paths: list[Path]
    shape: tuple[int, int, int]
    left_out: dict[Path, str]
    notes: list[str]

    @property
    def bytes(self) -> int:
        """What they need, decoded."""
        return len(self.paths) * math.prod(self.shape)

    def read(self, limit_bytes: int) -> tuple[Tensor, list[str], list[Path]]:
        """All of them at once, as `read_images` says."""
        if self.bytes > limit_bytes:
            channels, height, width = self.shape
            raise InputError(
                f"{len(self.paths):,} pictures of {height}×{width} with {channels} channels need "
                f"{self.bytes / 2**30:.2f} GiB, but at most {limit_bytes / 2**30:.2f} GiB are held in memory; choose a "
                "smaller size or fewer pictures"
            )
        broken: dict[Path, str] = {}
        pixels, places = self.decode(range(len(self.paths)), broken)
        return pixels, self.told(broken), [self.paths[place] for place in places]

    def decode(self, places: Sequence[int], broken: dict[Path, str]) -> tuple[Tensor, list[int]]:
        """The pictures at these places, and which they are; those that are broken go to `broken`, with the reason."""
        pixels = np.empty((len(places), *self.shape), np.uint8)

        def fill(index: int) -> str | None:
            return decode(self.paths[places[index]], pixels[index])

        troubles = _in_threads(fill, range(len(places)))
        kept: list[int] = []
        for index, (place, trouble) in enumerate(zip(places, troubles, strict=True)):
            if trouble is None:
                pixels[len(kept)] = pixels[index]  # closes the gaps in place
                kept.append(place)
            else:
                broken[self.paths[place]] = trouble
        return torch.from_numpy(pixels[: len(kept)]), kept

    def told(self, broken: dict[Path, str]) -> list[str]:
        """The notes, with all files left out, those whose pixels turned out to be broken too.

        Raises InputError if none is left.
        """
        left_out = self.left_out | broken
        if broken.keys() >= set(self.paths):  # a path may be there twice
            raise _none_left(left_out)
        in_order = {path: left_out[path] for path in self.asked if path in left_out}
        count = f"{len(left_out):,} of {len(self.asked):,} files left out"
        return [f"{count}: {_reasons(in_order)}", *self.notes] if left_out else self.notes


def survey_images(
    paths: Sequence[Path],
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    usual: int = SIZE,
) -> Survey:
    """Reads the headers of the files that `read_images` would read. Raises InputError if there is no picture."""
    notes: list[str] = []
    headers = _in_threads(read_header, paths)
    left_out = {path: h for path, h in zip(paths, headers, strict=True) if isinstance(h, str)}
    found = [(path, h) for path, h in zip(paths, headers, strict=True) if isinstance(h, Header)]
    if not found:
        raise _none_left(left_out)
    height, width = _common_size([h for _, h in found], size, usual, notes)
    if channels is None:
        channels = 1 if all(h.grey for _, h in found) else 3
    return Survey(paths, [path for path, _ in found], (channels, height, width), left_out, notes)


def _in_threads(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results in order. Threads take several items at a time: handing over one costs as much as a small picture."""
    threads = os.cpu_count() or 1
    at_once = min(max(len(items) // (8 * threads), 1), 64)
    some = [items[i : i + at_once] for i in range(0, len(items), at_once)]
    with quiet(), ThreadPoolExecutor(threads) as pool:
        return [result for results in pool.map(lambda few: [*map(work, few)], some) for result in results]


def find_images(path: str | Path) -> list[Path]:
    """The files to read at a path: the file itself, or all in a folder and the folders inside, without side files."""
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"there is no file or folder {path}")
    files: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not _is_side(name))
        files += [Path(folder, name) for name in sorted(names) if not _is_side(name)]
    return files


def find_parts(folder: str | Path) -> dict[str, Path]:
    """The parts a folder is divided into: "train" and "test" (and "validation"), or "all" where there is one only.

    A single part beside train is what is held out, so it is "test" whatever its name.
    """
    root = Path(folder)
    folders = _folders(root)
    parts: dict[str, Path] = {}
    for path in folders:
        if (part := PARTS.get(path.name.lower())) and parts.setdefault(part, path) != path:
            raise InputError(f"{root}: {parts[part].name!r} and {path.name!r} are both {part} parts; keep one")
    if "train" not in parts or (len(parts) == 1 and len(folders) > 1):  # no parts, or a class that is called "train"
        return {"all": root}
    if len(parts) == 1:
        return {"all": parts["train"]}
    if len(parts) == 2:
        (other,) = parts.keys() - {"train"}
        return {"train": parts["train"], "test": parts[other]}
    return {name: parts[name] for name in ("train", "validation", "test")}


def find_classes(folder: str | Path) -> dict[str, list[Path]]:
    """The files of each class, by the name of its folder; both sorted. Empty if the folder has no folders."""
    return {path.name: find_images(path) for path in _folders(Path(folder))}


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

        >>> read_image_folder("hymenoptera").parts["train"].inputs.shape  # doctest: +SKIP
        torch.Size([244, 3, 96, 96])
    """
    return read_pictures(ImageFolder.open(folder, size, channels), limit_bytes)


class Pictures(Protocol):
    """Pictures in files and what is known of each, looked at but not read yet."""

    @property
    def where(self) -> str: ...
    @property
    def survey(self) -> Survey: ...
    def parts(self, inputs: Any, kept: Sequence[Path]) -> dict[str, Part]:
        """The parts, of inputs that belong to the files kept."""

    def check(self, parts: dict[str, Part], notes: list[str]) -> None:
        """Raises InputError for parts that cannot be learned from; what is odd goes to `notes`."""


def read_pictures(pictures: Pictures, limit_bytes: int) -> Source:
    """All of them at once. Raises InputError as `read_images` does."""
    pixels, notes, kept = pictures.survey.read(limit_bytes)
    parts = pictures.parts(pixels, kept)
    pictures.check(parts, notes)
    return Source("images", pictures.where, parts, notes)


@dataclass(frozen=True)
class ImageFolder:
    """A folder of pictures, a folder for each class, looked at but not read yet. `files`: (part, class, file)."""

    root: Path
    places: dict[str, Path]  # of the parts
    classes: dict[str, list[str]]  # of each part
    files: list[tuple[str, str, Path]]
    survey: Survey

    @classmethod
    def open(
        cls,
        folder: str | Path,
        size: int | tuple[int, int] | None = None,
        channels: int | None = None,
        usual: int = SIZE,
    ) -> ImageFolder:
        """Raises InputError if there are no pictures."""
        root = Path(folder)
        places = find_parts(root)
        found = {part: find_classes(place) for part, place in places.items()}
        files = [(part, name, path) for part, there in found.items() for name, paths in there.items() for path in paths]
        if not files:
            raise InputError(f"{root} has no pictures in class folders; put each into a folder named after its class")
        survey = survey_images([path for *_, path in files], size, channels, usual)
        return cls(root, places, {part: [*map(_shown, there)] for part, there in found.items()}, files, survey)

    @property
    def where(self) -> str:
        return str(self.root)

    def parts(self, inputs: Any, kept: Sequence[Path]) -> dict[str, Part]:
        """The parts, of inputs that belong to the files kept."""
        used = set(kept)
        parts: dict[str, Part] = {}
        start = 0
        for part, place in self.places.items():
            rows = [
                (_shown(name), _shown(path.relative_to(self.root)))
                for p, name, path in self.files
                if p == part and path in used
            ]
            if not rows:
                raise InputError(f"{place} has no picture that can be read; fill it or remove it")
            targets, names = zip(*rows, strict=True)
            parts[part] = Part(inputs[start : start + len(rows)], np.array(targets), names)
            start += len(rows)
        return parts

    def check(self, parts: dict[str, Part], notes: list[str]) -> None:
        """Each class needs a picture to learn from. What else is odd about the folders goes to `notes`."""
        _check_classes(self.classes, parts, self.places, notes)
        held_out = self.places.get("test")
        if held_out and held_out.name.lower() != "test" and "validation" not in self.places:
            notes.append(f"the part {held_out.name!r} is held out to test on")
        if beside := _beside(self.root, self.places):
            notes.append(f"left out, because not in a class folder: {_listing(map(_shown, beside))}")


def _check_classes(
    classes: dict[str, list[str]], parts: dict[str, Part], places: dict[str, Path], notes: list[str]
) -> None:
    """Each class needs a picture to learn from; one that is missing in a part held out is only worth a note."""
    filled = {part: set(parts[part].targets.tolist()) for part in parts}
    first = next(iter(parts))  # "train" or "all"
    for name in classes[first]:
        if name not in filled[first]:
            raise InputError(
                f"class folder {places[first] / name} has no picture that can be read; fill it or remove it"
            )
    for part, place in places.items():
        if unknown := sorted(filled[part] - filled[first]):
            raise InputError(
                f"{place} has the class {unknown[0]!r}, but {places[first]} has not: a network cannot recognise what "
                "it was never shown; add pictures of it to train on, or remove the folder"
            )
        if missing := sorted(filled[first] - filled[part]):
            notes.append(f"no picture in {place.name!r} of: {_listing(missing)}")


def _beside(root: Path, places: dict[str, Path]) -> list[Path]:
    """What lies where only part folders or class folders belong."""
    looked_at = {root, *places.values()}
    return [
        path.relative_to(root)
        for folder in sorted(looked_at)
        for path in sorted(folder.iterdir())
        if not _is_side(path.name) and path not in looked_at and not (folder in places.values() and path.is_dir())
    ]


def to_png_base64(image: Tensor) -> str:
    """A uint8 picture (C, H, W), grey or RGB, as base64 text of a PNG file (for a `data:image/png;base64,` address)."""
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.dtype != torch.uint8:
        raise InputError(f"a picture is uint8 (1 or 3, H, W), but got {image.dtype} {tuple(image.shape)}")
    array = image.permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(array[..., 0] if image.shape[0] == 1 else array).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _common_size(
    headers: list[Header], size: int | tuple[int, int] | None, usual: int, notes: list[str]
) -> tuple[int, int]:
    """The (height, width) that all pictures get, `usual` squared where they differ; a note if any has to be resized."""
    own = {(h.height, h.width) for h in headers}
    if size is None:
        height, width = next(iter(own)) if len(own) == 1 and max(max(own)) <= LARGEST else (usual, usual)
    else:
        height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise InputError(f"a picture's size must be at least 1 pixel, but got {size!r}")
    if own != {(height, width)}:
        smallest, largest = (choose(own, key=lambda s: s[0] * s[1]) for choose in (min, max))
        span = f"{smallest[0]}×{smallest[1]}" + (f" to {largest[0]}×{largest[1]}" if len(own) > 1 else "")
        notes.append(
            f"pictures of {span} pixels resized to {height}×{width} (scaled to cover it, cropped around the centre)"
        )
    return height, width


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not _is_side(path.name))
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> NoReturn:
    raise InputError(f"cannot read the folder {error.filename}: {error.strerror}") from error


def _is_side(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SIDE_FILES


def _reasons(left_out: dict[Path, str]) -> str:
    return _listing(f"{_shown(path)} ({reason})" for path, reason in left_out.items())


def _none_left(left_out: dict[Path, str]) -> InputError:
    return InputError(f"no PNG or JPEG picture could be read: {_reasons(left_out) or 'no files were given'}")


def _listing(items: Iterable[str]) -> str:
    """The first five, and how many more."""
    named = list(items)
    return ", ".join(named[:5]) + (f" and {len(named) - 5:,} more" if len(named) > 5 else "")


def _shown(name: str | Path) -> str:
    """A file name as text that can be printed: names on disk may be any bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
