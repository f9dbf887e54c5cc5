"""Early stopping: training ends when the validation loss no longer falls, and the best weights come back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from osler.errors import InputError
from osler.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from osler.training.trainer import Trainer


class EarlyStopping(Callback):
    """Stops after `patience` epochs without a better `monitor` (lower is better) and restores the best weights.

    `patience` 0 never stops early; the best weights are restored all the same. After training `best_epoch` says which
    they are (None when no epoch gave a finite value). Prechelt, "Early stopping, but when?", 1998.
    """

    def __init__(self, patience: int = 10, monitor: str = "loss/val"):
        if patience < 0:
            raise InputError(f"patience must be 0 (never stop) or more epochs, but got {patience}")
        self.patience = patience
        self.monitor = monitor
        self.best = math.inf
        self.best_epoch: int | None = None
        self.weights: dict[str, Tensor] = {}

    def epoch(self, trainer: Trainer) -> None:
        row = trainer.history[-1]
        if self.monitor not in row:
            raise InputError(
                f"nothing to watch: {self.monitor!r} is not among {', '.join(row)} (is there validation data?)"
            )
        if row[self.monitor] < self.best:
            self.best, self.best_epoch = row[self.monitor], trainer.epoch
            with torch.no_grad():
                self.weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        elif self.best_epoch is not None and 0 < self.patience <= trainer.epoch - self.best_epoch:
            trainer.stop(f"no better {self.monitor} for {self.patience} epochs")

    def end(self, trainer: Trainer) -> None:
        if self.weights:
            trainer.model.load_state_dict(self.weights)
