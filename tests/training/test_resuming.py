"""Training that stops at any step and goes on in a new trainer: the same weights and history, bit for bit."""

import functools
import io
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, TensorDataset

from osler.data.augment import Compose, Flip, Shift
from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.nn.penalties import PENALTIES
from osler.objectives.classification import Classification
from osler.objectives.objective import Outcome, Turn
from osler.optim.optimizers import OPTIMIZERS
from osler.optim.schedules import SCHEDULES
from osler.records import Batch
from osler.training import pace
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.checkpoint import copied
from osler.training.engine import Engine
from osler.training.pace import Measured
from osler.training.trainer import Trainer

PIXELS = torch.randint(256, (50, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
X = PIXELS.flatten(1).float() / 255 - 0.5
Y = (X[:, 0] > X[:, 5]).long() + (X[:, 3] > 0.2)
HELD_OUT = [(X[:30], Y[:30]), (X[30:], Y[30:])]
EPOCHS, STEPS = 3, 12  # four batches each: 16, 16, 16, 2

Program = tuple[Trainer, Any, Any]


class Gone(Exception):
    """As a machine goes: whatever comes, comes too late."""


class StopAt(Callback):
    """Takes the state after a step (or after the epoch that ended with it), and is gone."""

    def __init__(self, step: int, settled: bool = False) -> None:
        self.when, self.after_epoch = step, settled
        self.state: dict[str, Any] = {}

    def step(self, trainer: Trainer) -> None:
        if trainer.step == self.when and not self.after_epoch:
            self._stop(trainer)

    def settled(self, trainer: Trainer) -> None:
        if trainer.step == self.when and self.after_epoch:
            self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        buffer = io.BytesIO()
        torch.save(copied(trainer.state_dict()), buffer)
        buffer.seek(0)
        self.state = torch.load(buffer, weights_only=True)
        raise Gone


def seed(number: int) -> None:
    torch.manual_seed(number)
    np.random.seed(number)  # noqa: NPY002
    random.seed(number)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


def seen(trainer: Trainer) -> tuple[Any, ...]:
    """Everything that has to be the same in the end."""
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in trainer.history]
    chance = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    weights = {name: value.tolist() for name, value in trainer.model.state_dict().items()}
    counts = (trainer.epoch, trainer.batch, trainer.step, trainer.epochs, trainer.status, trainer.notes)
    return history, weights, counts, trainer.optimizers[0].param_groups[0]["lr"], chance


def whole(make: Callable[[], Program], epochs: int = EPOCHS) -> tuple[Any, ...]:
    seed(1)
    trainer, train, held_out = make()
    # The same number of callbacks, of which this one never stops.
    trainer.callbacks.append(StopAt(-1))
    trainer.fit(train, held_out, epochs)
    return seen(trainer)


def resumed(make: Callable[[], Program], step: int, settled: bool = False, epochs: int = EPOCHS) -> Trainer:
    seed(1)
    trainer, train, held_out = make()
    gone = StopAt(step, settled)
    trainer.callbacks.append(gone)
    with pytest.raises(Gone):
        trainer.fit(train, held_out, epochs)
    seed(77)  # another process: other random numbers, other weights
    trainer, train, held_out = make()
    trainer.callbacks.append(StopAt(-1))
    trainer.load_state_dict(gone.state)
    trainer.fit(train, held_out, epochs)
    return trainer


def same_from(make: Callable[[], Program], step: int, settled: bool = False) -> None:
    expected, got = whole(make), seen(resumed(make, step, settled))
    for mine, theirs in zip(got, expected, strict=True):
        assert mine == theirs


# What is learned from


def batches() -> Batches:
    augment = Compose((Flip(0.5), Shift(pixels=1)))
    transform = lambda pixels: pixels.flatten(1).float() / 255 - 0.5  # noqa: E731
    return Batches(Dataset(PIXELS, Y), 16, shuffle=True, seed=5, augment=augment, transform=transform)


class Noisy(TensorDataset):
    """Draws from every generator that a program may draw from."""

    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        noise = random.random() + np.random.rand() + torch.rand(())  # noqa: NPY002
        return x + 0.1 * noise.float(), y


class OwnNoise(TensorDataset):
    def __init__(self, *tensors: Tensor) -> None:
        super().__init__(*tensors)
        self.chance = torch.Generator().manual_seed(3)

    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        return x + 0.1 * torch.randn(x.shape, generator=self.chance), y


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        for index in torch.randperm(50).tolist():
            yield X[index], Y[index]

    def __len__(self) -> int:
        return 50


def own() -> Generator:
    return torch.Generator().manual_seed(9)


def replaced() -> RandomSampler:
    return RandomSampler(range(50), replacement=True, num_samples=50, generator=own())


PLAIN = TensorDataset(X, Y)
DATA: dict[str, Callable[[], Any]] = {
    "Batches": batches,
    "a list": lambda: list(zip(X.split(16), Y.split(16), strict=True)),
    "a loader in order": lambda: DataLoader(PLAIN, 16),
    "a loader with the global generator": lambda: DataLoader(PLAIN, 16, shuffle=True),
    "a loader with its own": lambda: DataLoader(PLAIN, 16, shuffle=True, generator=own()),
    "a sampler with its own": lambda: DataLoader(PLAIN, 16, sampler=replaced()),
    "data that draw": lambda: DataLoader(Noisy(X, Y), 16, shuffle=True),
    "data that draw, and an own generator": lambda: DataLoader(Noisy(X, Y), 16, shuffle=True, generator=own()),
    "data with a generator of their own": lambda: DataLoader(OwnNoise(X, Y), 16, shuffle=True),
    "a stream": lambda: DataLoader(Stream(), 16),
}


def program(
    data: str = "Batches", optimizer: str = "adamw", schedule: str | None = "one_cycle", **extra: Any
) -> Program:
    stopping = EarlyStopping(patience=2)
    objective = Classification.multiclass(3, metrics=["accuracy", "roc_auc"])
    objective.penalty = PENALTIES.create(extra.pop("penalty")) if "penalty" in extra else None
    make_schedule = (lambda o, steps: SCHEDULES.create(schedule, o, steps)) if schedule else None
    make = lambda parameters: OPTIMIZERS.create(optimizer, parameters)  # noqa: E731
    options = {"optimizer": make, "schedule": make_schedule, "callbacks": [stopping], "clip_norm": 1.0, **extra}
    return Trainer(network(), objective, **options), DATA[data](), HELD_OUT


@functools.cache
def undisturbed(data: str) -> tuple[Any, ...]:
    return whole(lambda: program(data))


@pytest.mark.parametrize("data", DATA)
@settings(max_examples=6)
@given(step=st.integers(1, STEPS))
def test_from_any_step_with_any_data(data: str, step: int) -> None:
    assert seen(resumed(lambda: program(data), step)) == undisturbed(data)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("epoch", [1, 2])
def test_from_between_two_epochs(data: str, epoch: int) -> None:
    assert seen(resumed(lambda: program(data), 4 * epoch, settled=True)) == undisturbed(data)


@pytest.mark.parametrize("data", DATA)
def test_again_and_again(data: str) -> None:
    """As a machine goes that is taken away every three steps."""
    state: dict[str, Any] | None = None
    for step in (2, 4, 5, 9, 11, -1):
        seed(1 if state is None else step + 50)
        trainer, train, held_out = program(data)
        gone = StopAt(step)
        trainer.callbacks.append(gone)
        if state is not None:
            trainer.load_state_dict(state)
        try:
            trainer.fit(train, held_out, EPOCHS)
        except Gone:
            state = gone.state
    assert seen(trainer) == undisturbed(data)


# What learns


@pytest.mark.parametrize("step", [3, 9])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name: str, step: int) -> None:
    same_from(lambda: program(optimizer=name, schedule="cosine"), step)


@pytest.mark.parametrize("step", [3, 8])
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule(name: str, optimizer: str, step: int) -> None:
    same_from(lambda: program(optimizer=optimizer, schedule=name), step)


@pytest.mark.parametrize("name", ["l1", "l2", "elastic_net"])
def test_penalties(name: str) -> None:
    same_from(lambda: program(penalty=name), 7)


@pytest.mark.parametrize("engine", [Engine(micro_batches=3), Engine(precision="bfloat16"), Engine(deterministic=True)])
def test_every_way_to_compute(engine: Engine) -> None:
    same_from(lambda: program(engine=engine), 6)


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
@pytest.mark.parametrize("step", [3, 8])
def test_convolutions_with_channels_last(optimizer: str, step: int) -> None:
    def make() -> Program:
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 2), nn.Flatten(), nn.Linear(8, 3)
        )
        pictures = PIXELS / 255 - 0.5
        data = DataLoader(TensorDataset(pictures, Y), 16, shuffle=True)
        return (
            Trainer(
                model,
                nn.CrossEntropyLoss(),
                optimizer=lambda parameters: OPTIMIZERS.create(optimizer, parameters, lr=0.05),
                engine=Engine(channels_last=True),
            ),
            data,
            [(pictures, Y)],
        )

    same_from(make, step)


class Players(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator, self.critic = (
            nn.Linear(4, 16),
            nn.Sequential(nn.Linear(16, 8), nn.Dropout(0.2), nn.Linear(8, 1)),
        )


class Game:
    """A tiny generative adversarial network, whose generator draws noise."""

    def turns(self) -> Sequence[Turn]:
        return [
            Turn(self.of_critic, lambda players: players.critic.parameters(), "critic"),
            Turn(self.of_generator, lambda players: players.generator.parameters(), "generator"),
        ]

    def of_critic(self, players: nn.Module, batch: Batch) -> Outcome:
        made = players.generator(torch.randn(len(batch), 4))
        return Outcome(F.softplus(-players.critic(batch.inputs)).mean() + F.softplus(players.critic(made)).mean())

    def of_generator(self, players: nn.Module, batch: Batch) -> Outcome:
        return Outcome(F.softplus(-players.critic(players.generator(torch.randn(len(batch), 4)))).mean())

    evaluate = of_generator

    def metrics(self) -> dict[str, Any]:
        return {}

    def measured(self, outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        raise AssertionError("there are no metrics")

    def check(self, model: nn.Module, batch: Batch) -> None:
        pass


@pytest.mark.parametrize("step", [1, 4, 7, 12])
def test_players(step: int) -> None:
    def make() -> Program:
        trainer = Trainer(
            Players(),
            Game(),
            optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01),
            schedule=lambda optimizer, steps: SCHEDULES.create("cosine", optimizer, steps),
        )
        return trainer, DataLoader(X, 16, shuffle=True), [X]

    same_from(make, step)


@pytest.mark.parametrize("step", [4, 6, 9, 13])
def test_early_stopping_waits_no_longer_and_brings_the_same_weights(step: int) -> None:
    def make() -> Program:
        stopping = EarlyStopping(patience=2)
        model = network()
        trainer = Trainer(
            model, nn.CrossEntropyLoss(), optimizer=torch.optim.SGD(model.parameters(), lr=3.0), callbacks=[stopping]
        )
        return trainer, batches(), HELD_OUT

    seed(1)
    undisturbed, train, held_out = make()
    undisturbed.callbacks.append(StopAt(-1))
    undisturbed.fit(train, held_out, 20)
    assert undisturbed.status == "stopped early"
    assert undisturbed.step > step
    got = resumed(make, step, epochs=20)
    assert seen(got) == seen(undisturbed)
    assert got.stop_reason == undisturbed.stop_reason
    assert got.callbacks[0].best_epoch == undisturbed.callbacks[0].best_epoch  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", ["skip", "rollback"])
@pytest.mark.parametrize("step", [3, 5, 6, 9])
def test_bad_steps_before_and_after(policy: Any, step: int) -> None:
    def make() -> Program:
        x = X.clone()
        x[5 * 16 % 48 + 1] = torch.nan  # in the third batch of each epoch
        data = list(zip(x.split(16), Y.split(16), strict=True))
        make_optimizer = lambda parameters: torch.optim.Adam(parameters, lr=0.05)  # noqa: E731
        return (
            Trainer(network(), nn.CrossEntropyLoss(), optimizer=make_optimizer, on_nonfinite=policy),
            data,
            HELD_OUT,
        )

    same_from(make, step)


# Other than bits


def test_afterwards_training_goes_on_at_the_first_rate() -> None:
    trainer = resumed(lambda: program(schedule="one_cycle"), 7)
    _, train, held_out = program()
    rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
    assert rates == [OPTIMIZERS.create("adamw", network().parameters()).param_groups[0]["lr"]]
    trainer.fit(train, held_out, epochs=2)
    assert trainer.epoch == 5
    assert [row["epoch"] for row in trainer.history] == [1, 2, 3, 4, 5]


def test_the_epochs_are_those_planned_at_first() -> None:
    make = functools.partial(program, "a list")
    seed(1)
    trainer, train, held_out = make()
    gone = StopAt(5)
    trainer.callbacks.append(gone)
    with pytest.raises(Gone):
        trainer.fit(train, held_out, EPOCHS)
    again, train, held_out = make()
    again.callbacks.append(StopAt(-1))
    again.load_state_dict(gone.state)
    again.fit(train, held_out, epochs=99)
    assert (again.epochs, again.epoch, again.step) == (3, 3, STEPS)


def test_nothing_is_left_to_do_after_the_end() -> None:
    trainer, train, held_out = program("a list")
    trainer.fit(train, held_out, EPOCHS)
    state = copied(trainer.state_dict())
    again, train, held_out = program("a list")
    again.load_state_dict(state)
    assert len(again.fit(train, held_out, EPOCHS)) == EPOCHS
    assert (again.status, again.step) == ("finished", STEPS)
    for mine, theirs in zip(again.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_engine_is_not_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured anew, another choice might come out, and other bits with it."""
    make = functools.partial(program, "a list")
    seed(1)
    trainer, train, held_out = make()
    gone = StopAt(5)
    trainer.callbacks.append(gone)
    with pytest.raises(Gone):
        trainer.fit(train, held_out, EPOCHS)

    def otherwise(engine: Engine, *_: Any) -> tuple[Engine, list[Measured]]:
        return Engine(precision="bfloat16", threads=2), []

    monkeypatch.setattr("osler.training.trainer.choose", otherwise)
    again, train, held_out = make()
    again.callbacks.append(StopAt(-1))
    again.load_state_dict(gone.state)
    again.fit(train, held_out, EPOCHS)
    assert again.engine == trainer.engine
    assert pace.choose is not otherwise


def stopped_state() -> dict[str, Any]:
    trainer, train, held_out = program("a list")
    gone = StopAt(5)
    trainer.callbacks.append(gone)
    with pytest.raises(Gone):
        trainer.fit(train, held_out, EPOCHS)
    return gone.state


def test_states_of_other_programs_are_refused() -> None:
    state = stopped_state()
    model = network()
    for trainer, rule in (
        (Trainer(model, nn.CrossEntropyLoss()), "this state has 2 callbacks, the trainer 0"),
        (Trainer(Players(), Game(), callbacks=[EarlyStopping(), StopAt(-1)]), "this state has 1 optimizers"),
    ):
        with pytest.raises(InputError, match=rule):
            trainer.load_state_dict(state)
    for odd in ({}, model.state_dict()):
        with pytest.raises(InputError, match="no state of a trainer"):
            Trainer(model, nn.CrossEntropyLoss()).load_state_dict(odd)
    other = Trainer(nn.Sequential(nn.Linear(16, 3)), nn.CrossEntropyLoss(), callbacks=[EarlyStopping(), StopAt(-1)])
    other.load_state_dict(state)
    with pytest.raises(InputError, match="of another training program"):
        other.fit(HELD_OUT, HELD_OUT)
    assert other.status == "failed"


def test_an_optimizer_of_another_kind_is_refused() -> None:
    trainer, train, held_out = program("a list", optimizer="momentum", schedule=None)
    trainer.callbacks.append(StopAt(-1))
    state = stopped_state()
    state["schedules"] = []
    trainer.load_state_dict(state)
    with pytest.raises(InputError, match="of another training program"):
        trainer.fit(train, held_out)
