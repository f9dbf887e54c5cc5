"""Encoded samples on disk: files of rows of a fixed width, so that any row's place is known."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from osler.data.batches import Dataset
from osler.errors import InputError

PREFIX = "osler-data-"
LOCK = "lock"
FIELDS = ("inputs", "targets", "weights")


@dataclass(frozen=True)
class Rows:
    """One file of rows: their type and the shape of each."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """Bytes a row."""
        return math.prod(self.shape) * self.dtype.itemsize

    def empty(self, count: int, pinned: bool = False) -> Tensor:
        return torch.empty((count, *self.shape), dtype=self.dtype, pin_memory=pinned)

    def read(self, file: int, first: int, out: Tensor) -> None:
        """Fills `out` (contiguous) with the rows from `first` on, by positioned reads of an open file."""
        if not out.numel():
            return
        target = memoryview(out.numpy()).cast("B")  # type: ignore[arg-type]
        done = 0
        while done < len(target):
            got = os.preadv(file, [target[done:]], first * self.width + done)
            if got == 0:
                raise InputError(f"{self.path} is shorter than it was written: something else changed it; train again")
            done += got


@dataclass(frozen=True)
class StreamedDataset:
    """Encoded samples that stay on disk: what `Dataset` is for data that fits into memory.

    A slice of it is read into memory as a `Dataset`. Plain data (paths, sizes): other processes may have it.
    `class_counts`: samples of each class, in the order of the task's classes; empty where there are none. `checksum`:
    of all samples, by which the same data is known again.
    """

    count: int
    inputs: Rows
    targets: Rows | None = None
    weights: Rows | None = None
    class_counts: tuple[int, ...] = ()
    checksum: str = ""
    cache: Cache | None = field(default=None, repr=False)  # kept as long as its files are needed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> Dataset:
        start, stop, step = rows.indices(self.count)
        assert step == 1
        return self.read([(start, stop)])

    @property
    def files(self) -> dict[str, Rows]:
        return {name: rows for name in FIELDS if (rows := getattr(self, name)) is not None}

    @property
    def row_bytes(self) -> int:
        return sum(rows.width for rows in self.files.values())

    def sample(self, count: int, runs: int = 64) -> Dataset:
        """About so many samples, in runs taken from evenly over the whole."""
        if count >= self.count:
            return self[:]
        length = max(count // runs, 1)
        starts = np.linspace(0, self.count - length, min(runs, count)).astype(int).tolist()
        return self.read([(start, start + length) for start in starts])

    def read(self, spans: Sequence[tuple[int, int]]) -> Dataset:
        """The samples from start to stop of every span, in memory."""
        count = sum(stop - start for start, stop in spans)
        parts: dict[str, Tensor] = {}
        for name, rows in self.files.items():
            parts[name] = rows.empty(count)
            with rows.path.open("rb", buffering=0) as file:
                done = 0
                for start, stop in spans:
                    rows.read(file.fileno(), start, parts[name][done : done + stop - start])
                    done += stop - start
        return Dataset(**parts)


def _locked(path: Path) -> int:
    """The file, open and locked until its process ends, however it ends. Raises BlockingIOError if another has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_left_over(parent: Path) -> None:
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError):  # in use
            _remove(lock.parent, _locked(lock))


class Cache:
    """A folder for encoded samples, removed with all it holds when this object goes, or at the end of the process.

    `parent`: where to make it (default: the system's folder for temporary files). Folders there whose process was
    killed are removed, too. A copy of this object, in another process, removes nothing.
    """

    _remove: weakref.finalize[..., Cache] | None = None

    def __init__(self, parent: Path | None = None):
        try:
            parent = Path(tempfile.gettempdir()) if parent is None else parent
            parent.mkdir(parents=True, exist_ok=True)
            _remove_left_over(parent)
            self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            lock = _locked(self.folder / "new")
            os.replace(self.folder / "new", self.folder / LOCK)  # there only once it is locked
        except OSError as error:
            raise InputError(f"cannot make a folder for encoded data in {parent}: {error.strerror}") from error
        self._remove = weakref.finalize(self, _remove, self.folder, lock)

    def __getstate__(self) -> dict[str, Path]:
        return {"folder": self.folder}

    def close(self) -> None:
        if self._remove is not None:
            self._remove()

    def check_space(self, size: int) -> None:
        """Raises InputError if so many bytes will not fit on the disk."""
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise InputError(
                f"the data, encoded, needs {size / 2**30:.2f} GiB on disk, but {self.folder.parent} has "
                f"{free / 2**30:.2f} GiB free: make room there, or use a part of the data"
            )


class RowWriter:
    """Appends encoded samples to the files of one part; a context manager that closes them."""

    def __init__(self, cache: Cache, part: str, classes: int = 0):
        self.cache = cache
        self.part = part
        self.count = 0
        self.counts = np.zeros(classes, dtype=np.int64)
        self.rows: dict[str, Rows] = {}
        self.files: dict[str, FileIO] = {}
        self.sums = {name: hashlib.sha256() for name in FIELDS}

    def add(self, data: Dataset) -> None:
        """Raises InputError when the disk is full."""
        try:
            for name in FIELDS:
                values = getattr(data, name)
                if values is None:
                    continue
                if name not in self.rows:
                    path = self.cache.folder / f"{self.part}.{name}"
                    self.rows[name] = Rows(path, values.dtype, tuple(values.shape[1:]))
                    self.files[name] = path.open("wb", buffering=0)
                assert (values.dtype, values.shape[1:]) == (self.rows[name].dtype, self.rows[name].shape)
                left = memoryview(values.contiguous().numpy().reshape(-1).view(np.uint8))
                self.sums[name].update(left)
                while left:
                    left = left[self.files[name].write(left) :]
        except OSError as error:
            self.close()
            self.cache.close()
            where = self.cache.folder.parent
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(f"cannot write encoded data to {where}: {error.strerror or error}") from error
            raise InputError(
                f"the disk became full while data was encoded to {where}: nothing of it is kept; make room there"
            ) from error
        self.count += len(data)
        if len(self.counts) and data.targets is not None:
            self.counts += np.bincount(data.targets.reshape(-1).long().numpy(), minlength=len(self.counts))

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for file in self.files.values():
            file.close()

    def finish(self) -> StreamedDataset:
        """Closes the files: what they hold, to be read."""
        self.close()
        checksum = hashlib.sha256(b"".join(each.digest() for each in self.sums.values())).hexdigest()
        counts = tuple(self.counts.tolist())
        return StreamedDataset(self.count, class_counts=counts, checksum=checksum, cache=self.cache, **self.rows)
