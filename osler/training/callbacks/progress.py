"""How far training is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from osler.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from rich.console import Console

    from osler.training.trainer import Trainer


LINES = 20  # epochs between are in the history


class Progress(Callback):
    """Prints the numbers of about twenty epochs; on a terminal with a bar below them."""

    everywhere = False

    def __init__(self, console: Console):
        self.console = console
        self.bar: Any = None
        self.told = 0

    def begin(self, trainer: Trainer) -> None:
        self.told = len(trainer.notes)
        if not self.console.is_terminal:
            return
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task("", total=trainer.epochs, epoch=trainer.epoch + 1, epochs=trainer.epochs)
        self.bar.start()

    def epoch(self, trainer: Trainer) -> None:
        self._tell(trainer)
        every = math.ceil(trainer.epochs / LINES)
        if trainer.epoch == 1 or trainer.epoch % every == 0 or self._is_last(trainer):
            self.console.print(line(trainer.history[-1], trainer.epochs), highlight=False)
        if self.bar is not None:
            self.bar.update(self.task, completed=trainer.epoch, epoch=min(trainer.epoch + 1, trainer.epochs))

    def end(self, trainer: Trainer) -> None:
        self._tell(trainer)
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _tell(self, trainer: Trainer) -> None:
        """What went wrong since the last time, and was put right."""
        for note in trainer.notes[self.told :]:
            self.console.print(f"  · {note}", markup=False, highlight=False)
        self.told = len(trainer.notes)

    def _is_last(self, trainer: Trainer) -> bool:
        return trainer.epoch == trainer.epochs or trainer.status != "training" or bool(trainer.stop_reason)


def line(row: dict[str, Any], epochs: int) -> str:
    """`epoch  3/10  loss 0.2100 → 0.2500  accuracy 0.9400 → 0.9200  1.2 s` (training → validation)."""
    width = len(str(epochs))
    parts = [f"epoch {row['epoch']:>{width}}/{epochs}"]
    for name in dict.fromkeys(key.rpartition("/")[0] for key in row if "/" in key):
        train, validation = (f"{row[key]:.4g}" if (key := f"{name}/{part}") in row else "" for part in ("train", "val"))
        parts.append(" ".join(filter(None, [name, train, validation and f"→ {validation}"])))
    parts.append(f"{row['seconds']:.1f} s")
    return "  ".join(parts)
