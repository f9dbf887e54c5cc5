"""Small training programs that one process runs, or each of several that torchrun has started; they give plain numbers.

`torchrun --nproc-per-node=2 programs_of_several.py FOLDER` writes what process 1 of them found to FOLDER/1.json, and
goes on with what one process has begun in FOLDER.
"""

import copy
import json
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.nn.classification_losses import BinaryCrossEntropy, SparseCategoricalCrossEntropy
from osler.objectives.classification import Classification
from osler.objectives.objective import Outcome, Turn
from osler.objectives.regression import Regression
from osler.objectives.supervised import Supervised
from osler.records import Batch
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.distributed import joined, processes_on
from osler.training.engine import Engine
from osler.training.sharded import ShardWriter, is_sharded, shard, whole_weights, with_shards, without_shards
from osler.training.trainer import Trainer

CPU = torch.device("cpu")
PROGRAMS: dict[str, Callable[[int, int], Any]] = {}


def program(function: Callable[[int, int], Any]) -> Callable[[int, int], Any]:
    PROGRAMS[function.__name__] = function
    return function


def network(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, outputs))


# Neither 150 nor the last batch of 22 divides evenly by two processes and three parts.
X = torch.randn(150, 6, generator=torch.Generator().manual_seed(0))
CLASSES = (X[:, 0] + X[:, 1] > 0.5).long() + (X[:, 2] > 1).long()
DATA = Dataset(X, CLASSES)
YES_OR_NO = Dataset(X, (X[:, 0] > 0.8).float()[:, None])
NUMBERS = Dataset(X, X[:, :2] ** 2, torch.linspace(0.5, 1.5, 150))


def batches(data: Dataset, rank: int, count: int, size: int = 32, shuffle: bool = True) -> Batches:
    return Batches(data, size, shuffle=shuffle, seed=3, rank=rank, processes=count)


def rows(trainer: Trainer) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in trainer.history]


def numbers(model: nn.Module) -> list[float]:
    """All weights."""
    state = whole_weights(model) if is_sharded(model) else model.state_dict()
    return [number for tensor in state.values() for number in tensor.flatten().tolist()]


def trained(model: nn.Module, objective: Any, data: Dataset, rank: int, count: int, **options: Any) -> Any:
    fit = {"train": batches(data, rank, count), "validation": batches(data, rank, count, 100, shuffle=False)}
    fit |= {name: options.pop(name) for name in list(options) if name in ("train", "epochs")}
    trainer = Trainer(model, objective, optimizer=lambda p: torch.optim.AdamW(p, lr=0.02), **options)
    trainer.fit(**{"epochs": 3, **fit})
    return {"rows": rows(trainer), "status": trainer.status, "notes": trainer.notes, "weights": numbers(model)}


@program
def classes_that_weigh_differently(rank: int, count: int) -> Any:
    loss = SparseCategoricalCrossEntropy(class_weights=[0.2, 1.0, 5.0])
    objective = Classification.multiclass(3, loss, metrics=["accuracy", "f1", "roc_auc", "calibration_error"])
    return trained(network(3), objective, DATA, rank, count, engine=Engine(micro_batches=3), clip_norm=0.5)


@program
def torchs_loss_with_targets_to_ignore(rank: int, count: int) -> Any:
    # In order, so that some parts hold nothing but targets to ignore.
    ignored = CLASSES.where(torch.arange(150) % 32 < 20, -100)
    in_order = batches(Dataset(X, ignored), rank, count, shuffle=False)
    objective = Supervised(nn.CrossEntropyLoss())
    return trained(network(3), objective, DATA, rank, count, train=in_order, engine=Engine(micro_batches=2))


@program
def rare_positives(rank: int, count: int) -> Any:
    objective = Classification.binary(BinaryCrossEntropy(), metrics=["accuracy", "f1", "roc_auc", "pr_auc"])
    return trained(network(1), objective, YES_OR_NO, rank, count, clip_value=0.01)


@program
def weighted_regression(rank: int, count: int) -> Any:
    objective = Regression.of(2, metrics=["rmse", "mae", "r2"])
    return trained(network(2), objective, NUMBERS, rank, count)


@program
def in_shards(rank: int, count: int) -> Any:
    model = network(3)
    if count > 1:
        shard(model, CPU)
    objective, stopping = Classification.multiclass(3), EarlyStopping(2)
    result = trained(
        model, objective, DATA, rank, count, clip_norm=0.5, callbacks=[stopping], on_nonfinite="rollback", epochs=4
    )
    return {**result, "best": stopping.best_epoch}


class ToldByOne(Callback):
    """Only one of the processes wants to stop."""

    def __init__(self, rank: int):
        self.rank = rank

    def epoch(self, trainer: Trainer) -> None:
        if trainer.processes.rank == self.rank and trainer.epoch == 2:
            trainer.stop(f"{self.rank} wants to")


@program
def one_wants_to_stop(rank: int, count: int) -> Any:
    callbacks = [ToldByOne(count - 1)]
    return trained(network(3), Classification.multiclass(3), DATA, rank, count, callbacks=callbacks, epochs=5)


class Signalled(Callback):
    """A signal that only the last process hears."""

    def step(self, trainer: Trainer) -> None:
        if trainer.step == 7 and trainer.processes.rank == trainer.processes.count - 1:
            trainer.signals.received = signal.SIGTERM


@program
def one_is_told_to_end(rank: int, count: int) -> Any:
    return trained(network(3), Classification.multiclass(3), DATA, rank, count, callbacks=[Signalled()])["status"]


@program
def a_sample_that_is_no_number(rank: int, count: int) -> Any:
    x = X.clone()
    x[31] = torch.nan  # in the last part of the first batch
    spoilt = batches(Dataset(x, CLASSES), rank, count, shuffle=False)
    objective = Classification.multiclass(3)
    stopped = trained(network(3), objective, DATA, rank, count, train=spoilt)
    skipped = trained(network(3), objective, DATA, rank, count, train=spoilt, on_nonfinite="skip")
    return {"stopped": stopped, "skipped": skipped}


class Frees(Callback):
    """Lets the first layer learn from the second epoch on."""

    def epoch(self, trainer: Trainer) -> None:
        trainer.model[0].requires_grad_(True)


@program
def freed_later(rank: int, count: int) -> Any:
    model = network(3)
    model[0].requires_grad_(False)
    result = trained(model, Classification.multiclass(3), DATA, rank, count, callbacks=[Frees()])
    # After training it is a plain module, whose gradients are nobody else's business.
    if rank == 0:
        model(X).sum().backward()
    return result


class Keeps(Callback):
    """Keeps the whole state in the middle of the second epoch."""

    state: Any = None

    def step(self, trainer: Trainer) -> None:
        if trainer.step == 7:
            self.state = copy.deepcopy(trainer.state_dict())


def with_noise(rank: int, count: int, shards: bool, callbacks: list[Callback]) -> Trainer:
    model = nn.Sequential(network(3), nn.Dropout(0.3), nn.Linear(3, 3))
    if shards:
        shard(model, CPU)
    torch.manual_seed(rank)
    objective = Classification.multiclass(3)
    return Trainer(model, objective, optimizer=lambda p: torch.optim.AdamW(p, lr=0.02), callbacks=callbacks)


@program
def goes_on_bit_for_bit(rank: int, count: int) -> Any:
    result = {}
    for kind in ("copies", "shards") if count > 1 else ():
        keeps = Keeps()
        whole, rest = (with_noise(rank, count, kind == "shards", [c]) for c in (keeps, Keeps()))
        whole.fit(batches(DATA, rank, count), batches(DATA, rank, count, 100, False), epochs=3)
        rest.load_state_dict(keeps.state)
        rest.fit(batches(DATA, rank, count), batches(DATA, rank, count, 100, False), epochs=3)
        same = rows(whole) == rows(rest) and numbers(whole.model) == numbers(rest.model)
        result[kind] = {"same": same, "weights": numbers(whole.model)}
    return result


class ToldAtTheEnd(Callback):
    """The signal comes with the last step of the first epoch; what is left is kept."""

    state: Any = None

    def step(self, trainer: Trainer) -> None:
        if trainer.batch == len(trainer.train) and trainer.epoch == 1:
            trainer.signals.received = signal.SIGTERM

    def end(self, trainer: Trainer) -> None:
        self.state = copy.deepcopy(trainer.state_dict())


@program
def told_at_the_end_of_an_epoch(rank: int, count: int) -> Any:
    def fit(trainer: Trainer) -> Trainer:
        trainer.fit(batches(DATA, rank, count), batches(DATA, rank, count, 100, False), epochs=3)
        return trainer

    told = ToldAtTheEnd()
    whole, cut = fit(with_noise(rank, count, False, [Callback()])), fit(with_noise(rank, count, False, [told]))
    rest = with_noise(rank, count, False, [Callback()])
    rest.load_state_dict(told.state)
    fit(rest)
    same = rows(whole) == rows(rest) and numbers(whole.model) == numbers(rest.model)
    return {"same": same, "status": cut.status, "drained": told.state["drained"]}


class Players:
    """Two turns a step."""

    def turns(self) -> list[Turn]:
        learn = lambda model, batch: Outcome(model(batch.inputs).mean())  # noqa: E731
        return [Turn(learn, lambda model: model.parameters(), name) for name in ("generator", "discriminator")]

    evaluate = metrics = measured = check = lambda *_: {}


@program
def cannot_be_done(rank: int, count: int) -> Any:
    def said(function: Callable[[], Any]) -> str:
        try:
            function()
        except InputError as error:
            return str(error)
        return ""

    return [
        said(lambda: Trainer(network(1), Players(), optimizer=lambda p: torch.optim.SGD(list(p), lr=0.1))),
        said(lambda: batches(DATA, rank, count, size=1)),
    ]


@program
def normalised_batches(rank: int, count: int) -> Any:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    result = trained(model, Classification.multiclass(3), DATA, rank, count, epochs=1)
    return {"notes": result["notes"], "mean": model[1].running_mean.tolist()}


@program
def talk(rank: int, count: int) -> Any:
    together = processes_on(CPU)
    heard = together.news()
    news = [heard(rank if step == 1 else 0) for step in range(4)]
    return {
        "news": news,
        "largest": together.largest(10 * rank),
        "first": together.first(f"from {rank}"),
        "gather": together.gather(rank),
        "sum": [t.tolist() for t in together.sum(torch.tensor(1.5), torch.tensor([1, rank]))],
    }


class Spoils(Supervised):
    """A loss that one process alone finds infinite, once."""

    def learn(self, model: nn.Module, batch: Batch) -> Outcome:
        outcome = super().learn(model, batch)
        self.steps = getattr(self, "steps", 0) + 1
        return outcome._replace(loss=outcome.loss * (torch.inf if self.steps == 6 else 1))


@program
def shards_go_back(rank: int, count: int) -> Any:
    model = network(3)
    if count > 1:
        shard(model, CPU)
    result = trained(model, Spoils(nn.CrossEntropyLoss()), DATA, rank, count, on_nonfinite="rollback")
    return {"status": result["status"], "notes": result["notes"], "rows": result["rows"]}


def begun(shards: bool, callbacks: list[Callback]) -> Trainer:
    model = network(3)
    if shards:
        shard(model, CPU)
    objective = Classification.multiclass(3, metrics=["accuracy", "roc_auc"])
    return Trainer(model, objective, optimizer=lambda p: torch.optim.AdamW(p, lr=0.02), callbacks=callbacks)


def begin(folder: Path, rank: int, count: int, shards: bool) -> list[dict[str, float]]:
    """Trains, and leaves the state of the middle in the folder; gives the whole history."""
    keeps = Keeps()
    trainer = begun(shards, [EarlyStopping(), keeps])
    trainer.fit(batches(DATA, rank, count), batches(DATA, rank, count, 100, False), epochs=3)
    name = f"{'shards' if shards else 'copies'}-{count}"
    state, tensors = without_shards(keeps.state)
    if tensors:
        ShardWriter().save(tensors, folder / name)()
    if rank == 0:
        torch.save(state, folder / f"{name}.pt")
    return rows(trainer)


def go_on(folder: Path, by: int, rank: int, count: int, shards: bool) -> Any:
    """Goes on with what `by` processes began, and gives the whole history and the notes."""
    name = f"{'shards' if shards else 'copies'}-{by}"
    trainer = begun(shards, [EarlyStopping(), Keeps()])
    trainer.load_state_dict(with_shards(torch.load(folder / f"{name}.pt", weights_only=True), folder / name, CPU))
    trainer.fit(batches(DATA, rank, count), batches(DATA, rank, count, 100, False), epochs=3)
    return {"rows": rows(trainer), "notes": trainer.notes}


def main(folder: Path) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    with joined():
        together = processes_on(CPU)
        found = {name: function(together.rank, together.count) for name, function in PROGRAMS.items()}
        for shards in (False, True):
            begin(folder, together.rank, together.count, shards)
            found[f"gone on {shards}"] = go_on(folder, 1, together.rank, together.count, shards)
    (folder / f"{together.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
