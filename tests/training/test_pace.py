"""Choices made by measuring: the better one is taken, and measuring leaves no trace."""

import copy
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from osler.objectives.classification import Classification
from osler.records import Batch
from osler.training import pace
from osler.training.engine import Engine
from osler.training.pace import Measured, choose
from osler.training.processes import Processes
from osler.training.trainer import Trainer

CPU = torch.device("cpu")
X = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.randint(4, (40,), generator=torch.Generator().manual_seed(1))


class Drawing(nn.Module):
    """Draws from every generator there is."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (1 + 0.1 * random.random() + 0.1 * np.random.rand()) + 0.1 * torch.randn_like(x)  # noqa: NPY002


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.2), Drawing(), nn.Flatten(), nn.Linear(144, 4)
    )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures as if there were years to train."""
    monkeypatch.setattr(pace, "WORTH", 0.0)
    monkeypatch.setattr(pace, "SHARE", math.inf)
    monkeypatch.setattr(pace, "can_compile", lambda device: False)
    monkeypatch.setattr(pace, "bfloat16_is_fast", lambda device: True)
    monkeypatch.setattr(pace.os, "cpu_count", lambda: 4)


def state(model: nn.Module, optimizer: torch.optim.Optimizer) -> Any:
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
    kept = copy.deepcopy(optimizer.state_dict())
    moments = {key: {name: torch.as_tensor(v).tolist() for name, v in s.items()} for key, s in kept["state"].items()}
    chance = (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    modes = [module.training for module in model.modules()]
    layout = [p.stride() for p in model.parameters()]
    return weights, gradients, moments, kept["param_groups"], chance, modes, layout, torch.get_num_threads()


def chosen(engine: Engine, model: nn.Module, optimizer: Any, steps: int = 10**6, **options: Any) -> Any:
    turns = options.pop("turns", Classification.multiclass(4).turns())
    processes = options.pop("processes", Processes(CPU))
    return choose(engine, model, turns, [optimizer] * len(turns), Batch(X, Y), steps, processes)


@pytest.mark.usefixtures("at_once")
def test_measuring_leaves_no_trace() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(2):
        model(X).square().mean().backward()
        optimizer.step()
    before = state(model, optimizer)
    _, measured = chosen(Engine(), model, optimizer)
    assert len(measured) >= 2
    assert state(model, optimizer) == before
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.usefixtures("at_once")
def test_a_run_that_measures_and_takes_nothing_is_the_run_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def learn() -> Trainer:
        model = network()
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        loader = DataLoader(TensorDataset(X, Y), 10, shuffle=True)
        adam = torch.optim.Adam(model.parameters(), lr=0.01)
        trainer = Trainer(model, Classification.multiclass(4), optimizer=adam)
        trainer.fit(loader, loader, epochs=3)
        return trainer

    monkeypatch.setattr(pace, "GAIN", math.inf)
    measured = learn()
    assert len(measured.speed) >= 2
    assert not any(tried.taken for tried in measured.speed)
    monkeypatch.setattr("osler.training.trainer.choose", lambda engine, *_: (Engine(precision="float32"), []))
    plain = learn()
    assert plain.speed == []
    for mine, theirs in zip(measured.model.state_dict().values(), plain.model.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    assert [row["loss/val"] for row in measured.history] == [row["loss/val"] for row in plain.history]


def test_short_training_measures_nothing() -> None:
    model = network()
    trainer = Trainer(model, Classification.multiclass(4))
    trainer.fit([(X, Y)], epochs=2)
    assert trainer.speed == []
    engine = trainer.engine
    assert (engine.precision, engine.channels_last, engine.compile, engine.threads) == ("float32", False, False, None)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("odd", ["several processes", "players", "no length"])
def test_where_nothing_can_be_measured(odd: str) -> None:
    model = network()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    options: dict[str, Any] = {}
    if odd == "several processes":
        options["processes"] = Processes(CPU)
        options["processes"].count = 2
    if odd == "players":
        options["turns"] = list(Classification.multiclass(4).turns()) * 2
    engine, measured = chosen(Engine(), model, sgd, 0 if odd == "no length" else 10**6, **options)
    assert measured == []
    assert None not in (engine.precision, engine.channels_last, engine.compile)


@pytest.mark.usefixtures("at_once")
def test_a_network_that_cannot_be_copied_learns_all_the_same() -> None:
    class Single(nn.Linear):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("there is only one")

    model = Single(4, 1)
    trainer = Trainer(model, nn.MSELoss())
    trainer.fit([(torch.ones(5, 4), torch.ones(5, 1))], epochs=3)
    assert (trainer.status, trainer.step) == ("finished", 3)
    [tried] = trainer.speed
    assert (tried.taken, tried.why) == (False, "TypeError: there is only one")


# What is taken: by times that are given


Times = dict[tuple[Any, ...], float]


def key(engine: Engine) -> tuple[Any, ...]:
    return engine.threads, engine.channels_last, engine.precision, engine.compile


PLAIN = (None, False, "float32", False)


@pytest.fixture
def given_times(at_once: None, monkeypatch: pytest.MonkeyPatch) -> tuple[Times, dict[Any, list[float]]]:
    """Seconds a step of each way (else 1), and loss curves of each precision (else the same)."""
    times: Times = {}
    curves: dict[Any, list[float]] = {}

    def run(self: Any, engine: Engine, *_: Any) -> tuple[float, list[float]]:
        seconds = times.get(key(engine), 1.0)
        if math.isnan(seconds):
            raise RuntimeError("no such\nkernel")
        return seconds, curves.get(engine.precision, [2.0, 1.5, 1.0])

    monkeypatch.setattr(pace._Bench, "run", run)
    return times, curves


def sgd() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = network()
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def test_nothing_faster_nothing_taken(given_times: Any) -> None:
    engine, measured = chosen(Engine(), *sgd())
    assert key(engine) == PLAIN
    assert [tried.what for tried in measured] == ["4 threads", "channels last", "bfloat16"]
    assert not any(tried.taken for tried in measured)


def test_gains_add_up(given_times: Any) -> None:
    times, _ = given_times
    times[(4, False, "float32", False)] = 0.5
    times[(4, True, "float32", False)] = 0.7  # slower than what was taken
    times[(4, False, "bfloat16", False)] = 0.2
    engine, measured = chosen(Engine(), *sgd())
    assert key(engine) == (4, False, "bfloat16", False)
    assert [(tried.taken, tried.before, tried.after) for tried in measured] == [
        (True, 1000, 500),
        (False, 500, 700),
        (True, 500, 200),
    ]


def test_a_gain_that_may_be_chance_is_left(given_times: Any) -> None:
    times, _ = given_times
    times[(4, False, "float32", False)] = 1 / pace.GAIN + 1e-6
    assert key(chosen(Engine(), *sgd())[0]) == PLAIN
    times[(4, False, "float32", False)] = 1 / pace.GAIN - 1e-6
    assert key(chosen(Engine(), *sgd())[0]) == (4, False, "float32", False)


@pytest.mark.parametrize("curve", [[2.0, 1.5, 1.2], [2.0, 1.5, math.nan], [2.2, 1.5, 1.0]])
def test_faster_but_learning_otherwise_is_left(given_times: Any, curve: list[float]) -> None:
    times, curves = given_times
    times[(None, False, "bfloat16", False)] = 0.1
    curves["bfloat16"] = curve
    engine, measured = chosen(Engine(), *sgd())
    assert key(engine) == PLAIN
    assert not measured[-1].taken
    assert "the loss goes another way" in str(measured[-1])
    curves["bfloat16"] = [2.0, 1.55, 1.05]
    assert chosen(Engine(), *sgd())[0].precision == "bfloat16"


def test_what_does_not_run_is_said(given_times: Any) -> None:
    times, _ = given_times
    times[(None, True, "float32", False)] = math.nan
    engine, measured = chosen(Engine(), *sgd())
    assert key(engine) == PLAIN
    assert str(measured[1]) == "channels last: does not run here (no such kernel)"


def test_what_was_asked_for_is_not_tried(given_times: Any) -> None:
    asked = Engine(precision="float32", channels_last=False, compile=False, threads=3, micro_batches=2)
    engine, measured = chosen(asked, *sgd())
    assert (engine, measured) == (asked, [])
    _, measured = chosen(Engine(precision="float32", threads=3), *sgd())
    assert [tried.what for tried in measured] == ["channels last"]


def test_compiling_has_to_be_repaid(given_times: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    times, _ = given_times
    times[(None, False, "float32", True)] = 0.5
    monkeypatch.setattr(pace, "can_compile", lambda device: True)
    monkeypatch.setattr(pace, "SHARE", 0.05)
    assert chosen(Engine(), *sgd(), steps=1000)[0].compile is False  # 60 s are more than a twentieth of 1000 s
    assert chosen(Engine(), *sgd(), steps=2000)[0].compile is True


def test_in_words() -> None:
    assert str(Measured("1 thread", 2.0, 1.0, True)) == "1 thread: 2 → 1 ms a step (2.00 x), taken"
    assert str(Measured("bfloat16", 2.0, 1.6, False, "why")) == "bfloat16: 2 → 1.6 ms a step (1.25 x), left: why"
