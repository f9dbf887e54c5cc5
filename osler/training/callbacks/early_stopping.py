"""Early stopping: training ends when the validation loss no longer falls, and the best weights come back."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from osler.errors import InputError
from osler.training.callbacks.callback import Callback
from osler.training.history import lower_is_better

if TYPE_CHECKING:
    from osler.training.trainer import Trainer


class EarlyStopping(Callback):
    """Stops after `patience` epochs without a better `monitor`, and restores the best weights.

    `patience` 0 never stops early; the best weights are restored all the same. `lower`: whether lower is better;
    needed only for metrics that Osler doesn't know. After training `best_epoch` says whose the weights are (None when
    no epoch gave a finite value: a run that diverged then keeps the weights it began with). When training goes on,
    patience begins anew and the best stays the best.
    Source: Prechelt, "Early stopping, but when?", 1998.
    """

    def __init__(self, patience: int = 10, monitor: str = "loss/val", lower: bool | None = None):
        if patience < 0:
            raise InputError(f"patience must be 0 (never stop) or more epochs, but got {patience}")
        self.patience = patience
        self.monitor = monitor
        self.sign = 1 if (lower_is_better(monitor) if lower is None else lower) else -1
        self.best = math.inf
        self.best_epoch: int | None = None
        self.weights: dict[str, Any] = {}
        self.first: dict[str, Any] = {}
        self.waiting_since = 0

    def begin(self, trainer: Trainer) -> None:
        self.waiting_since = trainer.epoch
        self.first = copy.deepcopy(trainer.model.state_dict())

    def epoch(self, trainer: Trainer) -> None:
        row = trainer.history[-1]
        if self.monitor not in row:
            raise InputError(
                f"nothing to watch: {self.monitor!r} is not among {', '.join(row)} (is there validation data?)"
            )
        value = self.sign * row[self.monitor]
        if value < self.best and math.isfinite(value):
            self.best, self.best_epoch, self.waiting_since = value, trainer.epoch, trainer.epoch
            self.weights = copy.deepcopy(trainer.model.state_dict())
        elif 0 < self.patience <= trainer.epoch - self.waiting_since:
            trainer.stop(f"no better {self.monitor} for {self.patience} epochs")

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", "best_epoch", "weights", "first", "waiting_since")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    def end(self, trainer: Trainer) -> None:
        # A network that diverged at once is better off as it was.
        weights = self.weights or (self.first if trainer.status == "diverged" else {})
        if weights:
            trainer.model.load_state_dict(weights)
