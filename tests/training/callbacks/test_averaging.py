"""Averaged weights against torch's own AveragedModel and update_bn, and against sums worked out by hand."""

import copy
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.training.callbacks.averaging import AVERAGING, EMA, SWA, Averaging, recompute_statistics
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.trainer import Trainer

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0]) > 0).long()
EPOCHS = 4  # of 4 steps each


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def batches() -> Batches:
    return Batches(Dataset(X, Y), 16, shuffle=True, seed=3)


def trained(model: nn.Module, *callbacks: Any, epochs: int = EPOCHS, train: Any = None) -> Trainer:
    trainer = Trainer(
        model,
        Classification.multiclass(2),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9),
        callbacks=callbacks,
    )
    trainer.fit(batches() if train is None else train, [(X, Y)], epochs=epochs)
    return trainer


class Oracle(Callback):
    """torch's averaged model, told of the weights after every step from an epoch on."""

    def __init__(self, average: Any = None, buffers: bool = False, after: int = 0) -> None:
        self.average, self.buffers, self.after = average, buffers, after

    def begin(self, trainer: Trainer) -> None:
        self.model = AveragedModel(trainer.model, multi_avg_fn=self.average, use_buffers=self.buffers)

    def step(self, trainer: Trainer) -> None:
        if trainer.epoch > self.after:
            self.model.update_parameters(trainer.model)


class Seen(Callback):
    """The state after every step."""

    def begin(self, trainer: Trainer) -> None:
        self.states: list[dict[str, Tensor]] = []

    def step(self, trainer: Trainer) -> None:
        self.states.append(copy.deepcopy(trainer.model.state_dict()))


def same(one: nn.Module, other: nn.Module, but: str = "num_batches_tracked") -> None:
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name in mine:
        if not name.endswith(but):
            torch.testing.assert_close(mine[name], theirs[name], rtol=1e-5, atol=1e-6)


# EMA


def test_ema_is_torchs_with_the_warm_up() -> None:
    def average(averaged: list[Tensor], now: list[Tensor], n: Tensor) -> None:
        decay = min(0.5, float((1 + n) / (10 + n)))
        for a, w in zip(averaged, now, strict=True):
            a.copy_(decay * a + (1 - decay) * w if a.is_floating_point() else w)

    oracle = Oracle(average, buffers=True)
    trainer = trained(network(), EMA(0.5), oracle)
    same(trainer.model, oracle.model.module)


def test_without_need_of_a_warm_up_ema_is_torchs_as_it_is() -> None:
    oracle = Oracle(get_ema_multi_avg_fn(0.15))
    trainer = trained(network(), EMA(0.15), oracle)
    for mine, theirs in zip(trainer.model.parameters(), oracle.model.module.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_ema_by_hand() -> None:
    model, ema = nn.Linear(1, 1, bias=False), EMA(decay=0.22)
    trainer: Any = SimpleNamespace(model=model, epoch=1, status="finished")
    nn.init.constant_(model.weight, 10.0)
    ema.begin(trainer)
    for weight in (20.0, 40.0, 80.0):
        nn.init.constant_(model.weight, weight)
        ema.step(trainer)
    # decay 2/11, then 0.22 (below 3/12)
    expected = 0.22 * (2 / 11 * 20 + 9 / 11 * 40) + 0.78 * 80
    ema.end(trainer)
    assert model.weight.item() == pytest.approx(expected)


def test_sixteen_bits_are_averaged_in_thirty_two() -> None:
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    trainer: Any = SimpleNamespace(model=model, epoch=1, status="finished")
    nn.init.constant_(model.weight, 256.0)
    ema = EMA(0.999)
    ema.begin(trainer)
    ema.step(trainer)
    ema.count = 10**6
    nn.init.constant_(model.weight, 264.0)
    for _ in range(1000):  # each moves the average by less than 16 bits can tell from 256
        ema.step(trainer)
    ema.end(trainer)
    assert model.weight.dtype == torch.bfloat16
    assert model.weight.item() == pytest.approx(264 - 8 * math.exp(-1), rel=2**-8)


# SWA


@pytest.mark.parametrize(("start", "after"), [(0.0, 0), (0.5, 2), (0.74, 2), (0.75, 3), (0.99, 3)])
def test_swa_is_torchs(start: float, after: int) -> None:
    oracle = Oracle(after=after)
    train = [(X[i::4], Y[i::4]) for i in range(4)]
    trainer = trained(network(), SWA(start), oracle, train=train)
    update_bn(train, oracle.model)
    same(trainer.model, oracle.model.module)
    assert not trainer.model.training


def test_swa_is_the_mean_of_the_weights() -> None:
    seen = Seen()
    trainer = trained(network(), seen, SWA(0.5))
    for name, parameter in trainer.model.named_parameters():
        mean = torch.stack([state[name] for state in seen.states[8:]]).mean(dim=0)
        torch.testing.assert_close(parameter.detach(), mean)


def test_statistics_are_those_of_the_training_data_in_one_piece() -> None:
    # One batch of everything: mean and variance by definition, of what the averaged first layer gives.
    trainer = trained(network(), SWA(0.5), train=[(X, Y)])
    linear, norm = trainer.model[0], trainer.model[1]
    with torch.no_grad():
        given = linear(X)
    torch.testing.assert_close(norm.running_mean, given.mean(dim=0))
    torch.testing.assert_close(norm.running_var, given.var(dim=0))
    assert norm.momentum == 0.1


def test_when_training_goes_on_a_new_average_begins() -> None:
    swa, seen = SWA(0.5), Seen()
    trainer = trained(network(), seen, swa)
    trainer.fit(batches(), epochs=2)
    assert trainer.epoch == 6
    for name, parameter in trainer.model.named_parameters():
        mean = torch.stack([state[name] for state in seen.states[4:]]).mean(dim=0)
        torch.testing.assert_close(parameter.detach(), mean)


# While it learns


@pytest.mark.parametrize(("make", "epochs"), [(EMA, 4), (lambda: SWA(0.25), 3)])
def test_what_learns_is_not_touched(make: Callable[[], Averaging], epochs: int) -> None:
    class Judge(Callback):
        """Looks through the average after every epoch, as validation does."""

        def step(self, trainer: Trainer) -> None:
            self.learning = trainer.model[0].weight.detach().clone()

        def epoch(self, trainer: Trainer) -> None:
            before, chance = copy.deepcopy(trainer.model.state_dict()), torch.get_rng_state()
            modes = [module.training for module in trainer.model.modules()]
            with averaging.judging(trainer):
                looked.append(not torch.equal(self.learning, trainer.model[0].weight))
            after = trainer.model.state_dict()
            assert all(torch.equal(before[name], after[name]) for name in before)
            assert torch.equal(chance, torch.get_rng_state())
            assert modes == [module.training for module in trainer.model.modules()]

    averaging, alone, beside = make(), Seen(), Seen()
    looked: list[bool] = []
    trained(network(), alone)
    trained(network(), beside, averaging, Judge())
    assert looked == [False] * (EPOCHS - epochs) + [True] * epochs
    for mine, theirs in zip(alone.states, beside.states, strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("make", [EMA, SWA])
def test_the_average_is_judged_with_its_own_statistics(make: type[Averaging]) -> None:
    """What is seen after the last step is what the model is in the end."""

    class Judge(Callback):
        def step(self, trainer: Trainer) -> None:
            with averaging.judging(trainer):
                self.state = copy.deepcopy(trainer.model.state_dict())

    averaging, judge = make(), Judge()
    end = trained(network(), averaging, judge).model.state_dict()
    assert all(torch.equal(judge.state[name], end[name]) for name in end)


def test_statistics_of_frozen_layers_and_of_unseen_ones_stay() -> None:
    class Player(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.frozen, self.unseen = nn.BatchNorm1d(4), nn.BatchNorm1d(4), nn.BatchNorm1d(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.frozen(self.used(x))[:, :2]

    model = Player()
    for layer in (model.frozen, model.unseen):
        layer(X + 5)
    model.frozen.eval()
    before = copy.deepcopy(model.state_dict())
    trainer = Trainer(model, nn.CrossEntropyLoss())
    trainer.train = [(X, Y)]
    recompute_statistics(trainer)
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"used.running_mean", "used.running_var", "used.num_batches_tracked"}
    assert [m.training for m in (model.used, model.frozen, model.unseen)] == [True, False, True]


def test_dropout_is_off_and_draws_nothing() -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(4), nn.Linear(4, 2))
    trainer = Trainer(model, nn.CrossEntropyLoss())
    trainer.train = [(X, Y)]
    model.train()
    recompute_statistics(trainer)
    torch.testing.assert_close(model[1].running_mean, X.mean(dim=0))


@pytest.mark.parametrize("status", ["diverged", "failed", "terminated"])
def test_the_average_is_no_use_then(status: str) -> None:
    ema, model = EMA(), network()
    trainer = Trainer(model, Classification.multiclass(2), callbacks=[ema])
    ema.begin(trainer)
    ema.step(trainer)
    nn.init.zeros_(model[0].weight)
    ema.step(trainer)
    trainer.status = status
    ema.end(trainer)
    assert not model[0].weight.any()


def test_early_stopping_before_it_has_the_last_word() -> None:
    stopping = EarlyStopping()
    trainer = trained(network(), stopping, EMA(0.5))
    assert stopping.best_epoch is not None
    end = trainer.model.state_dict()
    assert all(torch.equal(stopping.weights[name], end[name]) for name in end)


# Going on from a checkpoint


@pytest.mark.parametrize("make", [EMA, lambda: SWA(0.5)])
def test_it_goes_on_from_its_state(make: Any) -> None:
    class Stop(Callback):
        """Takes the state in the middle of epoch 3, then gives it to another in the same place."""

        def step(self, trainer: Trainer) -> None:
            if trainer.step == 10:
                state = copy.deepcopy(first.state_dict())
                fake: Any = SimpleNamespace(model=network(), epoch=2, epochs=3, train=[(X, Y)])
                second.begin(fake)  # knows nothing of the four epochs
                second.load_state_dict(state)
                second.live = second.averaged(trainer.model)
            if trainer.step > 10:
                second.step(trainer)

    first, second = make(), make()
    trained(network(), first, Stop())
    assert first.count == second.count > 2
    assert first.average.keys() == second.average.keys()
    assert all(torch.equal(first.average[name], second.average[name]) for name in first.average)


def test_the_state_is_plain() -> None:
    swa = SWA()
    trained(network(), swa)
    state = swa.state_dict()
    assert state["after"] == 3
    assert state["count"] == 4
    assert all(type(tensor) in (Tensor, nn.Parameter) for tensor in state["average"].values())
    assert not any(tensor.requires_grad for tensor in state["average"].values())


# By name, and what cannot be used


def test_by_name() -> None:
    assert isinstance(AVERAGING.create("ema", decay=0.9), EMA)
    assert isinstance(AVERAGING.create("stochastic_weight_averaging"), SWA)
    with pytest.raises(InputError, match="decay"):
        AVERAGING.create("ema", dekay=0.9)


@pytest.mark.parametrize(("make", "rule"), [(lambda: EMA(1.0), "below 1"), (lambda: SWA(-0.1), "at least 0")])
def test_what_cannot_be_used(make: Any, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        make()


def test_batches_that_come_once_cannot_be_passed_over_again() -> None:
    def once() -> Iterator[tuple[Tensor, Tensor]]:
        yield X, Y

    with pytest.raises(InputError, match="a generator can be used once: give a DataLoader"):
        trained(network(), SWA(), epochs=1, train=once())
    trained(nn.Linear(4, 2), SWA(), epochs=1, train=once())  # nothing to recompute


def test_a_network_without_batch_normalisation_needs_no_extra_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osler.training.callbacks.averaging.recompute_statistics", None)
    torch.manual_seed(1)
    trainer = trained(nn.Linear(4, 2), SWA(0.5))
    assert F.cross_entropy(trainer.model(X), Y) < 0.5
