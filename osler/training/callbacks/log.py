"""Every epoch's numbers, appended to a file as they come."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osler.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from osler.training.trainer import Trainer


class Log(Callback):
    """Appends each row of the history as one JSON object to a file; numbers that are not finite become null."""

    def __init__(self, path: Path):
        self.path = path

    def begin(self, trainer: Trainer) -> None:
        self.path.touch()  # training may be interrupted before the first epoch ends

    def state_dict(self) -> dict[str, Any]:
        return {"text": self.path.read_text(encoding="utf-8")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Rows written after the checkpoint come again."""
        self.path.write_text(state["text"], encoding="utf-8")

    def epoch(self, trainer: Trainer) -> None:
        row = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in trainer.history[-1].items()
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
