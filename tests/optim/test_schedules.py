import copy
import doctest
import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from osler.errors import InputError
from osler.optim import schedules
from osler.optim.optimizers import OPTIMIZERS
from osler.optim.schedules import SCHEDULES


def made(optimizer="sgd", lr=0.4):
    return OPTIMIZERS.create(optimizer, [nn.Parameter(torch.zeros(1))], lr=lr)


def rates(name, steps, lr=0.4, optimizer="sgd", **options):
    """The learning rate of each step, and the one after the last."""
    optimizer = made(optimizer, lr)
    schedule = SCHEDULES.create(name, optimizer, steps, **options)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*seen, optimizer.param_groups[0]["lr"]]


def cosine(t, steps):
    return 0.5 * (1 + math.cos(math.pi * t / steps))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("constant", {}, lambda t: 1),
        ("step", {}, lambda t: 0.1 ** (t // 7)),
        ("step", {"factor": 0.5, "drops": 3}, lambda t: 0.5 ** (t // 5)),
        ("exponential", {}, lambda t: 0.01 ** (t / 20)),
        ("exponential", {"final": 0.5}, lambda t: 0.5 ** (t / 20)),
        ("cosine", {}, lambda t: cosine(t, 20)),
        ("cosine", {"minimum": 0.1}, lambda t: 0.25 + 0.75 * cosine(t, 20)),
        ("warmup", {}, lambda t: min(1, (t + 1) / 3)),
        ("warmup", {"warmup": 0.5}, lambda t: min(1, (t + 1) / 11)),
        ("warmup", {"warmup": 0.0}, lambda t: 1),
        ("warmup_cosine", {}, lambda t: (t + 1) / 3 if t < 2 else cosine(t - 2, 18)),
        ("warmup_cosine", {"warmup": 0.0}, lambda t: cosine(t, 20)),
    ],
)
def test_formula(name, options, expected):
    assert rates(name, 20, **options) == pytest.approx([0.4 * expected(t) for t in range(21)], abs=1e-12)


def test_one_cycle():
    seen = rates("one_cycle", 100)
    assert seen[0] == pytest.approx(0.4 / 25)
    assert max(seen) == pytest.approx(0.4)
    assert seen.index(max(seen)) == 29
    assert seen[99] == pytest.approx(0.4 / 25 / 1e4)
    # The first arc: half a cosine from 1/25 to 1 over 29 steps.
    assert seen[10] == pytest.approx(0.4 + (0.4 / 25 - 0.4) * cosine(10, 29))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_cycle_momentum(optimizer):
    optimizer_name, optimizer = optimizer, made(optimizer)
    schedule = SCHEDULES.create("one_cycle", optimizer, 10)
    group = optimizer.param_groups[0]
    cycled = optimizer_name in {"momentum", "nesterov", "adam", "adamw", "adamax", "nadam"}
    assert schedule.cycle_momentum == cycled
    if not cycled:
        assert group.get("momentum", 0) == 0
        return

    def momentum():
        return group["betas"][0] if "betas" in group else group["momentum"]

    seen = []
    for _ in range(10):
        seen.append(momentum())
        optimizer.step()
        schedule.step()
    assert seen[0] == pytest.approx(0.95)
    assert min(seen) == pytest.approx(0.85)
    still = made(optimizer_name)
    before = copy.deepcopy(still.param_groups[0].get("betas", still.param_groups[0].get("momentum")))
    SCHEDULES.create("one_cycle", still, 10, cycle_momentum=False)
    assert still.param_groups[0].get("betas", still.param_groups[0].get("momentum")) == before


def test_peak_of_each_group():
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = OPTIMIZERS.create("adam", [{"params": [a], "lr": 0.1}, {"params": [b]}], lr=0.4)
    schedule = SCHEDULES.create("one_cycle", optimizer, 10)
    peaks = [0.0, 0.0]
    for _ in range(10):
        peaks = [max(p, g["lr"]) for p, g in zip(peaks, optimizer.param_groups, strict=True)]
        optimizer.step()
        schedule.step()
    assert peaks == pytest.approx([0.1, 0.4])


def test_reduce_on_plateau():
    optimizer = made()
    schedule = SCHEDULES.create("plateau", optimizer, 1000, factor=0.5, patience=2, minimum=0.15)
    assert isinstance(schedule, ReduceLROnPlateau)
    seen = []
    for loss in [1.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8, 0.8]:
        optimizer.step()
        schedule.step(torch.tensor(loss))
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [0.4] * 4 + [0.2] * 4 + [0.15] * 2


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", SCHEDULES)
def test_few_steps(name, steps):
    if name != "reduce_on_plateau":
        assert all(0 <= rate <= 0.4 + 1e-12 for rate in rates(name, steps))


@pytest.mark.parametrize("name", SCHEDULES)
def test_conformance(name):
    docs = SCHEDULES[name].__doc__
    for part in ("Formula:", "Source:"):
        assert part in docs, part

    def run(optimizer, schedule, steps):
        seen = []
        for t in range(steps):
            optimizer.step()
            schedule.step(*([1.0 + t] if isinstance(schedule, ReduceLROnPlateau) else []))
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    optimizer = made("adam")
    schedule = SCHEDULES.create(name, optimizer, 20)
    assert isinstance(schedule, LRScheduler)
    assert isinstance(schedule, ReduceLROnPlateau) == (name == "reduce_on_plateau")
    run(optimizer, schedule, 8)
    loaded = made("adam")
    loaded_schedule = SCHEDULES.create(name, loaded, 20)
    states = copy.deepcopy((optimizer.state_dict(), schedule.state_dict()))
    loaded.load_state_dict(states[0])
    loaded_schedule.load_state_dict(states[1])
    assert run(loaded, loaded_schedule, 12) == run(optimizer, schedule, 12)


def test_after_another_schedule():
    """A second schedule begins with the optimizer's rate of now."""
    optimizer = made(lr=0.4)
    SCHEDULES.create("one_cycle", optimizer, 10)
    optimizer.param_groups[0]["lr"] = 0.2
    SCHEDULES.create("cosine", optimizer, 10)
    assert optimizer.param_groups[0]["lr"] == 0.2


@pytest.mark.parametrize(
    ("name", "steps", "options", "words"),
    [
        ("cosine", 0, {}, "steps must be a whole number of at least 1, got 0"),
        ("cosine", 1.5, {}, "steps"),
        ("cosine", 10, {"minimum": -1.0}, "minimum"),
        ("step", 10, {"factor": 1.0}, "factor"),
        ("step", 10, {"drops": 0}, "drops"),
        ("exponential", 10, {"final": 0.0}, "final"),
        ("one_cycle", 10, {"warmup": 1}, "warmup"),
        ("warmup", 10, {"warmup": 500}, "warmup must be at least 0 and below 1, got 500"),
        ("warmup_cosine", 10, {"warmup": -0.1}, "warmup"),
        ("reduce_on_plateau", 10, {"patience": 0}, "patience"),
        ("cosine", 10, {"minimun": 0.1}, "did you mean 'minimum'"),
    ],
)
def test_refusals(name, steps, options, words):
    with pytest.raises(InputError, match=words):
        SCHEDULES.create(name, made(), steps, **options)


def test_refuses_what_is_no_optimizer():
    with pytest.raises(InputError, match="optimizer"):
        SCHEDULES.create("cosine", nn.Linear(1, 1), 10)


def test_doctest():
    assert doctest.testmod(schedules).failed == 0
