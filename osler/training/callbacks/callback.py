"""What can be told of training while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from osler.errors import InputError

if TYPE_CHECKING:
    from osler.training.trainer import Trainer


class Callback:
    """Called at the moments below; each gets the trainer, whose state is public. Write only the ones needed."""

    everywhere = True  # False for those that tell or write: of several processes, only the first has them

    def begin(self, trainer: Trainer) -> None:
        """Before the first step."""

    def step(self, trainer: Trainer) -> None:
        """After each optimizer step."""

    def judging(self, trainer: Trainer) -> AbstractContextManager[None]:
        """Around each epoch's validation and the `epoch` of all callbacks: puts into the model what is to be judged."""
        return nullcontext()

    def epoch(self, trainer: Trainer) -> None:
        """After each epoch and its validation; `trainer.history[-1]` is its row."""

    def settled(self, trainer: Trainer) -> None:
        """After `epoch` of all callbacks, with the weights that learn in the model again: the time for a checkpoint."""

    def end(self, trainer: Trainer) -> None:
        """After the last epoch, also when training was interrupted or failed: `trainer.status` says which."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold of this callback: tensors, numbers, texts, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from that state; called after `begin` when training is resumed."""


class _AfterEpoch(Callback):
    def __init__(self, function: Callable[[Trainer], None]):
        self.function = function

    def epoch(self, trainer: Trainer) -> None:
        self.function(trainer)


def as_callback(callback: Callback | Callable[[Trainer], None]) -> Callback:
    """Any function of the trainer is a callback after each epoch."""
    if isinstance(callback, Callback):
        return callback
    if isinstance(callback, type) or not callable(callback):
        kind = f"the class {callback.__name__}" if isinstance(callback, type) else type(callback).__name__
        raise InputError(f"a callback is a Callback object or a function of the trainer, but got {kind}")
    return _AfterEpoch(callback)
