"""The training loop, all of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from osler.errors import InputError
from osler.objectives.objective import Objective, Turn
from osler.records import Batch
from osler.training.callbacks.callback import Callback, as_callback
from osler.training.history import History
from osler.training.meter import Meter, evaluate

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
MakeSchedule = Callable[[Optimizer, int], LRScheduler]


class Trainer:
    """Trains any `nn.Module` on any objective; every step can be read in `fit`.

    `optimizer`: a torch Optimizer, one for each turn of the objective, or a function from parameters to one (default:
    AdamW with lr 1e-3). `schedule`: a function (optimizer, steps) → learning-rate scheduler, stepped after every step
    (ReduceLROnPlateau: after every epoch, with the validation loss). `clip_norm`: the largest norm of a step's
    gradient. `callbacks`: objects with some of the methods of `Callback`, or functions called after each epoch.

    After `fit`: `history` (a row an epoch), `status` ("finished", "stopped early", "interrupted" or "diverged").

        >>> trainer = Trainer(model, objective, optimizer=torch.optim.Adam(model.parameters()))
        >>> history = trainer.fit(train_batches, validation_batches, epochs=10)
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        *,
        optimizer: Optimizer | Sequence[Optimizer] | MakeOptimizer | None = None,
        schedule: MakeSchedule | None = None,
        callbacks: Iterable[Callback | Callable[[Trainer], None]] = (),
        clip_norm: float | None = None,
        device: torch.device | str = "cpu",
    ):
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.objective = objective
        self.turns = list(objective.turns())
        self.optimizers = _optimizers(optimizer, self.turns, self.model)
        self.make_schedule = schedule
        self.callbacks = [as_callback(callback) for callback in callbacks]
        self.clip_norm = clip_norm
        self.history = History()
        self.status = "new"
        self.epoch = 0  # epochs begun
        self.step = 0  # optimizer steps done
        self.epochs = 0  # epochs wanted
        self.stop_reason = ""

    def stop(self, reason: str) -> None:
        """Ends training after this epoch; for callbacks."""
        self.stop_reason = reason

    def fit(self, train: Iterable[Any], validation: Iterable[Any] | None = None, epochs: int = 10) -> History:
        """Trains for so many epochs of `train`: batches that can be iterated over again (Batches, DataLoader).

        A batch is a `Batch`, or a tuple (inputs, targets) or (inputs, targets, weights). Ctrl-C ends training after the
        last finished step, with everything kept. Raises InputError when model, objective and batches don't fit.
        """
        _check_batches(train, validation)
        self.epochs = self.epoch + epochs
        steps = epochs * len(train) if isinstance(train, Sized) else 0
        schedules = [self.make_schedule(o, steps) for o in self.optimizers] if self.make_schedule else []
        each_step = [s for s in schedules if not isinstance(s, ReduceLROnPlateau)]
        each_epoch = [s for s in schedules if isinstance(s, ReduceLROnPlateau)]
        after_step = [callback for callback in self.callbacks if type(callback).step is not Callback.step]
        parameters = [[p for group in o.param_groups for p in group["params"]] for o in self.optimizers]

        self.status, self.stop_reason = "training", ""
        for callback in self.callbacks:
            callback.begin(self)
        try:
            while self.epoch < self.epochs and not self.stop_reason:
                self.epoch += 1
                started = time.perf_counter()
                meter = Meter(self.objective, self.device)
                self.model.train()

                for item in train:
                    batch = self.placed(as_batch(item))
                    if self.step == 0:
                        self._check(batch)
                    for turn, optimizer, own in zip(self.turns, self.optimizers, parameters, strict=True):
                        outcome = turn.loss(self.model, batch)
                        optimizer.zero_grad()
                        outcome.loss.backward()  # type: ignore[no-untyped-call]
                        if self.clip_norm:
                            nn.utils.clip_grad_norm_(own, self.clip_norm)
                        optimizer.step()
                        meter.add_loss(turn.name, outcome.loss, len(batch))
                    meter.add(outcome, batch)
                    for schedule in each_step:
                        schedule.step()
                    self.step += 1
                    for callback in after_step:
                        callback.step(self)

                if meter.samples == 0:
                    raise InputError("there is no batch to train on: the training data is empty or was used up")
                row = {f"{name}/train": value for name, value in meter.result().items()}
                if validation is not None:
                    held_out = evaluate(self.model, self.objective, (self.placed(as_batch(b)) for b in validation))
                    row |= {f"{name}/val": value for name, value in held_out.items()}
                    for plateau in each_epoch:
                        plateau.step(row["loss/val"])
                lr = float(self.optimizers[0].param_groups[0]["lr"])
                seconds = time.perf_counter() - started
                self.history.append({"epoch": self.epoch, "step": self.step, **row, "lr": lr, "seconds": seconds})
                for callback in self.callbacks:
                    callback.epoch(self)
                if not all(math.isfinite(value) for name, value in row.items() if name.startswith("loss")):
                    self.status = "diverged"
                    break
        except KeyboardInterrupt:
            self.status = "interrupted"
        if self.status == "training":
            self.status = "stopped early" if self.stop_reason else "finished"
        for callback in self.callbacks:
            callback.end(self)
        return self.history

    def placed(self, batch: Batch) -> Batch:
        """The batch on the trainer's device."""
        if self.device.type == "cpu":
            return batch
        return Batch(*(_to(part, self.device) for part in (batch.inputs, batch.targets, batch.weights)))

    def _check(self, batch: Batch) -> None:
        """Lets the objective look at what the model makes of the first batch, in evaluation mode: nothing changes."""
        self.model.eval()
        self.objective.check(self.model, batch)
        self.model.train()


def as_batch(item: Any) -> Batch:
    """A Batch from what data loaders give: (inputs, targets) or (inputs, targets, weights)."""
    if isinstance(item, Batch):
        return item
    if isinstance(item, Tensor):
        return Batch(item)
    if isinstance(item, tuple | list) and 2 <= len(item) <= 3:
        return Batch(*item)
    raise InputError(f"a batch is (inputs, targets) or (inputs, targets, weights), but got {type(item).__name__}")


def _check_batches(*sources: Any) -> None:
    for source in sources:
        if isinstance(source, tuple) and source and isinstance(source[0], Tensor):
            raise InputError(
                "fit takes batches, not whole tensors: give osler.batches(x, y, batch_size=64) or a DataLoader"
            )


def _optimizers(given: Any, turns: list[Turn], model: nn.Module) -> list[Optimizer]:
    """One optimizer for each turn."""
    if given is None:
        given = lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)  # noqa: E731
    if isinstance(given, Optimizer):
        given = [given]
    optimizers = list(given) if isinstance(given, Sequence) else [given(turn.parameters(model)) for turn in turns]
    if len(optimizers) != len(turns):
        raise InputError(
            f"this objective takes {len(turns)} turns a step, so {len(turns)} optimizers, not {len(optimizers)}"
        )
    return optimizers


def _to(part: Any, device: torch.device) -> Any:
    if isinstance(part, Tensor):
        return part.to(device, non_blocking=True)
    if isinstance(part, dict):
        return {key: _to(value, device) for key, value in part.items()}
    return type(part)(_to(value, device) for value in part) if isinstance(part, tuple | list) else part
