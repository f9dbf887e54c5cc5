"""Losses and gradients that are no finite numbers, against loops that leave them out by hand."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from osler.errors import InputError
from osler.objectives.supervised import Supervised
from osler.optim.schedules import SCHEDULES
from osler.training import nonfinite
from osler.training.callbacks.callback import Callback
from osler.training.nonfinite import Guard, finite, first_place
from osler.training.trainer import Trainer

X = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (120,), generator=torch.Generator().manual_seed(1))


def network(normalised: bool = True) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6) if normalised else nn.Identity(), nn.ReLU(), nn.Linear(6, 3)
    )


def data(*bad: int, value: float = math.nan) -> list[tuple[Tensor, Tensor]]:
    """Ten batches; something in the inputs of the bad ones is no finite number."""
    x = X.clone()
    for batch in bad:
        x[12 * batch + 5, 2] = value
    return list(zip(x.split(12), Y.split(12), strict=True))


def trainer(model: nn.Module, policy: Any = "stop", **options: Any) -> Trainer:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    return Trainer(model, nn.CrossEntropyLoss(), optimizer=optimizer, on_nonfinite=policy, **options)


def by_hand(model: nn.Module, batches: list[tuple[Tensor, Tensor]], epochs: int, schedule: Any = None) -> list[float]:
    """Trains, and gives the losses of the steps; batches with odd inputs are left out before the network sees them."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    scheduler = schedule(optimizer, epochs * len(batches)) if schedule else None
    losses = []
    model.train()
    for x, y in batches * epochs:
        if not x.isfinite().all():
            continue
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        losses.append(loss.item())
    model.eval()
    return losses


def same(one: nn.Module, other: nn.Module) -> None:
    """Weights and statistics are the same, bit for bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name


# Stopping


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("bad", [0, 1, 6, 9])
def test_stop_ends_at_the_step_with_the_weights_unharmed(bad: int, normalised: bool) -> None:
    model, expected = network(normalised), network(normalised)
    teacher = trainer(model)
    teacher.fit(data(bad), epochs=3)
    by_hand(expected, data()[:bad], 1)
    assert teacher.status == "diverged"
    assert teacher.step == bad + 1
    assert len(teacher.history) == 1
    assert math.isnan(teacher.history[0]["loss/train"])
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    # Statistics that saw the bad batch would spoil every prediction.
    assert all(buffer.isfinite().all() for buffer in model.buffers())
    assert model(X).isfinite().all()
    assert teacher.notes == [
        f"step {bad + 1} of epoch 1: the loss is nan; first not finite: the inputs; the weights are unharmed"
    ]


class RootOf(nn.Module):
    """A finite loss whose gradient is none: the slope of a root at 0."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets) + (outputs[:0].sum() * 0 + self.zero(outputs)).sqrt()

    @staticmethod
    def zero(outputs: Tensor) -> Tensor:
        return (outputs * 0).square().sum()


class At(Callback):
    """Puts a criterion in place for one step."""

    def __init__(self, objective: Supervised, step: int, other: nn.Module) -> None:
        self.objective, self.when, self.other = objective, step, other
        self.usual = objective.criterion

    def step(self, trainer: Trainer) -> None:
        self.objective.criterion = self.other if trainer.step == self.when - 1 else self.usual


@pytest.mark.parametrize(("step", "epochs"), [(4, 1), (4, 3), (10, 1), (10, 2), (20, 2)])
def test_a_gradient_that_is_no_number_leaves_finite_weights(step: int, epochs: int) -> None:
    """Also in the last step of all, after which no loss would tell."""
    model, objective = network(), Supervised(nn.CrossEntropyLoss())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    teacher = Trainer(model, objective, optimizer=optimizer, callbacks=[At(objective, step, RootOf())])
    teacher.fit(data(), epochs=epochs)
    assert teacher.status == "diverged"
    assert finite(model)
    assert model(X).isfinite().all()
    assert "the weights are those of a few steps before" in teacher.notes[0]
    assert "spoilt by a step before" in teacher.notes[0]


def test_what_comes_back_are_the_weights_of_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite, "KEPT_EVERY", 4)
    model, expected, objective = network(), network(), Supervised(nn.CrossEntropyLoss())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    Trainer(model, objective, optimizer=optimizer, callbacks=[At(objective, 7, RootOf())]).fit(data(), epochs=1)
    by_hand(expected, data()[:4], 1)  # looked at in step 1, 5, 9, before it is taken
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_no_finite_number_either(value: float) -> None:
    teacher = trainer(network(False))
    teacher.fit(data(3, value=value), epochs=1)
    assert teacher.status == "diverged"
    assert teacher.step == 4


def test_a_network_that_cannot_be_copied_is_stopped_all_the_same() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("there is only one")

    teacher = trainer(Single())
    teacher.fit(data(2), epochs=2)
    assert teacher.status == "diverged"
    assert len(teacher.notes) == 1
    assert teacher.notes[0].startswith("step 3 of epoch 1: the loss is nan; ")
    assert teacher.notes[0].endswith("; the weights are unharmed")


def test_it_goes_on_where_it_is_mended() -> None:
    teacher = trainer(network())
    teacher.fit(data(2), epochs=1)
    teacher.fit(data(), epochs=2)
    assert teacher.status == "finished"
    assert [row["epoch"] for row in teacher.history] == [1, 2, 3]


# Where


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log()


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, *, pixels: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        return {"scores": self.layer(pixels)}


def place(model: nn.Module, loss: Callable[[Tensor], Tensor], x: Any = X) -> str:
    return first_place(model, lambda: loss(model(**x) if isinstance(x, dict) else model(x)))


def total(y: Any) -> Tensor:
    return (y["scores"] if isinstance(y, dict) else y).sum()


def test_the_first_place_is_named() -> None:
    spoilt = X.clone()
    spoilt[3, 2] = math.nan
    assert place(network(), total, spoilt) == "the inputs"
    assert place(Named(), total, {"pixels": spoilt}) == "the inputs"
    assert place(Named(), total, {"pixels": X}) == "nowhere when the step is repeated"
    layers = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Log()), nn.Linear(4, 1))
    assert place(layers, total) == "what '1.1' (Log) puts out"
    assert place(Log(), total) == "what the network (Log) puts out"
    assert place(network(), lambda y: y.sum() * math.inf) == "the loss itself"
    assert place(network(), lambda y: (y.sum() * 0).square().sqrt()) == "the gradient after '3' (Linear)"
    assert place(network(), total) == "nowhere when the step is repeated"
    with torch.no_grad():
        layers[2].bias.fill_(math.inf)
    assert place(layers, total) == "the weights '2.bias', spoilt by a step before"
    assert place(layers, total, spoilt) == "the inputs"


def test_a_gradient_that_is_lost_inside_is_named_by_the_module_behind_which_it_is() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(min=0).sqrt()

    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), Root(), nn.Linear(4, 1))
    assert place(layers, total) == "the gradient after '1' (ReLU)"


def test_looking_for_the_place_leaves_no_hook() -> None:
    model = network()
    for loss in (total, lambda y: y.sum() * math.nan):
        place(model, loss)
    with pytest.raises(ZeroDivisionError):
        first_place(model, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert not any(module._forward_hooks for module in model.modules())


# Leaving the step out


@pytest.mark.parametrize("schedule", [None, *(name for name in SCHEDULES if name != "reduce_on_plateau")])
@pytest.mark.parametrize("bad", [(0,), (3, 4, 5), (9,)])
def test_skip_equals_a_loop_that_leaves_them_out(bad: tuple[int, ...], schedule: str | None) -> None:
    make = (lambda optimizer, steps: SCHEDULES.create(schedule, optimizer, steps)) if schedule else None
    model, expected = network(), network()
    teacher = trainer(model, "skip", schedule=make)
    teacher.fit(data(*bad), epochs=3)
    losses = by_hand(expected, data(*bad), 3, make)
    assert teacher.status == "finished"
    same(model, expected)
    assert [row["loss/train"] for row in teacher.history] == pytest.approx(
        [
            sum(part) / len(part)
            for part in (losses[i : i + len(losses) // 3] for i in range(0, len(losses), len(losses) // 3))
        ],
        rel=1e-6,
    )
    assert len(teacher.notes) == 3 * len(bad)
    first = f"step {bad[0] + 1} of epoch 1: the loss is nan; first not finite: the inputs; the step was left out"
    assert teacher.notes[0] == first


def test_skip_leaves_out_gradients_that_are_no_numbers() -> None:
    model, expected, objective = network(), network(), Supervised(nn.CrossEntropyLoss())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    callback = At(objective, 4, RootOf())
    teacher = Trainer(model, objective, optimizer=optimizer, on_nonfinite="skip", callbacks=[callback])
    teacher.fit(data(), epochs=2)
    assert teacher.status == "finished"
    assert len(teacher.notes) == 1
    by_hand(expected, data(3)[:4] + data()[4:] + data(), 1)  # batch 3 of the first epoch is left out
    same(model, expected)


def test_skip_gives_up_after_twenty_in_a_row() -> None:
    x, y = X[:1].repeat(60, 1), Y[:1].repeat(60)
    x[10:] = math.nan
    model = network(False)
    teacher = trainer(model, "skip")
    teacher.fit(DataLoader(TensorDataset(x, y)), epochs=1)
    assert teacher.status == "diverged"
    assert teacher.step == 30
    assert len(teacher.notes) == 20
    assert finite(model)


def test_nineteen_in_a_row_again_and_again_are_no_reason_to_give_up() -> None:
    x, y = X[:1].repeat(60, 1), Y[:1].repeat(60)
    x[torch.arange(60) % 20 != 0] = math.nan
    teacher = trainer(network(False), "skip")
    teacher.fit(DataLoader(TensorDataset(x, y)), epochs=2)
    assert teacher.status == "finished"
    assert len(teacher.notes) == 2 * 57


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_an_epoch_of_bad_steps_only(policy: str) -> None:
    teacher = trainer(network(), policy)
    teacher.fit(data(0)[:1], data(), epochs=5)
    assert teacher.status == "diverged"
    assert finite(teacher.model)
    assert teacher.model(X).isfinite().all()


# Going back


@pytest.mark.parametrize("bad", [1, 6, 9])
def test_rollback_goes_back_and_on_with_the_next_batches(bad: int) -> None:
    schedule = lambda optimizer, steps: SCHEDULES.create("cosine", optimizer, steps)  # noqa: E731
    model, expected = network(False), network(False)
    teacher = trainer(model, "rollback", schedule=schedule)
    teacher.fit(data(bad), epochs=1)
    # Back to the beginning (the last copy), while the learning rate goes on.
    optimizer = torch.optim.Adam(expected.parameters(), lr=0.05)
    scheduler = schedule(optimizer, 10)
    first = copy.deepcopy((expected.state_dict(), optimizer.state_dict()["state"]))
    for x, y in data(bad):
        loss = F.cross_entropy(expected(x), y)
        optimizer.zero_grad()
        if loss.isfinite():
            loss.backward()
            optimizer.step()
            scheduler.step()
        else:
            expected.load_state_dict(first[0])
            optimizer.state.clear()
    assert teacher.status == "finished"
    same(model, expected)
    assert teacher.notes == [
        f"step {bad + 1} of epoch 1: the loss is nan; first not finite: the inputs; "
        "weights and optimizer went back some steps (1 of at most 3 times)"
    ]


def test_rollback_at_most_three_times() -> None:
    teacher = trainer(network(), "rollback")
    teacher.fit(data(4), epochs=3)
    assert teacher.status == "finished"
    teacher = trainer(network(), "rollback")
    teacher.fit(data(4), epochs=9)
    assert teacher.status == "diverged"
    assert (teacher.epoch, teacher.step) == (4, 35)
    assert len(teacher.notes) == 4
    assert finite(teacher.model)
    assert teacher.model(X).isfinite().all()


def test_the_rate_is_as_before_after_a_rollback() -> None:
    teacher = trainer(
        network(), "rollback", schedule=lambda optimizer, steps: SCHEDULES.create("one_cycle", optimizer, steps)
    )
    teacher.fit(data(4), epochs=2)
    assert teacher.optimizers[0].param_groups[0]["lr"] == 0.05


# Where a look means waiting


@pytest.mark.parametrize(("bad", "seen"), [(0, 20), (19, 20), (20, 40), (37, 40), (39, 40), (41, 45), (44, 45)])
def test_on_a_device_of_its_own_the_last_twenty_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch, bad: int, seen: int
) -> None:
    monkeypatch.setattr(nonfinite, "runs_ahead", lambda device: True)
    batches = [(x.clone(), y) for x, y in data() * 5][:45]
    batches[bad][0][0, 0] = math.nan
    model = network(False)
    teacher = trainer(model)
    teacher.fit(batches, epochs=2)
    assert teacher.status == "diverged"
    assert teacher.step == seen
    assert finite(model)
    assert len(teacher.notes) == 1
    assert "spoilt by a step before" in teacher.notes[0] or "the inputs" in teacher.notes[0]
    assert len(teacher.history) == 1


def test_what_the_guard_refuses() -> None:
    with pytest.raises(InputError, match=r"unknown way to deal with .* 'skipp'; did you mean 'skip'"):
        Guard(network(), [], "skipp")  # type: ignore[arg-type]


def test_weights_of_every_kind() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = nn.Parameter(torch.ones(2, dtype=torch.long), requires_grad=False)
            self.short = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
            self.long = nn.Parameter(torch.ones(2, dtype=torch.float64))

    model = Odd()
    assert finite(model)
    assert finite(nn.ReLU())
    model.long.data[1] = math.nan
    assert not finite(model)


def test_sparse_gradients_are_looked_at() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Flatten(), nn.Linear(6, 3))
    x, y = torch.randint(5, (12, 2)), Y[:12]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    teacher = Trainer(model, nn.CrossEntropyLoss(), optimizer=optimizer, on_nonfinite="skip")
    teacher.fit([(x, y)], epochs=2)
    assert teacher.status == "finished"
