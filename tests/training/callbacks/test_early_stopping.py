"""Early stopping against validation losses known in advance."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from osler.errors import InputError
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.history import History


class FakeTrainer:
    """Epochs with given values; the weight is the number of the epoch."""

    def __init__(self, stopping: EarlyStopping) -> None:
        self.stopping, self.model = stopping, nn.Linear(1, 1, bias=False)
        self.history, self.epoch, self.stop_reason, self.status = History(), 0, "", "finished"

    def stop(self, reason: str) -> None:
        self.stop_reason = reason

    def run(self, values: list[float], monitor: str = "loss/val") -> int:
        """The epoch after which training ended."""
        self.stop_reason = ""
        self.stopping.begin(self)  # type: ignore[arg-type]
        for value in values:
            self.epoch += 1
            nn.init.constant_(self.model.weight, self.epoch)
            self.history.append({"epoch": self.epoch, monitor: value})
            self.stopping.epoch(self)  # type: ignore[arg-type]
            if self.stop_reason:
                break
        self.stopping.end(self)  # type: ignore[arg-type]
        return self.epoch


@pytest.mark.parametrize(
    ("patience", "values", "last", "best"),
    [
        (2, [1.0, 0.5, 0.6, 0.7, 0.1], 4, 2),
        (2, [1.0, 0.5, 0.6, 0.4, 0.5, 0.6, 0.1], 6, 4),
        (1, [1.0, 1.0, 0.5], 2, 1),
        (0, [1.0, 0.5, 2.0, 3.0, 4.0], 5, 2),
        (3, [1.0, 0.9], 2, 2),
        (2, [math.inf, 0.9, math.nan, math.inf, 0.1], 4, 2),
    ],
)
def test_it_stops_at_the_right_epoch_and_restores_the_best_weights(
    patience: int, values: list[float], last: int, best: int
) -> None:
    stopping = EarlyStopping(patience)
    trainer = FakeTrainer(stopping)
    assert trainer.run(values) == last
    assert stopping.best_epoch == trainer.model.weight.item() == best
    assert ("no better loss/val for" in trainer.stop_reason) == (last < len(values))


@settings(deadline=None)
@given(st.lists(st.integers(0, 4).map(float) | st.just(math.nan), min_size=1, max_size=12), st.integers(1, 4))
def test_against_the_rule_in_words(values: list[float], patience: int) -> None:
    trainer = FakeTrainer(EarlyStopping(patience))
    seen = values[: trainer.run(values)]
    finite = [value for value in seen if not math.isnan(value)]
    if finite:
        assert trainer.stopping.best == min(finite)
        assert trainer.model.weight.item() == seen.index(min(finite)) + 1
    else:
        assert trainer.stopping.best_epoch is None
    # The last `patience` epochs brought nothing better, and before there was no such stretch.
    for end in range(patience, len(seen) + 1):
        before, stretch = seen[: end - patience], seen[end - patience : end]
        known = min((v for v in before if not math.isnan(v)), default=math.inf)
        idle = not any(value < known for value in stretch)
        if end < len(seen):
            assert not idle
        else:
            assert bool(trainer.stop_reason) == idle


def test_metrics_are_watched_in_their_own_direction() -> None:
    for monitor, values, best in (("accuracy/val", [0.5, 0.9, 0.8, 0.7], 2), ("rmse/val", [3.0, 2.0, 4.0, 5.0], 2)):
        trainer = FakeTrainer(EarlyStopping(2, monitor))
        assert trainer.run(values, monitor) == 4
        assert trainer.model.weight.item() == best
    trainer = FakeTrainer(EarlyStopping(2, "my_score/val", lower=False))
    trainer.run([1.0, 3.0, 2.0], "my_score/val")
    assert trainer.model.weight.item() == 2
    with pytest.raises(InputError, match="my_score"):
        EarlyStopping(2, "my_score/val")


def test_when_training_goes_on_patience_begins_anew_and_the_best_stays() -> None:
    trainer = FakeTrainer(EarlyStopping(2))
    assert trainer.run([1.0, 0.5, 0.6, 0.7]) == 4
    assert trainer.run([0.9, 0.8, 0.1]) == 6
    assert trainer.stopping.best_epoch == trainer.model.weight.item() == 2
    assert trainer.run([0.4, 0.6]) == 8
    assert trainer.stopping.best_epoch == trainer.model.weight.item() == 7


def test_without_a_finite_value_the_weights_stay() -> None:
    trainer = FakeTrainer(EarlyStopping(5))
    trainer.run([math.nan, math.inf])
    assert trainer.stopping.best_epoch is None
    assert trainer.model.weight.item() == 2


def test_diverged_at_once_is_left_as_it_began() -> None:
    trainer = FakeTrainer(EarlyStopping(5))
    nn.init.constant_(trainer.model.weight, -7.0)
    trainer.status = "diverged"
    trainer.run([math.nan])
    assert trainer.stopping.best_epoch is None
    assert trainer.model.weight.item() == -7


def test_buffers_and_extra_state_come_back_too() -> None:
    class Counting(nn.BatchNorm1d):
        calls = 0

        def get_extra_state(self) -> dict[str, int]:
            return {"calls": self.calls}

        def set_extra_state(self, state: dict[str, int]) -> None:
            self.calls = state["calls"]

    model = Counting(1)
    stopping = EarlyStopping(5)
    for epoch, (value, calls) in enumerate([(0.5, 7), (0.9, 8)], start=1):
        model.calls = calls
        model(torch.full((4, 1), float(epoch)))
        stopping.epoch(SimpleNamespace(model=model, history=[{"loss/val": value}], epoch=epoch))  # type: ignore[arg-type]
    trainer: Any = SimpleNamespace(model=model)
    stopping.end(trainer)
    assert model.calls == 7
    assert model.running_mean.item() == pytest.approx(0.1)
    assert model.num_batches_tracked.item() == 1


def test_what_cannot_be_used() -> None:
    with pytest.raises(InputError, match="but got -1"):
        EarlyStopping(-1)
    with pytest.raises(InputError, match=r"'loss/val' is not among epoch, loss/train \(is there validation data"):
        FakeTrainer(EarlyStopping()).run([1.0], "loss/train")
