"""Curves for TensorBoard, as they come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from osler.errors import InputError
from osler.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from osler.training.trainer import Trainer

EVERY = 10  # steps between two learning rates


class TensorBoard(Callback):
    """Writes every number of the history as a scalar for TensorBoard, once over steps and once over epochs.

    `loss/train`, `loss/val`, `accuracy/val`, `seconds` … stand at the step with which an epoch ended, as in most
    tools; `epoch/loss/train`, `epoch/loss/val` … are the same numbers over epochs 1, 2, …, in a section of their own.
    The learning rate `lr` is written every 10 steps (`lr/critic` where several optimizers take turns). Nothing waits
    for the device within an epoch, and a thread writes the files.

    `folder`: where the event files go; show them with `tensorboard --logdir FOLDER`. A run that goes on, or a new one
    in the same folder, replaces the points from its first step on.
    Raises InputError where TensorBoard is not installed.
    """

    everywhere = False

    def __init__(self, folder: str | Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "TensorBoard is not installed: pip install 'osler[tensorboard]' (or pip install tensorboard)"
            ) from None
        self.make_writer: Any = SummaryWriter
        self.folder = Path(folder)
        self.writer: Any = None

    def step(self, trainer: Trainer) -> None:
        first = self.writer is None
        if first:
            # From here on, the points of a run that was here before are void.
            self.writer = self.make_writer(str(self.folder), purge_step=trainer.step)
        if first or trainer.step % EVERY == 0:
            self.rates(trainer)

    def rates(self, trainer: Trainer) -> None:
        """The learning rates that the next step will use."""
        for turn, optimizer in zip(trainer.turns, trainer.optimizers, strict=True):
            lr = optimizer.param_groups[0]["lr"]
            if isinstance(lr, float):  # to read one that is a tensor is to wait for it
                self.writer.add_scalar(f"lr/{turn.name}" if turn.name else "lr", lr, trainer.step)

    def epoch(self, trainer: Trainer) -> None:
        row = trainer.history[-1]
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self.writer.add_scalar(f"epoch/{name}", value, row["epoch"])
                if name != "lr":
                    self.writer.add_scalar(name, value, row["step"])
        self.writer.flush()

    def end(self, trainer: Trainer) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None
