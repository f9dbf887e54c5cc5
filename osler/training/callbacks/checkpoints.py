"""Checkpoints while training: so that no more than some seconds of work are ever lost."""

from __future__ import annotations

import math
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osler.errors import InputError
from osler.training.callbacks.callback import Callback
from osler.training.checkpoint import CheckpointFolder
from osler.training.history import lower_is_better
from osler.training.nonfinite import finite
from osler.training.sharded import ShardWriter, is_sharded, without_shards

if TYPE_CHECKING:
    from osler.training.trainer import Trainer

SHARE = 0.01  # of the time that copying the state may take


class Checkpoints(Callback):
    """Saves the trainer's whole state every so many seconds (or steps), after the best epochs, and when interrupted.

    `every` seconds, default 30, or `every_steps` steps; rarer where copying the state takes more than a hundredth of
    the time. `keep`: how many of the last; beside them the best by `monitor` is kept. Training does not wait for the
    disk. `folder.latest()` is what `Trainer.load_state_dict` takes. Of several processes the first one writes, by its
    clock; of a network in shards each writes its own (`with_shards` puts them back).
    """

    def __init__(
        self,
        place: Path,
        every: float = 30.0,
        every_steps: int | None = None,
        keep: int = 2,
        monitor: str = "loss/val",
    ):
        if every <= 0 or (every_steps is not None and every_steps < 1):
            raise InputError(f"checkpoints come every so many seconds, or steps: got {every=}, {every_steps=}")
        self.folder = CheckpointFolder(place, keep)
        self.every = every
        self.every_steps = every_steps
        self.monitor = monitor
        self.best = math.inf
        self.saved_at = 0.0
        self.saved_step = -1

    def begin(self, trainer: Trainer) -> None:
        self.folder.tell = trainer.notes.append
        self.saved_at = time.monotonic()
        self.writer = ShardWriter() if is_sharded(trainer.model) else None
        self.news = trainer.processes.news()

    def step(self, trainer: Trainer) -> None:
        if self.every_steps is not None:
            due = trainer.step % self.every_steps == 0 and not trainer.processes.first(self.folder.busy)
        else:
            here = time.monotonic() - self.saved_at >= self.every and not self.folder.busy
            due = self.news(trainer.processes.rank == 0 and here) > 0
        if due and trainer.status == "training":
            self._save(trainer)

    def settled(self, trainer: Trainer) -> None:
        value = trainer.history[-1].get(self.monitor, math.nan)
        value = value if lower_is_better(self.monitor) else -value
        better = value < self.best
        if better:
            self.best = value
        # A run of seconds needs none: it is as quickly begun anew.
        if self.saved_step >= 0 and better:
            self._save(trainer, best=True)

    def end(self, trainer: Trainer) -> None:
        if trainer.status in ("interrupted", "terminated") and not trainer.torn:
            self._save(trainer)
        if self.writer is not None and trainer.status != "failed":
            self.writer.wait()
        self.folder.close()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]

    def _save(self, trainer: Trainer, best: bool = False) -> None:
        if not finite(trainer.model):
            return  # the next look at the loss will tell
        began = time.monotonic()
        state, written = trainer.state_dict(), _at_once
        if self.writer is not None:
            state, shards = without_shards(state)
            state["shards"] = trainer.processes.first(f"step-{trainer.step:08d}-{secrets.token_hex(3)}.shards")
            written = self.writer.save(shards, self.folder.place / state["shards"])
        if trainer.processes.rank == 0:
            self.folder.save(state, best, written)
        self.saved_at = time.monotonic()
        self.news = trainer.processes.news()  # what was due is done
        self.saved_step = trainer.step
        self.every = max(self.every, (self.saved_at - began) / SHARE)


def _at_once() -> None:
    """There are no shards to wait for."""
