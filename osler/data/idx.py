"""idx files, the format of MNIST: a big-endian header (element type, sizes), then the elements; often gzipped."""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path
from typing import IO, Literal

import numpy as np
import torch

from osler.data.parts import Part
from osler.errors import InputError

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
IMAGES, LABELS = 0x0803, 0x0801  # 2051 and 2049: unsigned bytes on three axes, on one axis
LIMIT_BYTES = 4 * 2**30
_NAME = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx\d-ubyte(?:\.gz)?", re.IGNORECASE)
_CHUNK = 2**20
_MOST_AXES = 32  # of a NumPy array
_MOST_INFLATION = 1032  # deflate cannot expand its data more than this


def read_idx(path: str | Path, *, limit_bytes: int = LIMIT_BYTES) -> np.ndarray:
    """Reads one idx file, gzipped or not (told by its content), into an array of native byte order.

    The header of a stranger's file may claim any size: it is compared with the data there is, and with `limit_bytes`,
    before memory is taken. Raises InputError, naming the file, for anything that is not a whole idx file.

        >>> read_idx("t10k-labels-idx1-ubyte.gz")[:3]  # doctest: +SKIP
        array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            size = path.stat().st_size
            gzipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not gzipped:
                return _read(raw, path, size, limit_bytes)
            with gzip.open(raw) as unpacked:
                return _read(unpacked, path, size * _MOST_INFLATION, limit_bytes)
    except EOFError as error:
        raise InputError(f"{path} is cut off: its gzip data ends early; get the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} has corrupt gzip data ({error}); get the file again") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _read(file: IO[bytes] | gzip.GzipFile, path: Path, most_bytes: int, limit_bytes: int) -> np.ndarray:
    """`most_bytes`: what the file can hold at the very most, known without unpacking it."""
    head = file.read(4)
    if not head:
        raise InputError(f"{path} is empty")
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES or not 1 <= head[3] <= _MOST_AXES:
        raise InputError(
            f"{path} is not an idx file: it starts with the magic number {int.from_bytes(head)} (0x{head.hex()}), but "
            f"an idx file starts with two zero bytes, the element type (one of {', '.join(map(str, TYPES))}) and the "
            f"number of axes ({IMAGES} for grey images, {LABELS} for labels)"
        )
    dtype, axes = np.dtype(TYPES[head[2]]), head[3]
    header = file.read(4 * axes)
    if len(header) < 4 * axes:
        raise InputError(f"{path} is cut off: its header needs {4 + 4 * axes} bytes, but has {4 + len(header)}")
    shape = struct.unpack(f">{axes}I", header)
    if 0 in shape:
        raise InputError(f"{path} holds no elements: its sizes are {'×'.join(map(str, shape))}")
    expected = math.prod(shape) * dtype.itemsize
    claim = f"{path}: its header says {'×'.join(map(str, shape))} elements, {expected:,} bytes"
    if expected > most_bytes:
        raise InputError(f"{claim}, but it holds at most {most_bytes:,}: it is cut off, or its header is wrong")
    if expected > limit_bytes:
        raise InputError(f"{claim}, but at most {limit_bytes:,} are held in memory")
    data = bytearray()
    while chunk := file.read(min(_CHUNK, expected + 1 - len(data))):  # one more than expected: is there too much?
        data += chunk
    if len(data) != expected:
        got = f"only {len(data):,} follow" if len(data) < expected else "more follow"
        raise InputError(f"{claim}, but {got}: {'it is cut off' if len(data) < expected else 'it is too long'}")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def find_idx(folder: str | Path) -> dict[str, Path]:
    """The idx files in a folder that bear MNIST's names, by "train-images", "train-labels" and the same for "test".

    Unzipped files come before gzipped ones of the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(Path(folder).iterdir()):
        if (match := _NAME.fullmatch(path.name)) and path.is_file():
            part, what = match.group(1).lower(), match.group(2).lower()
            found.setdefault(f"{'train' if part == 'train' else 'test'}-{what}", path)
    return found


def read_idx_folder(folder: str | Path, notes: list[str], *, limit_bytes: int = LIMIT_BYTES) -> dict[str, Part]:
    """Reads a folder with MNIST's file names: "train" and "test", or "all" (with a note) where only one half is there.

    Inputs are uint8 (N, 1, H, W), or (N, C, H, W) from files with four axes; targets int64 (N,).

        >>> read_idx_folder("mnist", notes=[])["train"].inputs.shape  # doctest: +SKIP
        torch.Size([60000, 1, 28, 28])
    """
    found = find_idx(folder)
    if not found:
        raise InputError(f"{folder} has no idx files with MNIST's names (train-images-idx3-ubyte.gz and so on)")
    notes.append(f"{Path(folder).name}: idx files of images and labels")
    parts: dict[str, Part] = {}
    for name in ("train", "test"):
        images, labels = found.get(f"{name}-images"), found.get(f"{name}-labels")
        if images and labels:
            parts[name] = _read_part(images, labels, limit_bytes)
        elif one := images or labels:
            raise InputError(
                f"{one} is there without its {'labels' if images else 'images'}; put both files in {folder}"
            )
    sizes = {name: tuple(part.inputs.shape[1:]) for name, part in parts.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(
            f"{folder}: images must be of one size, but got {sizes['train']} to train, {sizes['test']} to test"
        )
    if len(parts) == 1:
        (name,) = parts
        notes.append(f"only the {name} files are there: they are all the data")
        parts = {"all": parts[name]}
    return parts


def _read_part(images_path: Path, labels_path: Path, limit_bytes: int) -> Part:
    images = _expect("images", images_path, limit_bytes)
    labels = _expect("labels", labels_path, limit_bytes)
    if len(images) != len(labels):
        raise InputError(
            f"{images_path} has {len(images):,} images, but {labels_path.name} has {len(labels):,} labels; "
            "each image needs one label: the files do not belong together"
        )
    if images.ndim == 3:
        images = images[:, None]  # (N, H, W) -> (N, 1, H, W)
    return Part(torch.from_numpy(images), labels.astype(np.int64))


def _expect(what: Literal["images", "labels"], path: Path, limit_bytes: int) -> np.ndarray:
    array = read_idx(path, limit_bytes=limit_bytes)
    fits = array.ndim in (3, 4) and array.dtype == np.uint8 if what == "images" else array.ndim == 1
    if fits and (what == "images" or array.dtype.kind in "iu"):
        return array
    rule = (
        f"images are unsigned bytes on 3 axes (magic number {IMAGES}) or 4"
        if what == "images"
        else f"labels are whole numbers on 1 axis (magic number {LABELS})"
    )
    holds = "labels" if array.ndim == 1 else "images" if array.ndim in (3, 4) else "something else"
    raise InputError(f"{path} should hold {what}, but holds {holds} ({array.dtype} on {array.ndim} axes); {rule}")
