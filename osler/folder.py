"""A run on disk: written beside its place and moved there when complete, so that a half-written run never shows."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osler.errors import InputError

MARK = "run.json"  # the file that makes a folder a run
FINDINGS = "findings.json"  # what the doctor found
SERIES = "series.json"  # the end of a series, from which a forecast goes on
CHECKPOINTS = "checkpoints"  # the folder in it from which training can go on


class NewFolder:
    """A folder that is being written: hidden at `path`, until `show` moves it to its place."""

    def __init__(self, place: Path, work: Path):
        self.place = place
        self.work = work
        self.path = work / "new"
        self.path.mkdir()

    def show(self) -> Path:
        """Lets the folder take its place, unfinished as it is; what was there waits aside until the end."""
        if self.path != self.place:
            _exchange(self.path, self.place, self.work / "old")
            self.path = self.place
        return self.path

    def hide(self) -> None:
        """Takes the folder away again, and puts back what was there."""
        if self.path == self.place:
            os.replace(self.place, self.work / "new")
            self.path = self.work / "new"
            if (self.work / "old").exists():
                os.replace(self.work / "old", self.place)


@contextlib.contextmanager
def new_folder(place: Path) -> Iterator[NewFolder]:
    """A new folder to write into; at the end it takes the place of `place`, of an older run there too.

    When anything fails, nothing new stays and what was there before is untouched; only a folder that has been shown
    and holds checkpoints stays, for the work in it. Raises InputError if the place cannot be written to, holds
    something that is no run, or if the disk is full.
    """
    place = place.absolute()
    made: list[Path] = []
    try:
        made = [folder for folder in place.parents if not folder.exists()]  # the innermost first
        if place.exists() and not (place / MARK).exists() and (not place.is_dir() or any(place.iterdir())):
            raise InputError(
                f"{place} exists and is not a run folder: nothing there is overwritten; choose another with --out"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    except OSError as error:
        _remove_empty(made)
        raise InputError(f"cannot write to {place}: {error.strerror}; choose another folder with --out") from None
    try:
        folder = NewFolder(place, work)
        try:
            yield folder
            folder.show()
        except BaseException:
            if not any((folder.path / CHECKPOINTS).glob("*.json")):
                folder.hide()
            raise
    except Exception as error:
        if is_full(error):
            raise InputError(f"the disk is full: {place} was not written; older runs are untouched") from None
        raise
    finally:
        if place.exists() or not (work / "old").exists():  # never the only copy of an older run
            shutil.rmtree(work, ignore_errors=True)
        _remove_empty(made)


def _exchange(new: Path, place: Path, old: Path) -> None:
    """Moves `new` to `place`, and what was there to `old`; back again if that fails."""
    try:
        if place.exists():
            os.replace(place, old)
        os.replace(new, place)
    except BaseException:
        if old.exists():
            os.replace(old, place)
        raise


def _remove_empty(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def is_full(error: Exception) -> bool:
    # Libraries that write by themselves have errors of their own, which quote the system's.
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return os.strerror(errno.ENOSPC) in str(error)


def free_name(parent: Path, stem: str) -> Path:
    """`parent/stem`, or with the first number that is free."""
    place, number = parent / stem, 2
    while place.exists():
        place, number = parent / f"{stem}-{number}", number + 1
    return place


def write_text(path: Path, text: str) -> None:
    """The whole file or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, record: dict[str, Any]) -> None:
    """JSON that any reader takes: numbers that are not finite become null."""
    write_text(path, json.dumps(finite(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The record in a JSON file of a run. Raises InputError when it is not there or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path.parent} is not a run folder: it has no {path.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} is damaged (it holds no record)")
    return record


def finite(value: Any) -> Any:
    """The same record with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
