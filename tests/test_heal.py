"""Healing: cures are tried, those that help are kept, and all of it is told."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import osler
from osler.errors import InputError
from osler.heal import clearly, improves, judged
from osler.heal import heal as healing
from osler.recipe import Recipe
from osler.records import Cure, Finding
from osler.remedies import LEAVE_ALL

HEALED: dict[str, Any] = {"heal": True, "verbose": False, "threads": 1, "epochs": 20}


@pytest.mark.parametrize(
    ("settings", "ailment"),
    [
        ({"optimizer": "sgd", "lr": 300.0}, "learning-rate-high"),
        ({"initialization": "zeros"}, "constant-init"),
        ({"dropout": 0.95}, "excessive-dropout"),
    ],
)
def test_a_sick_recipe_is_healed(tmp_path: Path, settings: dict[str, Any], ailment: str) -> None:
    run = osler.train("digits", model="mlp", out=tmp_path / "run", **HEALED, **settings)
    told = json.loads((run.folder / "healing.json").read_text())
    kept = [trial for trial in told["trials"] if trial["kept"]]
    assert kept[0]["ailment"] == ailment
    assert kept[0]["after"] > kept[0]["before"]
    assert told["after"]["accuracy"] > 0.9 > told["before"]["accuracy"]
    assert told["after"] == run.metrics
    assert osler.load(tmp_path / "run").metrics == run.metrics
    assert kept[0]["title"] in (run.folder / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]  # the other trainings are gone


def test_the_last_trial_leaves_all_to_the_advice_and_must_be_clearly_better(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"hidden": [64], "dropout": 0.95, "lr": 0.003}
    run = osler.train("digits", model="mlp", out=tmp_path / "run", **HEALED, **asked)
    trials = json.loads((run.folder / "healing.json").read_text())["trials"]
    assert trials[-1]["title"] == LEAVE_ALL
    assert set(trials[-1]["settings"]) == {"model.hidden", "model.dropout", "optimizer.lr", "epochs"}
    last = trials[-1]
    assert last["kept"] == clearly(last["before"], last["after"], "accuracy")
    assert (run.recipe.model.options.get("hidden") == [64]) != last["kept"]


def test_clearly_better_is_a_tenth_of_what_is_missing() -> None:
    assert clearly(0.9, 0.92, "accuracy")
    assert not clearly(0.9, 0.905, "accuracy")
    assert clearly(1.0, 0.8, "loss")
    assert not clearly(1.0, 0.95, "loss")
    assert clearly(math.nan, 0.1, "accuracy")


def test_a_healed_run_is_what_its_recipe_says(tmp_path: Path) -> None:
    run = osler.train("digits", model="mlp", initialization="zeros", out=tmp_path / "run", **HEALED)
    again = osler.train(recipe=run.folder / "recipe.yaml", out=tmp_path / "again", verbose=False)
    weights = run.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in again.model.state_dict().items())


def test_a_healthy_run_stays_as_it_is(tmp_path: Path) -> None:
    run = osler.train("iris", out=tmp_path / "run", **{**HEALED, "epochs": 60})
    told = json.loads((run.folder / "healing.json").read_text())
    assert told["trials"] == []
    assert told["before"] == told["after"]


def test_ones_own_network_is_trained_anew_each_time(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    run = osler.train((x, y), model=model, optimizer="sgd", lr=1e4, out=tmp_path / "run", **HEALED)
    told = json.loads((run.folder / "healing.json").read_text())
    assert told["after"]["accuracy"] > told["before"]["accuracy"] + 0.2
    assert any(trial["kept"] for trial in told["trials"])
    assert run.model is not model


def test_no_more_trainings_than_allowed(tmp_path: Path) -> None:
    settings = {**HEALED, "epochs": 2}
    run = osler.train("digits", model="mlp", max_norm=0.001, out=tmp_path / "run", trials=1, **settings)
    assert len(json.loads((run.folder / "healing.json").read_text())["trials"]) <= 1


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"doctor": False}])
def test_what_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"trials|doctor"):
        osler.train("iris", out=tmp_path / "run", **{**HEALED, **wrong})


class Told:
    """A run as healing sees it."""

    def __init__(self, value: float, findings: tuple[Finding, ...] = ()):
        self.value, self.findings, self.status = value, findings, "finished"
        self.recipe = Recipe.build({"metrics": ["accuracy"]})
        self.record = {"best_epoch": 1}

    @property
    def history(self) -> Any:
        import pandas as pd

        return pd.DataFrame([{"epoch": 1, "accuracy/val": self.value, "loss/val": 1 - self.value}])


def test_only_what_improves_is_kept() -> None:
    sick = Finding("underfitting", "warning", "", cures=tuple(Cure(str(n), settings={"epochs": n}) for n in (1, 2, 3)))
    scores = {1: 0.4, 2: 0.8, 3: 0.7}

    def train(recipe: Recipe) -> Any:
        assert recipe.epochs is not None
        return Told(scores[recipe.epochs], (sick,))

    told = list(healing(Told(0.5, (sick,)), Recipe(), train, trials=3))  # type: ignore[arg-type]
    assert [(trial.title, trial.kept) for trial, _ in told] == [("1", False), ("2", True), ("3", False)]
    assert [judged(run, "accuracy") for _, run in told] == [0.5, 0.8, 0.8]


def test_a_cure_that_cannot_be_trained_is_left() -> None:
    def train(recipe: Recipe) -> Any:
        raise InputError("no such option")

    sick = Finding("underfitting", "warning", "", cures=(Cure("odd", settings={"epochs": 9}),))
    [(trial, run)] = healing(Told(0.5, (sick,)), Recipe(), train, trials=5)  # type: ignore[arg-type]
    assert not trial.kept
    assert math.isnan(trial.after)
    assert judged(run, "accuracy") == 0.5


def test_better_than_nothing_is_better() -> None:
    assert improves(Told(0.5), Told(math.nan), "accuracy")  # type: ignore[arg-type]
    assert not improves(Told(math.nan), Told(0.5), "accuracy")  # type: ignore[arg-type]
    assert not improves(Told(math.nan), Told(math.nan), "accuracy")  # type: ignore[arg-type]
