"""The training loop, all of it."""

from __future__ import annotations

import contextlib
import copy
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol, runtime_checkable

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
from osler.training.callbacks.checkpoints import Checkpoints
from osler.training.distributed import processes_on
from osler.training.engine import Engine
from osler.training.gradients import Gradients, is_batch_norm, out_of_memory, split
from osler.training.history import History
from osler.training.leanstep import LeanStep
from osler.training.looking import looking
from osler.training.meter import Meter, evaluate
from osler.training.nonfinite import NOWHERE, Guard, Policy, finite, first_place
from osler.training.pace import Measured, choose
from osler.training.randomness import random_state, set_random_state
from osler.training.sharded import is_sharded
from osler.training.signals import Signals

FEW = 16  # samples by which model and objective are checked
MakeOptimizer = Callable[[Iterable[Any]], Optimizer]
MakeSchedule = Callable[[Optimizer, int], LRScheduler]


@runtime_checkable
class KeepsPlace(Protocol):
    """Data that knows where in an epoch it is, like Batches."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Trainer:
    """Trains any `nn.Module` on any objective; every step can be read in `fit`.

    `objective`: what is learned (`Classification`, `Regression` …), or a loss module alone, like `nn.MSELoss()`.
    `optimizer`: a torch Optimizer, one for each turn of the objective, or a function from parameters to one (default:
    AdamW with lr 1e-3). `schedule`: a function (optimizer, steps) → learning-rate scheduler, stepped after every step
    (ReduceLROnPlateau: after every epoch, with the validation loss); it moves the rate within one call of `fit`.
    `callbacks`: `Callback` objects, or functions of the trainer that are called after each epoch. `clip_value`,
    `clip_norm`: the largest entry and the largest norm of a turn's gradient. `device`: where to train (default: where
    the model is). `engine`: how to compute; what it leaves open is measured where that pays. `on_nonfinite`: what to do
    when a loss is no finite number: "stop", "skip" the step, or "rollback" to a state some steps before. Within a group
    of processes (`torchrun`) each trains on the batches that it is given, and the gradient is that of all together.

    After `fit`: `history` (a row an epoch), `status` ("finished", "stopped early", "interrupted", "terminated" by
    SIGTERM, "diverged" when the loss was no finite number, "failed" after an exception), `notes` (what went wrong and
    was put right), `engine` and `speed` (what was chosen, and measured), and the model in evaluation mode.

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
        engine: Engine | None = None,
        on_nonfinite: Policy = "stop",
    ):
        self.device = _device(device, model)
        self.model = model.to(self.device)
        self.objective = _objective(objective)
        self.turns = list(self.objective.turns())
        self.optimizers = _optimizers(optimizer, self.turns, self.model)
        self.make_schedule = schedule
        self.clip_value = clip_value
        self.clip_norm = clip_norm
        self.engine = engine or Engine()
        self.speed: list[Measured] = []  # what was tried to make steps faster, and what it gave
        self.processes = processes_on(self.device)
        if self.processes.count > 1 and len(self.turns) > 1:
            raise InputError(
                f"a step of this objective has {len(self.turns)} turns, and {self.processes.count} processes train "
                "objectives of one turn only: train it in one process"
            )
        self.callbacks = [
            made if made.everywhere or self.processes.rank == 0 else Callback() for made in map(as_callback, callbacks)
        ]
        self.callbacks.sort(key=lambda callback: isinstance(callback, Checkpoints))  # they save what others did
        self.network = self.model  # what the objective calls while learning
        self.guard = Guard(self.model, self.optimizers, on_nonfinite)
        self.signals = Signals(patient=self.processes.count > 1)
        self.history = History()
        self.notes: list[str] = []  # what went wrong and was put right, for people
        self.status = "new"
        self.torn = False  # a second Ctrl-C may have fallen into a step
        self.epoch = 0  # epochs begun
        self.batch = 0  # batches of this epoch done; 0 between epochs
        self.drained = False  # whether these were all of it
        self.step = 0  # steps done
        self.loss = torch.zeros(())  # of the last step (of its last turn)
        self.epochs = 0  # epochs wanted
        self.stop_reason = ""
        self.schedules: list[LRScheduler] = []
        self._loaded: dict[str, Any] | None = None  # a state that the next fit goes on from
        self._random: dict[str, Any] | None = None

    def stop(self, reason: str) -> None:
        """Ends training after this epoch; for callbacks."""
        self.stop_reason = reason

    def fit(self, train: Iterable[Any], validation: Iterable[Any] | None = None, epochs: int = 10) -> History:
        """Trains for so many epochs of `train`: batches that can be iterated over again (Batches, DataLoader).

        A batch is a `Batch`, or a tuple (inputs, targets) or (inputs, targets, weights), where inputs are a tensor, or
        a tuple or dict of what the model takes. Another call goes on where the last one ended; after `load_state_dict`
        the first call ends what was begun there, with the epochs planned then. Ctrl-C and SIGTERM end training after
        the step, with everything kept. Raises InputError when model, objective and batches don't fit.
        """
        _check_data(epochs, train, validation)
        self.train = train
        resumed, self._loaded = self._loaded, None
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        settings = [{key: value for key, value in group.items() if key != "params"} for group in groups]
        self.schedules = self._schedules(train, resumed["planned"] if resumed else epochs)
        each_step = [s for s in self.schedules if not isinstance(s, ReduceLROnPlateau)]
        each_epoch = [s for s in self.schedules if isinstance(s, ReduceLROnPlateau)]
        if each_epoch and validation is None:
            raise InputError("this schedule watches the validation loss, but there is no validation data: give some")
        after_step = [callback for callback in self.callbacks if type(callback).step is not Callback.step]

        self.planned = epochs
        self.epochs = self.epoch + epochs
        self.status, self.stop_reason, self.torn = "training", "", False
        self.batch = 0  # an epoch that was broken off is not taken up again, unless resumed
        self.gradients = Gradients(self.processes, self.engine, self.notes)
        self.news = self.processes.news()
        steps = [LeanStep(optimizer) for optimizer in self.optimizers]
        self.model.train()
        running = contextlib.ExitStack()  # the engine, once it is chosen
        begun: list[Callback] = []
        try:
            running.enter_context(self.signals)
            for callback in self.callbacks:
                callback.begin(self)
                begun.append(callback)
            if resumed:
                running.enter_context(self.engine.running(self.model))  # the layout first: states are laid out alike
                self._resume(resumed)
            first_step = self.step
            while self.status == "training" and (self.batch or self.epoch < self.epochs) and not self.stop_reason:
                if self.batch == 0:
                    self.epoch += 1
                    self.meter = Meter(self.objective, self.device)
                    self.seconds = 0.0
                    self.drained = False
                    self.randomness = random_state(self._loader())  # from which data loaders draw this epoch's order
                started = time.perf_counter() - self.seconds

                for batch in self.batches(self._from_here(train)):
                    if self.step == first_step:
                        batch = self._settle(batch, None if resumed else running)
                    for turn, optimizer, step in zip(self.turns, self.optimizers, steps, strict=True):
                        outcome = self.gradients(turn, self.network, optimizer, batch)
                        self.loss = outcome.loss.detach()
                        if not self.guard.good(outcome.loss, optimizer):
                            self._bad_step(turn, batch, outcome.loss)
                            break
                        if self.clip_value:
                            nn.utils.clip_grad_value_(_parameters(optimizer), self.clip_value)
                        if self.clip_norm:
                            nn.utils.clip_grad_norm_(_parameters(optimizer), self.clip_norm)
                        step()
                        self.meter.add_loss(turn.name, outcome.loss, len(batch))
                    else:
                        self.meter.add(outcome, batch)
                        for schedule in each_step:
                            schedule.step()
                    self.step += 1
                    self.batch += 1
                    self.seconds = time.perf_counter() - started
                    for callback in after_step:
                        callback.step(self)
                    if self._told_to_end(self.news) or self.status != "training":
                        break
                else:
                    self.drained = True

                if self.status == "training" and not (self.guard.settle() and finite(self.model)):
                    self._bad_step(turn, batch, outcome.loss)
                with contextlib.ExitStack() as judging:
                    for callback in self.callbacks:
                        judging.enter_context(callback.judging(self))
                    row = {} if self._told_to_end(self.processes.largest) else self._row(validation)
                    if self._told_to_end(self.processes.largest):
                        break
                    for plateau in each_epoch:
                        plateau.step(row["loss/val"])
                    self.batch = 0
                    lr = float(self.optimizers[0].param_groups[0]["lr"])
                    self.history.append({**row, "lr": lr, "seconds": time.perf_counter() - started})
                    odd = [n for n, value in row.items() if n.startswith("loss") and not math.isfinite(value)]
                    if odd and self.status == "training":
                        self.notes.append(f"epoch {self.epoch}: {odd[0]} is {row[odd[0]]:g}")
                    self.status = "diverged" if odd else self.status
                    for callback in self.callbacks:
                        callback.epoch(self)
                for callback in self.callbacks:
                    callback.settled(self)
                self.stop_reason = next(filter(None, self.processes.gather(self.stop_reason)), "")
                self.network = self.processes.wrap(self.model)  # callbacks may have frozen or freed some of it
            if self.status == "training":
                self.status = "stopped early" if self.stop_reason else "finished"
        except KeyboardInterrupt:
            self.status, self.torn = "interrupted", True
        except Exception as error:
            self.status = "failed"
            if out_of_memory(error):  # outside of the gradients, whose batches can be worked on in parts
                problem = " ".join(str(error).split())[:120]
                raise InputError(f"out of memory ({problem}): take smaller batches, or a smaller network") from error
            raise
        finally:
            with running:  # which ends whatever happens
                for callback in reversed(begun):  # the last to begin is the first to end
                    callback.end(self)
            self.network = self.model
            self.model.eval()
            if self.schedules:  # the next call's schedule begins where this one began
                groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
                for group, before in zip(groups, settings, strict=False):  # loading a state has made new ones
                    group.update(before)
        return self.history

    def batches(self, data: Iterable[Any]) -> Iterator[Batch]:
        """What a data loader gives, as batches on the trainer's device and in the engine's layout."""
        for item in data:
            batch = as_batch(item)
            if self.device.type != "cpu":
                parts = (batch.inputs, batch.targets, batch.weights)
                batch = Batch(*(_to(part, self.device) for part in parts))
            yield replace(batch, inputs=self.engine.laid_out(batch.inputs)) if self.engine.channels_last else batch

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on from here as if nothing had happened; tensors are not copied.

        Of several processes, all have to ask at the same step. Random numbers, place and counts are each one's own.
        """
        own = {
            "meter": self.meter.state_dict() if self.batch else {},
            "data": self.train.state_dict() if isinstance(self.train, KeepsPlace) else {},
            "epoch_random": self.randomness,
            "random": random_state(self._loader()),
        }
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "drained": self.drained,
            "step": self.step,
            "epochs": self.epochs,
            "planned": self.planned,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "history": [dict(row) for row in self.history],
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "own": self.processes.gather(own),
            "guard": self.guard.state_dict(),
            "engine": asdict(replace(self.engine, micro_batches=self.gradients.parts)),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next `fit`, given the same data and callbacks, ends what was begun: the same weights, bit for bit.

        The engine is the state's, measured or not. Raises InputError when the state is of another training program.
        """
        if "optimizers" not in state:
            raise InputError("this is no state of a trainer: load what Trainer.state_dict or a checkpoint holds")
        for name in ("optimizers", "callbacks"):
            if len(state[name]) != len(getattr(self, name)):
                raise InputError(f"this state has {len(state[name])} {name}, the trainer {len(getattr(self, name))}")
        self.engine = Engine(**state["engine"])
        self._loaded = state

    def _resume(self, state: dict[str, Any]) -> None:
        self.epoch, self.batch, self.step = state["epoch"], state["batch"], state["step"]
        self.epochs, self.planned, self.seconds = state["epochs"], state["planned"], state["seconds"]
        self.notes[:] = state["notes"]
        self.history[:] = state["history"]
        try:
            self.model.load_state_dict(state["model"])
            for name in ("optimizers", "schedules", "callbacks"):
                for part, saved in zip(getattr(self, name), state[name], strict=True):
                    part.load_state_dict(saved)
            for optimizer in self.optimizers:  # of another kind, it has other settings
                if missing := optimizer.defaults.keys() - {"differentiable"} - optimizer.param_groups[0].keys():
                    raise KeyError(f"its optimizer has no {', '.join(missing)}")
        except (RuntimeError, ValueError, KeyError) as error:
            raise InputError(f"this state is of another training program ({' '.join(str(error).split())})") from None
        self.drained = state["drained"]
        rank, count, saved = self.processes.rank, self.processes.count, state["own"]
        self.meter = Meter(self.objective, self.device)
        for own in saved[rank::count] if self.batch else []:
            self.meter.merge_state_dict(own["meter"])
        own = saved[rank] if len(saved) == count else saved[0]
        self.randomness, self._random = own["epoch_random"], own["random"]
        self.guard.load_state_dict(state["guard"])
        if isinstance(self.train, KeepsPlace):
            self.train.load_state_dict(own["data"])
        if len(saved) != count:
            self.notes.append(
                f"begun by {len(saved)} processes, goes on with {count}: the same samples, "
                "but other noise and last digits"
            )
            if rank > 0:
                self._random = random_state()  # not the first one's

    def _from_here(self, train: Iterable[Any]) -> Iterable[Any]:
        """The batches of this epoch that are still to come."""
        random, self._random = self._random, None
        if random is None:
            return train
        if self.batch == 0 or self.drained or isinstance(train, KeepsPlace):
            set_random_state(random, self._loader())
            # Data that has given all of an epoch would begin the next one.
            return () if self.batch and self.drained else train
        # A loader that keeps no place of its own draws the same order from the same random numbers.
        set_random_state(self.randomness, train)
        rest = iter(train)
        for _ in range(self.batch):
            next(rest, None)
        set_random_state(random, train)
        return rest

    def _loader(self) -> Iterable[Any] | None:
        """The training data where it keeps no place of its own, but perhaps its own random numbers."""
        return None if isinstance(self.train, KeepsPlace) else self.train

    def _settle(self, batch: Batch, running: contextlib.ExitStack | None) -> Batch:
        """Checks objective, model and batch against each other, chooses the engine, and starts it in `running`."""
        few = split(batch, max(self.gradients.parts, -(-len(batch) // FEW)))[0]  # memory may be short
        with looking(self.model):
            self.objective.check(self.model, few)
        if running is not None:  # else it goes on as it was chosen
            try:
                steps = (self.epochs - self.epoch + 1) * len(self.train)  # type: ignore[arg-type]
            except TypeError:
                steps = 0  # nobody knows: nothing is measured
            self.engine, self.speed = choose(
                self.engine, self.model, self.turns, self.optimizers, batch, steps, self.processes
            )
            running.enter_context(self.engine.running(self.model))
            self.gradients.engine = self.engine
            self.guard.keep()
        self.network = self.processes.wrap(self.model)  # as it is laid out now
        if self.processes.count > 1 and any(map(is_batch_norm, self.model.modules())):
            note = "batch normalisation sees only each process's part of a batch"
            self.notes.extend([note] if note not in self.notes else [])
        return replace(batch, inputs=self.engine.laid_out(batch.inputs))

    def _told_to_end(self, largest: Callable[[float], float]) -> bool:
        """Whether Ctrl-C or SIGTERM came, in any of the processes: the largest number of a signal that they heard."""
        heard = largest(self.signals.received or 0) if self.status == "training" else 0
        if heard:
            self.status = "terminated" if heard == signal.SIGTERM else "interrupted"
        return self.status in ("terminated", "interrupted")

    def _row(self, validation: Iterable[Any] | None) -> dict[str, Any]:
        """The numbers of the epoch that ends."""
        nothing_learned = self.guard.bad and not self.meter.samples  # every step was left out
        learned = {"loss": math.nan} if nothing_learned else self.meter.result(self.processes)
        row = {f"{name}/train": value for name, value in learned.items()}
        if validation is not None:
            self.processes.align(self.model)
            news = self.processes.news()

            def unless_told() -> Iterator[Batch]:
                for batch in self.batches(validation):
                    yield batch
                    if news(self.signals.received or 0):
                        return

            held_out = evaluate(self.model, self.objective, unless_told(), self.engine, self.processes)
            row |= {f"{name}/val": value for name, value in held_out.items()}
        return self.processes.first({"epoch": self.epoch, "step": self.step, **row})

    def _bad_step(self, turn: Turn, batch: Batch, loss: Tensor) -> None:
        """A loss or gradient that is no finite number: named, and dealt with as the guard's policy says."""
        what = f"step {self.step + 1} of epoch {self.epoch}: the loss is {loss.item():g}"
        if self.guard.bad <= 1 and not is_sharded(self.model):
            place = NOWHERE
            # A network that cannot be copied, or no memory for the whole batch: then nobody knows.
            with contextlib.suppress(Exception), torch.random.fork_rng(), self.engine.autocast(self.device):
                twin = copy.deepcopy(self.model)
                place = first_place(twin, lambda: turn.loss(twin, batch).loss)
            # Of several processes, one or another may have the sample at fault.
            what += f"; first not finite: {min(self.processes.gather(place), key=NOWHERE.__eq__)}"
        if self.guard.may_go_on():
            self.notes.append(f"{what}; {self.guard.done()}")
            return
        restored = "the weights are those of a few steps before" if self.guard.restore() else "the weights are unharmed"
        self.notes.append(f"{what}; {restored}")
        self.meter.add_loss(turn.name, loss, len(batch))
        self.meter.samples += len(batch)
        self.status = "diverged"

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
