"""The doctor at work in a run: examines the program before training, watches its steps, and judges it at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from osler.data.batches import Batches, Dataset
from osler.data.pairencoder import PairEncoder
from osler.data.prepare import Prepared
from osler.doctor.diagnosis import Diagnosis
from osler.doctor.doctor import Doctor
from osler.folder import FINDINGS, write_json
from osler.nn.penalties import Penalty
from osler.objectives.supervised import Supervised
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.freezing import Freezing

if TYPE_CHECKING:
    from osler.training.trainer import Trainer

NUMBERS = 20_000_000  # values of a part that the doctor looks at; of a larger one so many from all over it
FEWEST = 512  # samples, however large they are


class Checkup(Callback):
    """Watches a trainer; `finish` says what was found. Weights and random numbers are the same with it and without."""

    everywhere = False

    def __init__(self, trainer: Trainer, objective: Supervised, data: Prepared):
        with frozen(trainer):
            self.doctor = Doctor(trainer.model, trainer.optimizers, loss_of(objective, trainer.model), told=True)
            self.doctor.examine(some(data, "train"), some(data, "validation"))

    def step(self, trainer: Trainer) -> None:
        self.doctor.observe(trainer.loss)

    def epoch(self, trainer: Trainer) -> None:
        row = {key.removesuffix("/val"): value for key, value in trainer.history[-1].items() if key.endswith("/val")}
        self.doctor.validate(**row)

    def state_dict(self) -> dict[str, Any]:
        return self.doctor.trace.history.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state:  # empty where training began without a doctor
            self.doctor.trace.history.load_state_dict(state)

    def finish(self, folder: Path) -> Diagnosis:
        """The diagnosis, also written into the run folder."""
        self.doctor.close()
        diagnosis = self.doctor.diagnose()
        write_json(folder / FINDINGS, diagnosis.record())
        return diagnosis


@contextlib.contextmanager
def frozen(trainer: Trainer) -> Iterator[None]:
    """Within it, what will be frozen in the first epoch is frozen: the doctor looks at the program that will run."""
    freezing = [callback for callback in trainer.callbacks if isinstance(callback, Freezing)]
    try:
        for callback in freezing:
            callback.begin(trainer)
        yield
    finally:
        for callback in reversed(freezing):
            callback.end(trainer)


def loss_of(objective: Supervised, network: nn.Module) -> Callable[[Any, Tensor], Tensor]:
    """The loss that is followed downhill, as a function of predictions and targets.

    A penalty on activities is left out, which only a pass that it has watched can give.
    """
    penalty: Any = objective.penalty
    on_weights = isinstance(penalty, Penalty) and type(penalty).watch is Penalty.watch

    def loss(outputs: Any, targets: Tensor) -> Tensor:
        value = objective.loss(outputs, targets)
        return value + penalty(network) if on_weights else value

    return loss


def some(data: Prepared, name: str) -> tuple[Any, Tensor | None]:
    """Samples of a part as the network sees them, and their targets: all, or from all over it."""
    part: Dataset = data.sample(name, FEWEST)
    each = max(1, part.inputs[0].numel())
    most = max(FEWEST, NUMBERS // each)
    if len(part) > most:
        part = part[torch.randperm(len(part), generator=torch.Generator().manual_seed(0))[:most]]
    if isinstance(pairs := data.preprocess.inputs, PairEncoder):
        return pairs.parted(part.inputs), part.targets
    if data.preprocess.vocabulary is not None:
        return part.inputs.long(), part.targets  # of one length in all parts, so that their rows can be compared
    [batch] = Batches(part, len(part), transform=data.preprocess.transform())
    return batch.inputs, batch.targets
