"""The training loop, all of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import Dataset

from osler.errors import InputError
from osler.objectives.objective import Objective, Turn
from osler.objectives.supervised import Supervised
from osler.records import Batch
from osler.training.callbacks.callback import Callback, as_callback
from osler.training.history import History
from osler.training.looking import looking
from osler.training.meter import Meter, evaluate

MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
MakeSchedule = Callable[[Optimizer, int], LRScheduler]


class Trainer:
    """Trains any `nn.Module` on any objective; every step can be read in `fit`.

    `objective`: what is learned (`Classification`, `Regression` …), or a loss module alone, like `nn.MSELoss()`.
    `optimizer`: a torch Optimizer, one for each turn of the objective, or a function from parameters to one (default:
    AdamW with lr 1e-3). `schedule`: a function (optimizer, steps) → learning-rate scheduler, stepped after every step
    (ReduceLROnPlateau: after every epoch, with the validation loss); it moves the rate within one call of `fit`.
    `callbacks`: `Callback` objects, or functions of the trainer that are called after each epoch. `clip_value`,
    `clip_norm`: the largest entry and the largest norm of a turn's gradient. `device`: where to train (default: where
    the model is).

    After `fit`: `history` (a row an epoch), `status` ("finished", "stopped early", "interrupted", "diverged" when the
    loss was no finite number, "failed" after an exception), and the model in evaluation mode.

        >>> import torch
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from osler.objectives import Classification
        >>> x = torch.randn(300, 4, generator=torch.manual_seed(0))
        >>> y = (x[:, 0] > x[:, 1]).long()
        >>> train = DataLoader(TensorDataset(x[:200], y[:200]), batch_size=20, shuffle=True)
        >>> validation = DataLoader(TensorDataset(x[200:], y[200:]), batch_size=100)
        >>> model = torch.nn.Linear(4, 2)
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        >>> trainer = Trainer(model, Classification.multiclass(2), optimizer=optimizer)
        >>> history = trainer.fit(train, validation, epochs=5)
        >>> history[-1]["accuracy/val"] > 0.9
        True
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective | nn.Module,
        *,
        optimizer: Optimizer | Sequence[Optimizer] | MakeOptimizer | None = None,
        schedule: MakeSchedule | None = None,
        callbacks: Iterable[Callback | Callable[[Trainer], None]] = (),
        clip_value: float | None = None,
        clip_norm: float | None = None,
        device: torch.device | str | None = None,
    ):
        self.device = _device(device, model)
        self.model = model.to(self.device)
        self.objective = _objective(objective)
        self.turns = list(self.objective.turns())
        self.optimizers = _optimizers(optimizer, self.turns, self.model)
        self.make_schedule = schedule
        self.callbacks = [as_callback(callback) for callback in callbacks]
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.history = History()
        self.status = "new"
        self.epoch = 0  # epochs begun
        self.step = 0  # steps done
        self.epochs = 0  # epochs wanted
        self.stop_reason = ""

    def stop(self, reason: str) -> None:
        """Ends training after this epoch; for callbacks."""
        self.stop_reason = reason

    def fit(self, train: Iterable[Any], validation: Iterable[Any] | None = None, epochs: int = 10) -> History:
        """Trains for so many epochs of `train`: batches that can be iterated over again (Batches, DataLoader).

        A batch is a `Batch`, or a tuple (inputs, targets) or (inputs, targets, weights), where inputs are a tensor, or
        a tuple or dict of what the model takes. Another call goes on where the last one ended. Ctrl-C ends training
        with everything kept. Raises InputError when model, objective and batches don't fit.
        """
        _check_data(epochs, train, validation)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        settings = [{key: value for key, value in group.items() if key != "params"} for group in groups]
        schedules = self._schedules(train, epochs)
        each_step = [s for s in schedules if not isinstance(s, ReduceLROnPlateau)]
        each_epoch = [s for s in schedules if isinstance(s, ReduceLROnPlateau)]
        if each_epoch and validation is None:
            raise InputError("this schedule watches the validation loss, but there is no validation data: give some")
        after_step = [callback for callback in self.callbacks if type(callback).step is not Callback.step]

        first_step = self.step
        self.epochs = self.epoch + epochs
        self.status, self.stop_reason = "training", ""
        self.model.train()
        try:
            for callback in self.callbacks:
                callback.begin(self)
            while self.status == "training" and self.epoch < self.epochs and not self.stop_reason:
                self.epoch += 1
                started = time.perf_counter()
                meter = Meter(self.objective, self.device)

                for batch in self.batches(train):
                    if self.step == first_step:
                        with looking(self.model):
                            self.objective.check(self.model, batch)
                    for turn, optimizer in zip(self.turns, self.optimizers, strict=True):
                        outcome = turn.loss(self.model, batch)
                        # Clears what the turns of others left on these parameters, too.
                        optimizer.zero_grad()
                        outcome.loss.backward()  # type: ignore[no-untyped-call]
                        if self.clip_value:
                            nn.utils.clip_grad_value_(_parameters(optimizer), self.clip_value)
                        if self.clip_norm:
                            nn.utils.clip_grad_norm_(_parameters(optimizer), self.clip_norm)
                        optimizer.step()
                        meter.add_loss(turn.name, outcome.loss, len(batch))
                    meter.add(outcome, batch)
                    for schedule in each_step:
                        schedule.step()
                    self.step += 1
                    for callback in after_step:
                        callback.step(self)

                row = {f"{name}/train": value for name, value in meter.result().items()}
                if validation is not None:
                    held_out = evaluate(self.model, self.objective, self.batches(validation))
                    row |= {f"{name}/val": value for name, value in held_out.items()}
                    for plateau in each_epoch:
                        plateau.step(row["loss/val"])
                lr = float(self.optimizers[0].param_groups[0]["lr"])
                seconds = time.perf_counter() - started
                self.history.append({"epoch": self.epoch, "step": self.step, **row, "lr": lr, "seconds": seconds})
                if not all(math.isfinite(value) for name, value in row.items() if name.startswith("loss")):
                    self.status = "diverged"
                for callback in self.callbacks:
                    callback.epoch(self)
            if self.status == "training":
                self.status = "stopped early" if self.stop_reason else "finished"
        except KeyboardInterrupt:
            self.status = "interrupted"
        except Exception:
            self.status = "failed"
            raise
        finally:
            for callback in self.callbacks:
                callback.end(self)
            self.model.eval()
            if schedules:  # the next call's schedule begins where this one began
                for group, before in zip(groups, settings, strict=True):
                    group.update(before)
        return self.history

    def batches(self, data: Iterable[Any]) -> Iterator[Batch]:
        """What a data loader gives, as batches on the trainer's device."""
        for item in data:
            batch = as_batch(item)
            if self.device.type != "cpu":
                batch = Batch(*(_to(part, self.device) for part in (batch.inputs, batch.targets, batch.weights)))
            yield batch

    def _schedules(self, train: Iterable[Any], epochs: int) -> list[LRScheduler]:
        if self.make_schedule is None:
            return []
        try:
            steps = epochs * len(train)  # type: ignore[arg-type]
        except TypeError:
            raise InputError(
                "a schedule goes by the number of steps, but the training data has no length: "
                "give batches that have one, or train without a schedule"
            ) from None
        if steps == 0:
            raise InputError("there is no batch to learn from: the training data is empty")
        return [self.make_schedule(optimizer, steps) for optimizer in self.optimizers]


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def as_batch(item: Any) -> Batch:
    """A Batch from what data loaders give: inputs, (inputs, targets) or (inputs, targets, weights)."""
    if isinstance(item, Batch):
        return item
    if isinstance(item, Tensor):
        return Batch(item)
    if isinstance(item, tuple | list) and 1 <= len(item) <= 3:
        return Batch(*item)
    raise InputError(f"a batch is (inputs, targets) or (inputs, targets, weights), but got {_kind(item)}")


def _kind(item: Any) -> str:
    return f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__


def _check_data(epochs: int, *sources: Any) -> None:
    if epochs < 1:
        raise InputError(f"epochs must be at least 1, but got {epochs}")
    cure = "give a DataLoader, like DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)"
    for source in sources:
        whole = source[0] if isinstance(source, tuple) and source else source
        if hasattr(whole, "shape"):
            raise InputError(f"fit takes batches, not whole tensors or tables: {cure}")
        if isinstance(source, Dataset):
            raise InputError(f"fit takes batches, not single samples as in {type(source).__name__}: {cure}")
        if isinstance(source, Iterator) and epochs > 1:
            raise InputError(f"a {type(source).__name__} can be used once, but there are {epochs} epochs: {cure}")


def _device(given: torch.device | str | None, model: nn.Module) -> torch.device:
    """The device asked for, or the model's own."""
    if given is None:
        return next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        return torch.empty(0, device=given).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"device {str(given)!r} cannot be used here ({reason}); 'cpu' can everywhere") from None


def _objective(given: Any) -> Objective:
    if isinstance(given, Objective):
        return given
    if isinstance(given, nn.Module):
        return Supervised(given)
    kind = repr(given) if isinstance(given, str) else type(given).__name__
    raise InputError(f"an objective is like Classification.multiclass(3), or a loss like nn.MSELoss(), but got {kind}")


def _optimizers(given: Any, turns: list[Turn], model: nn.Module) -> list[Optimizer]:
    """One optimizer for each turn."""
    if given is None:
        given = lambda parameters: torch.optim.AdamW(parameters, lr=1e-3)  # noqa: E731
    if isinstance(given, Optimizer):
        given = [given]
    if isinstance(given, str):
        raise InputError(f"an optimizer by name is made like this: osler.optimizer({given!r}, model.parameters())")
    optimizers = list(given) if isinstance(given, Sequence) else [given(turn.parameters(model)) for turn in turns]
    if len(optimizers) != len(turns):
        names = ", ".join(turn.name for turn in turns if turn.name)
        raise InputError(
            f"a step of this objective has {len(turns)} turns{f' ({names})' if names else ''}, "
            f"and each needs an optimizer of its own, but got {len(optimizers)}"
        )
    return optimizers


def _to(part: Any, device: torch.device) -> Any:
    if isinstance(part, dict):
        return {key: _to(value, device) for key, value in part.items()}
    if hasattr(part, "to"):
        return part.to(device, non_blocking=True)
    return tuple(_to(value, device) for value in part) if isinstance(part, tuple | list) else part
