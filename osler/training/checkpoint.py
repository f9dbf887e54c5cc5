"""Checkpoints on disk: each whole or not there, told apart from damaged ones, written beside the training."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import queue
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from osler.errors import InputError

NAME = re.compile(r"step-(\d+)\.pt")
LEFT = re.compile(r"step-\d+\.(pt|json)|\.step-\d+\.(pt|json)\.part")


class CheckpointFolder:
    """Checkpoints in a folder: `step-00001200.pt`, and beside each a `.json` with its checksum, written last.

    `save` copies the state and returns; a thread writes it: temporary file, fsync, rename, so that a checkpoint is
    complete or not there. Kept are the last `keep` and the best. What cannot be written (a full disk) is told to
    `tell`; older checkpoints stay. A state in shards, which several processes write, names their folder in "shards".

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place, CheckpointFolder(Path(place)) as folder:
        ...     folder.save({"step": 7, "weights": torch.ones(2)})
        ...     folder.wait()
        ...     folder.latest()["weights"]
        tensor([1., 1.])
    """

    def __init__(self, place: Path, keep: int = 2, tell: Callable[[str], None] = lambda problem: None):
        if keep < 1:
            raise InputError(f"keep must be at least 1 checkpoint, but got {keep}")
        self.place = place
        self.keep = keep
        self.tell = tell
        self.tasks: queue.Queue[tuple[dict[str, Any], bool, Callable[[], None]] | None] = queue.Queue(maxsize=1)
        self.writer: threading.Thread | None = None

    def __enter__(self) -> CheckpointFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def save(
        self, state: dict[str, Any], best: bool = False, shards_written: Callable[[], None] = lambda: None
    ) -> None:
        """Writes the state, which has a number "step", in the background. `best`: keep it until a better one comes.

        `shards_written` waits until its shards are in their folder.
        """
        if self.writer is None:
            self.writer = threading.Thread(target=self._work, name="checkpoints", daemon=True)
            self.writer.start()
        task = copied(state), best, shards_written
        if self.tasks.full():  # the disk is slow: a newer state takes the place of the one that waits
            with contextlib.suppress(queue.Empty):
                self.tasks.get_nowait()
                self.tasks.task_done()
        self.tasks.put(task)

    @property
    def busy(self) -> bool:
        """Whether one more has to wait for the disk."""
        return self.tasks.unfinished_tasks > 0

    def wait(self) -> None:
        """Until all that was saved is on disk."""
        self.tasks.join()

    def close(self) -> None:
        """Writes what waits, and ends the thread."""
        if self.writer is not None:
            self.tasks.put(None)
            self.writer.join()
            self.writer = None

    def _work(self) -> None:
        while (task := self.tasks.get()) is not None:
            try:
                self._write(*task)
            except Exception as error:  # a full disk, a state that cannot be pickled: training goes on
                why = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
                self.tell(f"checkpoint of step {task[0]['step']} not written ({why}); older ones are kept")
            finally:
                self.tasks.task_done()
        self.tasks.task_done()

    def _write(self, state: dict[str, Any], best: bool, shards_written: Callable[[], None]) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        shards_written()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getbuffer()
        path = self.place / f"step-{state['step']:08d}.pt"
        about = {"step": state["step"], "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "best": best}
        if "shards" in state:
            about |= {"shards": state["shards"], "sizes": _sizes(self.place / state["shards"])}
        write_durably(path, data)
        write_durably(path.with_suffix(".json"), json.dumps(about).encode())
        self._prune(path)

    def _prune(self, newest: Path) -> None:
        """Deletes all but the last few and the best, and what a killed process left."""
        paths = self.paths()
        complete = {path.with_suffix("") for path in paths}
        for path in self.place.iterdir():
            if LEFT.fullmatch(path.name) and path.with_suffix("") not in complete:
                path.unlink(missing_ok=True)
        best = [path for path in paths if _about(path).get("best")]
        kept = {*paths[: self.keep], *best[:1], newest}
        for path in set(paths) - kept:
            path.with_suffix(".json").unlink(missing_ok=True)  # first: without it there is no checkpoint
            path.unlink(missing_ok=True)
        in_use = {_about(path).get("shards") for path in kept}
        for shards in self.place.glob("step-*.shards"):
            # Those of this step or later may just be written.
            if shards.name not in in_use and shards.name < newest.stem:
                shutil.rmtree(shards, ignore_errors=True)

    def paths(self) -> list[Path]:
        """The complete checkpoints, the last one first."""
        found = [path for path in self.place.glob("step-*.pt") if NAME.fullmatch(path.name)]
        complete = (path for path in found if path.with_suffix(".json").exists())
        return sorted(complete, key=lambda path: int(path.stem.removeprefix("step-")), reverse=True)

    def latest(self, map_location: torch.device | str = "cpu") -> dict[str, Any] | None:
        """The state of the last whole checkpoint, damaged ones told and passed over; None where there is none."""
        for path in self.paths():
            try:
                return load_checkpoint(path, map_location)
            except InputError as problem:
                self.tell(f"{problem}: the one before is used")
        return None


def load_checkpoint(path: Path, map_location: torch.device | str = "cpu") -> dict[str, Any]:
    """The state in a checkpoint. Raises InputError when it is torn, damaged, or not one of ours; runs no code in it."""
    try:
        data = path.read_bytes()
        about = _about(path)
        if hashlib.sha256(data).hexdigest() != about.get("sha256"):
            raise InputError(f"checkpoint {path} is damaged (its checksum differs)")
        if "shards" in about and _sizes(path.with_name(about["shards"])) != about["sizes"]:
            raise InputError(f"checkpoint {path} is damaged (its shards have other sizes)")
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=map_location, weights_only=True)
    except InputError:
        raise
    except Exception as error:  # unpickling damaged bytes may raise anything
        raise InputError(f"checkpoint {path} cannot be read ({' '.join(str(error).split())[:200]})") from None
    return state


def _sizes(folder: Path) -> dict[str, int]:
    """The bytes of each file in a folder of shards."""
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir())}


def _about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """The whole file or nothing, on the disk itself when this returns."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)


def copied(value: Any) -> Any:
    """The same containers with copies of all tensors in the processor's memory, so that training may go on."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [copied(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value
