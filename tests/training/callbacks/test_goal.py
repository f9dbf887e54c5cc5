"""Goals: reached at the first epoch that is as good as said, never before."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.goal import Goal
from osler.training.trainer import Trainer

X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
DATA = [(X, (X[:, 0] > 0).long())]


class Given(Callback):
    """Validation accuracies as given."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def epoch(self, trainer: Trainer) -> None:
        trainer.history[-1]["accuracy/val"] = self.values[trainer.epoch - 1]


def learn(goal: Goal, *values: float, validation: Any = DATA) -> Trainer:
    objective = Classification.multiclass(2, metrics=["accuracy"])
    trainer = Trainer(nn.Linear(4, 2), objective, callbacks=[Given(list(values)), goal])
    trainer.fit(DATA, validation, epochs=len(values))
    return trainer


@pytest.mark.parametrize(
    ("text", "values", "epoch"),
    [
        ("accuracy>=0.9", [0.5, 0.89999, 0.9, 0.99], 3),
        ("accuracy>=0.9", [0.95, 0.1], 1),
        (" accuracy  >= 9e-1 ", [0.1, 0.95, 0.1], 2),
        ("accuracy/val>=.9", [0.1, 0.95, 0.1], 2),
        ("accuracy<=+0.2", [0.3, 0.2, 0.1], 2),
        ("accuracy>=-1", [0.0, 0.1], 1),
        ("accuracy>=0.9", [math.nan, 0.5, 0.91, 1.0], 3),
        ("accuracy<=0.9", [math.nan, 0.95, 0.91, 0.5], 4),
    ],
)
def test_the_first_epoch_that_is_good_enough(text: str, values: list[float], epoch: int) -> None:
    goal = Goal(text)
    trainer = learn(goal, *values)
    assert (trainer.status, trainer.epoch, goal.reached) == ("stopped early", epoch, epoch)
    assert trainer.stop_reason == f"goal {text} reached: {values[epoch - 1]:.4g}"


def test_a_goal_that_is_not_reached() -> None:
    goal = Goal("accuracy>=1.01")
    trainer = learn(goal, 0.5, 1.0, 1.0)
    assert (trainer.status, trainer.epoch, goal.reached) == ("finished", 3, None)


def test_by_the_loss() -> None:
    goal = Goal("loss<=100")
    assert learn(goal, 0.0, 0.0).epoch == 1
    assert goal.reached == 1


@pytest.mark.parametrize(
    "text",
    ["", "accuracy", "accuracy>0.9", "accuracy=>0.9", "accuracy==1", ">=0.9", "accuracy>=", "accuracy>=high",
     "accuracy>=0.9%", "accuracy>=1.2.3", "accuracy>=--1", "accuracy>=e", "accuracy >= 0.9 <= 1", "acc uracy>=1"],
)  # fmt: skip
def test_what_is_no_goal(text: str) -> None:
    with pytest.raises(InputError, match=r"a goal is like accuracy>=0.99"):
        Goal(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("acuracy>=0.9", "unknown validation metric in the goal 'acuracy'; did you mean 'accuracy'"),
        ("f7>=0.9", "unknown validation metric in the goal 'f7'; known: accuracy, loss"),
        ("loss/train<=0.1", "unknown validation metric in the goal 'loss/train'; did you mean 'loss'"),
    ],
)
def test_what_is_not_measured(text: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        learn(Goal(text), 0.5, 0.5)


def test_without_validation_data() -> None:
    goal = Goal("loss<=100")
    trainer = Trainer(nn.Linear(4, 2), Classification.multiclass(2), callbacks=[goal])
    with pytest.raises(InputError, match="validation"):
        trainer.fit(DATA, epochs=2)
