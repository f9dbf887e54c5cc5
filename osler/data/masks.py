"""Pictures with masks: a folder of pictures and one of masks, in which each pixel's value says its class."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from osler.data.augment.augmentation import VOID
from osler.data.images import LIMIT_BYTES, find_images, find_parts, survey_images
from osler.data.parts import Part, Source
from osler.data.picture import quiet
from osler.errors import InputError
from osler.records import Task

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

VOID_NAMES = {"void", "unlabelled", "unlabeled", "ignore", "ignored"}
PICTURES = {"images", "image", "imgs", "pictures", "photos", "jpegimages"}
MASKS = {"masks", "mask", "labels", "label", "annotations", "segmentation", "segmentationclass", "gt", "ground_truth"}
NAMES = ("codes.txt", "classes.txt", "labels.txt")  # a class in each line, in the order of the values from 0 on
SIZE = 128  # of pictures whose own sizes differ or are too large
PALETTE = np.random.default_rng(5).integers(40, 240, (256, 3), dtype=np.uint8)  # any colours, always the same
PALETTE[0], PALETTE[VOID] = 0, 255


def find_masks(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The folders of pictures and of masks of each part ("all", or "train" …); empty where there are none."""
    pairs = {part: _pair(place) for part, place in find_parts(folder).items()}
    return {part: pair for part, pair in pairs.items() if pair} if all(pairs.values()) else {}


def _pair(folder: Path) -> tuple[Path, Path] | None:
    found = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    pictures = [path for name, path in found.items() if name in PICTURES]
    masks = [path for name, path in found.items() if name in MASKS]
    return (pictures[0], masks[0]) if len(pictures) == len(masks) == 1 else None


def read_mask_folder(
    folder: str | Path,
    size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    *,
    limit_bytes: int = LIMIT_BYTES,
) -> Source:
    """Reads folder/images and folder/masks (or labels …), or such pairs within folder/train, /test, /val.

    A mask has its picture's name, or one that begins with it (street_7.jpg, street_7_mask.png), and the picture's size;
    it is grey or has a palette, and each pixel's value is a class: the names stand in codes.txt (or classes.txt) beside
    the folders, one a line, for the values from 0 on. Without such a file a class is called by its value, and masks of
    0 and 255 alone have the classes "background" and "object". Pixels of value 255, and of a class that is called Void,
    count nowhere.
    Pictures as in `read_images`; their masks are brought to the same shape by the nearest pixel. Raises InputError for
    a picture without its mask, for masks of other sizes and in colour, and for values without a name.
    """
    root = Path(folder)
    names = _names(root)
    notes: list[str] = []
    raw: dict[str, Part] = {}
    pairs = find_masks(root)
    files = {part: find_images(pictures) for part, (pictures, _) in pairs.items()}
    survey = survey_images([path for paths in files.values() for path in paths], size, channels, SIZE)
    pixels, told, kept = survey.read(limit_bytes // 2)
    notes += told
    start = 0
    for part, (pictures, masks) in pairs.items():
        paths = [path for path in kept if path.is_relative_to(pictures)]
        if not paths:
            raise InputError(f"{pictures} has no picture that can be read; fill it or remove the folder")
        partners = _partners(paths, find_images(masks), masks, notes)
        values = read_masks(paths, partners, survey.shape[1:])
        rows = tuple(str(path.relative_to(root)) for path in paths)
        raw[part] = Part(pixels[start : start + len(paths)], values, rows)
        start += len(paths)
    task = _task(next(iter(raw.values())).targets, names, notes)
    known = {*(range(len(names)) if names else task.values), VOID}
    for given in raw.values():
        for mask, row in zip(given.targets, given.rows, strict=True):
            if odd := set(mask.unique().tolist()) - known:
                has = f"the classes of {root} have the values {', '.join(map(str, sorted(known - {VOID})))}"
                raise InputError(f"the mask of {row} holds the value {min(odd)}, but {has}")
    return Source("images", str(root), raw, notes, task)


def _names(root: Path) -> list[str]:
    """The classes by name, if a file says them."""
    for name in NAMES:
        path = root / name
        if path.is_file():
            try:
                lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
            except UnicodeDecodeError as error:
                raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
            if not 2 <= len(lines) <= VOID:
                raise InputError(f"{path}: has {len(lines)} names of classes, one a line; masks have 2 to {VOID}")
            if twice := sorted({line for line in lines if lines.count(line) > 1}):
                raise InputError(f"{path}: the class {twice[0]!r} stands there twice")
            return lines
    return []


def _partners(pictures: list[Path], masks: list[Path], folder: Path, notes: list[str]) -> list[Path]:
    """The mask of each picture: of the same name, else the only one that continues it with _, - or the like."""
    by_stem = {path.stem: path for path in masks}
    continued: dict[str, list[str]] = {}
    for stem in by_stem:
        for i, sign in enumerate(stem):
            if not sign.isalnum():
                continued.setdefault(stem[:i], []).append(stem)
    partners = []
    for picture in pictures:
        found = [picture.stem] if picture.stem in by_stem else continued.get(picture.stem, [])
        if len(found) != 1:
            what = "no mask" if not found else f"{len(found)} masks ({', '.join(found[:3])} …)"
            raise InputError(f"{picture}: {what} in {folder}; each picture has one, of the same name")
        partners.append(by_stem[found[0]])
    if spare := len(masks) - len(set(partners)):
        notes.append(f"{spare} of {len(masks)} masks belong to no picture, and are left out")
    return partners


def read_masks(pictures: list[Path], masks: list[Path], shape: tuple[int, ...]) -> Tensor:
    """The masks (N, H, W) uint8, scaled and cropped as the pictures are."""
    values = np.empty((len(masks), *shape), np.uint8)

    def fill(index: int) -> str | None:
        return _decode(pictures[index], masks[index], values[index])

    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for trouble in pool.map(fill, range(len(masks))):
            if trouble:
                raise InputError(trouble)
    return torch.from_numpy(values)


def _decode(picture: Path, mask: Path, out: NDArray[np.uint8]) -> str | None:
    try:
        with Image.open(picture) as beside:
            size = ImageOps.exif_transpose(beside).size if beside.getexif() else beside.size
        with Image.open(mask) as opened:
            if opened.format == "JPEG":
                return f"{mask}: JPEG changes values, which are classes here: save masks as PNG"
            if opened.mode not in ("L", "P", "1", "I;16", "I"):
                return f"{mask}: a mask is grey or has a palette, its values being classes, but this is {opened.mode}"
            if opened.size != size:
                return f"{mask}: {opened.width}×{opened.height} pixels, but its picture has {size[0]}×{size[1]}"
            values = np.asarray(opened)
            if values.dtype != np.uint8:
                if values.max() > VOID:
                    return f"{mask}: holds the value {values.max()}; classes are 0 to {VOID - 1}, and {VOID} is void"
                values = values.astype(np.uint8)
            image = Image.fromarray(values)
            if image.size != (out.shape[1], out.shape[0]):
                image = ImageOps.fit(image, (out.shape[1], out.shape[0]), Image.Resampling.NEAREST)
            out[:] = np.asarray(image)
    except Exception as error:  # Pillow raises errors of many types on a stranger's bytes
        return f"{mask}: broken ({getattr(error, 'strerror', None) or error})"
    return None


def _task(masks: Tensor, names: list[str], notes: list[str]) -> Task:
    """What there is to learn: classes by their names, or by the values in the part to learn from."""
    counts = torch.bincount(masks.flatten(), minlength=256).numpy()
    used = np.flatnonzero(counts)
    if names:
        values = tuple(i for i, name in enumerate(names) if name.lower() not in VOID_NAMES)
        why = f"masks with {len(values)} classes by name"
    elif used.tolist() == [0, VOID]:
        values, names = (0, VOID), ["background", *["object"] * VOID]
        why = "masks of 0 and 255"
    else:
        values, names = tuple(int(value) for value in used if value != VOID), list(map(str, range(256)))
        why = f"masks with {len(values)} different values"
    if len(values) < 2:
        raise InputError(f"the masks hold {', '.join(map(str, used))} alone: at least two classes are needed")
    classes = tuple(names[value] for value in values)
    if unknown := 1 - counts[list(values)].sum() / counts.sum():
        notes.append(f"{unknown:.1%} of the pixels are void: they count nowhere")
    if absent := [name for name, value in zip(classes, values, strict=True) if not counts[value]]:
        notes.append(f"no pixel to learn from is of the class {', '.join(absent)}: it cannot be learned")
    return Task("segmentation", len(values), ("mask",), classes, why, values)


def class_pixels(masks: Any, task: Task) -> NDArray[np.uint8]:
    """Class indices (N, H, W) of masks as they were read; all that is no class is void."""
    table = np.full(256, VOID, np.uint8)
    table[list(task.values)] = range(len(task.values))
    indices: NDArray[np.uint8] = table[np.asarray(masks)]
    return indices


def coloured(mask: NDArray[Any]) -> Tensor:
    """A mask (H, W) as a picture (3, H, W), each value in a colour of its own."""
    return torch.from_numpy(PALETTE[np.asarray(mask).astype(np.uint8)]).permute(2, 0, 1)


def write_masks(predicted: pd.DataFrame, folder: Path | None) -> pd.DataFrame:
    """Predicted masks as PNG files with a palette, called as their pictures; the table names them instead.

    Without a folder nothing is written, and the table has the classes' shares alone.
    """
    table = predicted.drop(columns="prediction")
    if folder is None:
        return table
    folder.mkdir(parents=True, exist_ok=True)
    stems = [Path(name).stem for name in table["file"]] if "file" in table else [f"{i}" for i in range(len(table))]
    names = [stem if stems.count(stem) == 1 else f"{stem}_{i}" for i, stem in enumerate(stems)]
    for name, mask in zip(names, predicted["prediction"], strict=True):
        image = Image.fromarray(mask)
        image.putpalette(PALETTE.tobytes())
        image.save(folder / f"{name}.png")
    table.insert(int("file" in table), "mask", [f"{name}.png" for name in names])
    return table
