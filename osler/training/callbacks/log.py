"""Every epoch's numbers, appended to a file as they come."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osler.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from osler.training.trainer import Trainer


class Log(Callback):
    """Appends each row of the history as one JSON object to a file; numbers that are not finite become null."""

    everywhere = False

    def __init__(self, path: Path):
        self.path = path
        self.unwritten = ""  # while the disk is full

    def begin(self, trainer: Trainer) -> None:
        self.path.touch()  # training may be interrupted before the first epoch ends

    def state_dict(self) -> dict[str, Any]:
        return {"text": self.path.read_text(encoding="utf-8") + self.unwritten}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rows written after the checkpoint come again."""
        self.path.write_text(state["text"], encoding="utf-8")

    def epoch(self, trainer: Trainer) -> None:
        row = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in trainer.history[-1].items()
        }
        told = bool(self.unwritten)
        self.unwritten += json.dumps(row) + "\n"
        end = self.path.stat().st_size
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(self.unwritten)
            self.unwritten = ""
        except OSError as error:  # training goes on; the next epoch tries again
            os.truncate(self.path, end)
            if not told:
                trainer.notes.append(f"{self.path.name} of epoch {trainer.epoch} not written ({error.strerror})")
