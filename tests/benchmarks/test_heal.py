import json
import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import heal
from benchmarks.heal import FAULTS, SEARCHES, SOURCES, SPACE, Fault, Row, given, redrawn, undone
from osler.build import with_known_names
from osler.recipe import Recipe

# Faults.
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.source}: {f.name}{' (all)' * f.whole}")


def test_there_are_enough_and_each_is_another() -> None:
    assert len(FAULTS) >= 20
    assert len({(f.name, f.source, f.whole) for f in FAULTS}) == len(FAULTS)
    assert {f.source for f in FAULTS} == SOURCES.keys()


@each_fault
def test_each_is_a_recipe_that_says_its_fault(fault: Fault) -> None:
    sick = with_known_names(fault.recipe)
    assert sick != with_known_names(fault.reference)
    assert set(given(fault.reference)) - {"class_weights"} == {"epochs"}
    assert set(given(sick)) <= SPACE.keys()  # all of it can be drawn anew
    assert fault.whole == (len(given(sick)) > 5)


def test_a_whole_recipe_says_what_it_can() -> None:
    fault = Fault("", "digits", {"lr": 3.0}, whole=True)
    assert fault.recipe.optimizer is not None
    assert fault.recipe.optimizer.options == {"lr": 3.0, "weight_decay": 1e-4}
    hidden, optimizer = ("model.hidden", "model.activation", "model.dropout"), ("lr", "weight_decay", "name")
    others = ("scale", "initialization", "epochs", "batch_size")
    assert set(given(fault.recipe)) == {*hidden, *(f"optimizer.{o}" for o in optimizer), *others}


def test_made_data() -> None:
    inputs, classes = heal.rare()  # type: ignore[misc]
    assert Counter(classes.tolist()) == {0: 2850, 1: 150}
    assert inputs[classes == 1].mean() - inputs[classes == 0].mean() == pytest.approx(0.9, abs=0.1)
    table: Any = heal.friedman()
    straight = np.linalg.lstsq(np.c_[table.drop(columns="strength"), np.ones(600)], table.strength, rcond=None)
    assert 0.6 < 1 - straight[1][0] / ((table.strength - table.strength.mean()) ** 2).sum() < 0.85  # not all is linear


# Searches.
@each_fault
def test_draws_are_recipes_that_differ_only_in_what_was_given(fault: Fault) -> None:
    sick, dice = fault.recipe, random.Random(0)
    names = given(sick)
    for _ in range(10):
        drawn = with_known_names(redrawn(sick, names, SOURCES[fault.source], dice))
        assert set(given(drawn)) <= set(names)
        assert set(given(drawn)) >= set(names) - {"penalty", "max_norm"}  # which may be left out
        assert drawn.source == sick.source
        assert drawn.seed == sick.seed
        assert drawn.metrics == sick.metrics


@pytest.mark.parametrize("name", ["optimizer.name", "epochs", "model.hidden", "penalty"])
def test_one_setting_is_redrawn_alone(name: str) -> None:
    sick = next(f for f in FAULTS if f.name == "L1 penalty 1" and f.whole).recipe
    drawn = [redrawn(sick, [name], SOURCES["digits"], random.Random(seed)) for seed in range(20)]
    field = name.partition(".")[0]
    assert any(d != sick for d in drawn)
    assert all({**d.to_dict(), field: 0} == {**sick.to_dict(), field: 0} for d in drawn)
    if name == "optimizer.name":
        assert all(d.optimizer and sick.optimizer and d.optimizer.options == sick.optimizer.options for d in drawn)


def test_learning_rates_of_each_magnitude_are_as_likely() -> None:
    dice = random.Random(0)
    drawn = [math.log10(SPACE["optimizer.lr"](dice, SOURCES["iris"])) for _ in range(2000)]
    assert stats.kstest(drawn, stats.uniform(-5, 5).cdf).pvalue > 0.01


def test_a_setting_is_left_to_the_advice() -> None:
    sick = Recipe.build({"optimizer": "sgd", "lr": 9.0, "scale": False})
    assert undone(sick, "optimizer.lr") == Recipe.build({"optimizer": "sgd", "scale": False})
    assert undone(sick, "scale") == Recipe.build({"optimizer": "sgd", "lr": 9.0})


class Told:
    """A run whose accuracy is its number of epochs on validation, in per mille, and the opposite on test."""

    def __init__(self, recipe: Recipe):
        assert isinstance(recipe.epochs, int)
        self.recipe = recipe.model_copy(update={"metrics": ["accuracy"]})
        self.value, self.record = recipe.epochs / 1000, {"best_epoch": 1}
        self.metrics = {"accuracy": 1 - self.value}
        self.history = pd.DataFrame([{"epoch": 1, "accuracy/val": self.value, "loss/val": 1 - self.value}])


class Trainings:
    source = SOURCES["iris"]

    def __init__(self) -> None:
        self.seen: list[Recipe] = []

    def run(self, recipe: Recipe) -> Any:
        self.seen.append(recipe)
        return None if recipe.epochs is None else Told(recipe)


@pytest.mark.parametrize("kind", ["random", "local"])
def test_what_is_best_on_validation_is_kept(kind: str) -> None:
    trainings = Trainings()
    sick = Recipe.build({"epochs": 25, "batch_size": 16})
    found = heal.search(kind, sick, trainings, 6, random.Random(1))  # type: ignore[arg-type]
    assert trainings.seen[0] == sick
    assert len(trainings.seen) == len(found) == 7
    assert len({recipe.to_yaml() for recipe in trainings.seen}) == 7  # none twice
    assert found == pytest.approx(list(1 - np.maximum.accumulate([r.epochs / 1000 for r in trainings.seen])))
    if kind == "local":
        best = sick
        for recipe in trainings.seen[1:]:
            assert (recipe.epochs == best.epochs) != (recipe.batch_size == best.batch_size)
            best = max(best, recipe, key=lambda r: r.epochs or 0)


def test_undoing_ends_when_nothing_is_left() -> None:
    trainings = Trainings()
    sick = Recipe.build({"epochs": 25, "batch_size": 16})
    found = heal.search("undo", sick, trainings, 5, random.Random(0))  # type: ignore[arg-type]
    assert {r.to_yaml() for r in trainings.seen[1:]} == {
        Recipe.build(settings).to_yaml() for settings in ({"epochs": 25}, {"batch_size": 16})
    }
    assert found == [0.975] * 6  # none was better: one has the same loss, the other could not be trained


def test_advice_is_one_retraining() -> None:
    trainings = Trainings()
    sick = Recipe.build({"epochs": 25, "batch_size": 16, "model": "mlp", "hidden": [1], "source": "iris"})
    found = heal.search("advice", sick, trainings, 4, random.Random(0))  # type: ignore[arg-type]
    assert trainings.seen[1:] == [Recipe.build({"model": "mlp", "source": "iris"})]
    assert found == [0.975] * 5


# Scores.
def test_standard_errors() -> None:
    assert heal.error("accuracy", 0.9, 1000) == pytest.approx(math.sqrt(0.09 / 1000), rel=0.01)
    assert heal.error("accuracy", 1.0, 30) == pytest.approx(math.sqrt((31 / 32) * (1 / 32) / 30))
    # Balanced accuracy with perfect recall of the frequent class: the rare one's recall, halved.
    assert heal.error("balanced_accuracy", 0.9, 1000) == pytest.approx(math.sqrt(0.16 / 1000) / 2, rel=0.01)


def test_standard_error_of_r2_by_simulation() -> None:
    draws = np.random.default_rng(0)
    squares = (0.3 * draws.standard_normal((4000, 200)) ** 2).mean(axis=1)  # of targets with variance 1
    assert heal.error("r2", 0.7, 200) == pytest.approx((1 - squares).std(), rel=0.05)


def test_better_than_nothing() -> None:
    assert [heal.quality(run(value), "r2") for value in (0.4, -3.0, math.nan, math.inf)] == [0.4, 0.0, 0.0, 0.0]


def run(value: float) -> Any:
    class Judged:
        metrics = {"r2": value}  # noqa: RUF012

    return Judged()


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (5, 0), (3, 4), (14, 3), (20, 20)])
def test_sign_test_beside_scipy(wins: int, losses: int) -> None:
    known = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert heal.sign_test(wins, losses) == pytest.approx(known)


def row(healed: float, random: list[list[float]], trials: int = 2, sick: float = 0.2) -> Row:
    searches = dict.fromkeys(SEARCHES, random)
    return Row("zeros", "digits", False, 100, 0.9, sick, healed, searches, [{}] * trials)


def test_wins_ties_and_losses() -> None:
    rows = [
        row(0.9, [[0.2, 0.5, 0.6, 0.9]]),  # tie with all 3 retrainings, a win with 2
        row(0.9, [[0.2, 0.9, 0.9, 0.9], [0.2, 0.2, 0.2, 0.2]]),  # a win over the mean of 0.55
        row(0.5, [[0.2, 0.2, 0.9, 0.9]]),
        row(0.90, [[0.2, 0.92, 0.92, 0.92]]),  # within one standard error, which is 0.03
    ]
    assert heal.tally(rows, "random", 3) == (1, 2, 1)
    assert heal.tally(rows, "random", None) == (2, 1, 1)


def test_share_of_what_came_back() -> None:
    assert heal.share(row(0.55, []), 0.55) == pytest.approx(0.5)
    assert heal.share(row(0.95, []), 0.95) == 1.0
    assert heal.share(row(0.1, []), 0.1) == pytest.approx(-1 / 7)
    assert heal.share(row(0.9, [], sick=0.89), 0.9) is None


def test_table() -> None:
    text = "\n".join(heal.table([row(0.55, [[0.2, 0.2, 0.9], [0.2, 0.2, 0.2]]), row(0.9, [[0.2, 0.9, 0.9]])], 2))
    assert "| digits | zeros |  | 0.900 | 0.200 | 0.550 | 2 | 0.550 (0.20–0.90) |" in text
    assert "| random | 2 | 0 | 2 | 0 | 1 |" in text
    assert "| random | 2 | 67% | 1.5 of 2 |" in text  # shares 1 and 0 of the one, 1 of the other
    assert "| healing | 2.0 | 75% | 1 of 2 |  | 0 of 0 |" in text


# All of it.
def test_a_small_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "all.json"
    heal.main(["--sources", "iris", "--seeds", "1", "--trials", "1", "--json", str(file)])
    [only] = json.loads(file.read_text())
    assert only["fault"] == "one epoch"
    assert only["healthy"] > only["sick"]
    assert only["searches"].keys() == set(SEARCHES)
    assert all(len(found) == 2 and found[0] == only["sick"] for [found] in only["searches"].values())
    assert len(only["trials"]) <= 1
    assert "| iris | one epoch | all |" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--trials", "0"], ["--sources", "nowhere"]])
def test_bad_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        heal.main(arguments)
    assert refused.value.code == 2
    assert "error" in capsys.readouterr().err
