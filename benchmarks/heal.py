"""Healing beside random search: `python -m benchmarks.heal [--sources NAME …] [--faults NAME …]`.

Recipes with faults that measurably hurt. Healing, and searches that know nothing of doctors, retrain each of them
equally often; all keep what is best on validation, and are compared on the test part, which none of them looks at.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import osler
from benchmarks.tables import markdown
from benchmarks.throughput import machine
from osler.errors import InputError
from osler.folder import read_json
from osler.heal import HEALING, improves, judged
from osler.recipe import Recipe
from osler.remedies import asked_for, without
from osler.run import Run

CLEARLY = 2.0  # standard errors on validation by which a fault must hurt
SEARCHES = ("random", "local", "undo", "advice")


class Source(NamedTuple):
    """Data, and what every recipe for it says: few epochs, so that a training takes about a second."""

    data: str | Callable[[], object]
    settings: dict[str, Any]
    measure: str  # the larger the better
    losses: tuple[str, ...]  # that this task may have


def rare() -> object:
    """Two overlapping clouds, of which one is a twentieth: 3000 points of 5 numbers."""
    draws = np.random.default_rng(0)
    classes = (np.arange(3000) % 20 == 0).astype(np.int64)
    return (draws.normal(size=(3000, 5)) + 0.9 * classes[:, None]).astype(np.float32), classes


def friedman() -> object:
    """Friedman's first regression (1991) in raw units: 600 rows of 5 measures, a target in the thousands."""
    import pandas as pd

    draws = np.random.default_rng(0)
    x = draws.uniform(size=(600, 5))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    frame = pd.DataFrame(x * [1000, 0.01, 50, 1e5, 1], columns=["width", "flow", "age", "weight", "ratio"])
    return frame.assign(strength=1000 * (y + draws.normal(size=600)))


MULTICLASS = ("sparse_categorical_cross_entropy", "categorical_cross_entropy", "focal", "mse", "mae", "hinge")
BINARY = ("binary_cross_entropy", "focal", "hinge", "squared_hinge", "mse", "mae")
NUMBERS = ("mse", "mae", "huber", "log_cosh", "quantile", "mape", "cosine_similarity")
ACCURACY = {"metrics": ["accuracy"]}
SOURCES = {
    "digits": Source("digits", {"epochs": 15, **ACCURACY}, "accuracy", MULTICLASS),
    "wine": Source("wine", {"epochs": 40, **ACCURACY}, "accuracy", MULTICLASS),
    "iris": Source("iris", {"epochs": 60, **ACCURACY}, "accuracy", MULTICLASS),
    "breast_cancer": Source("breast_cancer", {"epochs": 20, **ACCURACY}, "accuracy", BINARY),
    "moons": Source("moons", {"epochs": 30, **ACCURACY}, "accuracy", BINARY),
    "circles": Source("circles", {"epochs": 30, **ACCURACY}, "accuracy", BINARY),
    "spirals": Source("spirals", {"epochs": 60, **ACCURACY}, "accuracy", BINARY),
    "rare": Source(rare, {"epochs": 8, "metrics": ["balanced_accuracy"]}, "balanced_accuracy", BINARY),
    "diabetes": Source("diabetes", {"epochs": 40, "metrics": ["r2"]}, "r2", NUMBERS),
    "friedman": Source(friedman, {"epochs": 40, "target": "strength", "metrics": ["r2"]}, "r2", NUMBERS),
}
# What a recipe says that says everything: all of it in order, until a fault changes some.
WHOLE = {
    "hidden": [64, 32],
    "activation": "relu",
    "dropout": 0.0,
    "initialization": "he_normal",
    "optimizer": "adam",
    "lr": 0.003,
    "weight_decay": 1e-4,
    "batch_size": 16,
    "scale": True,
}


class Fault(NamedTuple):
    """A recipe that is sick. `whole`: the recipe says everything else too, so that the culprit has to be found."""

    name: str
    source: str
    settings: dict[str, Any]
    whole: bool = False
    healthy: dict[str, Any] | None = None  # beyond the advice: what it takes to be healthy

    @property
    def recipe(self) -> Recipe:
        return _recipe(self.source, (WHOLE if self.whole else {}) | self.settings)

    @property
    def reference(self) -> Recipe:
        """The healthy recipe: the source's, and advice for the rest."""
        return _recipe(self.source, self.healthy or {})


def _recipe(source: str, settings: dict[str, Any]) -> Recipe:
    data = SOURCES[source].data
    named = {"source": data} if isinstance(data, str) else {}
    return Recipe.build({"model": "mlp", "threads": 1, **named, **SOURCES[source].settings, **settings})


def _penalty(name: str, strength: float) -> dict[str, Any]:
    return {"penalty": {"name": name, "strength": strength}}


def _normal(std: float) -> dict[str, Any]:
    return {"initialization": {"name": "normal", "std": std}}


DEEP = {"hidden": [64] * 8, "activation": "sigmoid"}
FAULTS = (
    Fault("lr × 1000", "digits", {"optimizer": "adam", "lr": 2.0}),
    Fault("lr × 1000", "wine", {"optimizer": "sgd", "lr": 100.0}),
    Fault("lr × 1000", "friedman", {"lr": 3.0}, whole=True),
    Fault("lr / 1000", "digits", {"lr": 2e-6}),
    Fault("lr / 1000", "diabetes", {"optimizer": "sgd", "lr": 1e-6}),
    Fault("lr / 1000", "spirals", {"lr": 3e-6}, whole=True),
    Fault("zeros", "digits", {"initialization": "zeros"}),
    Fault("zeros", "moons", {"initialization": "zeros"}, whole=True),
    Fault("huge init", "digits", _normal(5.0)),
    Fault("huge init", "breast_cancer", _normal(10.0), whole=True),
    Fault("deep sigmoid", "digits", DEEP),
    Fault("deep sigmoid", "wine", DEEP, whole=True),
    Fault("linear activation", "circles", {"activation": "linear"}),
    Fault("linear activation", "friedman", {"activation": "linear"}, whole=True),
    Fault("dropout 0.95", "digits", {"dropout": 0.95}),
    Fault("dropout 0.95", "moons", {"dropout": 0.95}, whole=True),
    Fault("weight decay 50", "digits", {"weight_decay": 50.0}),
    Fault("weight decay 50", "breast_cancer", {"weight_decay": 50.0}, whole=True),
    Fault("L2 penalty 10", "wine", _penalty("l2", 10.0)),
    Fault("L1 penalty 1", "digits", _penalty("l1", 1.0), whole=True),
    Fault("one hidden unit", "digits", {"hidden": [1]}),
    Fault("one hidden unit", "spirals", {"hidden": [1]}, whole=True),
    Fault("one epoch", "iris", {"epochs": 1}, whole=True),
    Fault("one epoch", "spirals", {"epochs": 1}),
    Fault("clip norm 1e-4", "breast_cancer", {"optimizer": "sgd", "lr": 0.1, "clip_norm": 1e-4}),
    Fault("clip norm 1e-4", "digits", {"optimizer": "sgd", "lr": 0.1, "clip_norm": 1e-4}, whole=True),
    Fault("max norm 0.01", "digits", {"max_norm": 0.01}),
    Fault("max norm 0.01", "moons", {"max_norm": 0.01}, whole=True),
    Fault("batch gradient descent", "digits", {"batch_size": "all", "optimizer": "sgd", "lr": 0.01, "epochs": 10}),
    Fault("raw units", "diabetes", {"scale": False, "optimizer": "sgd", "lr": 0.01}),
    Fault("raw units", "friedman", {"scale": False}, whole=True),
    Fault("unfit loss", "digits", {"loss": "mae"}),
    Fault("unfit loss", "diabetes", {"loss": "cosine_similarity"}),
    Fault("unfit loss", "friedman", {"loss": {"name": "quantile", "quantile": 0.99}}, whole=True),
    Fault("rare class", "rare", {"class_weights": "none"}, healthy={"class_weights": "balanced"}),
    Fault("rare class", "rare", {"class_weights": "none"}, whole=True, healthy={"class_weights": "balanced"}),
    Fault("zeros, lr / 1000", "digits", {"initialization": "zeros", "lr": 2e-6}),
    Fault("dropout 0.95, lr × 100", "digits", {"dropout": 0.95, "lr": 0.3}, whole=True),
    Fault("linear activation, weight decay 50", "spirals", {"activation": "linear", "weight_decay": 50.0}, whole=True),
    Fault("one hidden unit, lr / 1000", "wine", {"hidden": [1], "lr": 3e-6}, whole=True),
    Fault("deep sigmoid, one epoch", "moons", {**DEEP, "epochs": 1}, whole=True),
    Fault("raw units, huge init", "breast_cancer", {"scale": False, **_normal(5.0)}, whole=True),
)


def _between(low: float, high: float) -> Callable[[random.Random, Source], float]:
    """Log-uniform, so that each order of magnitude is as likely as the next."""
    return lambda dice, _: float(f"{math.exp(dice.uniform(math.log(low), math.log(high))):.3g}")


def _of(*choices: Any) -> Callable[[random.Random, Source], Any]:
    return lambda dice, _: dice.choice(choices)


def _off_or(off: Any, draw: Callable[[random.Random, Source], Any]) -> Callable[[random.Random, Source], Any]:
    return lambda dice, source: off if dice.random() < 0.5 else draw(dice, source)


# What an expert would search in. None: without it.
SPACE: dict[str, Callable[[random.Random, Source], Any]] = {
    "optimizer.lr": _between(1e-5, 1.0),
    "optimizer.name": _of("sgd", "momentum", "adam", "adamw", "rmsprop"),
    "optimizer.weight_decay": _between(1e-6, 1.0),
    "model.hidden": lambda dice, _: [dice.choice((16, 32, 64, 128, 256)) for _ in range(dice.randint(1, 3))],
    "model.activation": _of("relu", "leaky_relu", "elu", "gelu", "tanh", "sigmoid"),
    "model.dropout": lambda dice, _: round(dice.uniform(0.0, 0.5), 3),
    "initialization": _of("he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal", "orthogonal"),
    "batch_size": _of(16, 32, 64, 128),
    "epochs": lambda dice, source: round(source.settings["epochs"] * _between(1 / 3, 3.0)(dice, source)),
    "scale": _of(True, False),
    "clip_norm": _off_or(0.0, _between(0.1, 10.0)),
    "max_norm": _off_or(None, _between(0.5, 5.0)),
    "penalty": _off_or(
        None, lambda dice, _: {"name": dice.choice(("l1", "l2")), "strength": _between(1e-6, 0.1)(dice, _)}
    ),
    "class_weights": _of("none", "balanced"),
    "loss": lambda dice, source: dice.choice(source.losses),
}


def given(recipe: Recipe) -> list[str]:
    """What the recipe says and might be at fault: options of model and optimizer one by one, other fields whole."""
    parts = (path.partition(".") for path in asked_for(recipe))
    return list(
        dict.fromkeys(f"{field}.{option}" if field in ("model", "optimizer") else field for field, _, option in parts)
    )


def redrawn(recipe: Recipe, names: Sequence[str], source: Source, dice: random.Random) -> Recipe:
    """The recipe with these of its settings drawn anew."""
    fields = recipe.to_dict()
    for name in names:
        field, _, option = name.partition(".")
        value = SPACE[name](dice, source)
        fields[field] = {**fields[field], option: value} if option else value
    return Recipe.build({name: value for name, value in fields.items() if value is not None})


def undone(recipe: Recipe, name: str) -> Recipe:
    """The recipe with one of its settings left to the advice."""
    return without(recipe, name) if "." in name else recipe.model_copy(update={name: None})


class Trainings:
    """Trains recipes of one source into a folder; the same recipe only once, for it would give the same weights."""

    def __init__(self, name: str, folder: Path):
        self.source, self.folder = SOURCES[name], folder
        self.known: dict[str, Run | None] = {}

    @property
    def _data(self) -> object:
        return self.source.data() if callable(self.source.data) else self.source.data

    def run(self, recipe: Recipe) -> Run | None:
        """Without a doctor; None where it cannot be trained."""
        key = recipe.to_yaml()
        if key not in self.known:
            out = self.folder / str(len(self.known))
            try:
                self.known[key] = osler.train(self._data, recipe=recipe, out=out, verbose=False, doctor=False)
            except InputError:
                self.known[key] = None
        return self.known[key]

    def healed(self, recipe: Recipe, trials: int) -> tuple[Run, list[dict[str, Any]]]:
        """The healed run, and what was tried."""
        out = self.folder / f"healed-{len(list(self.folder.iterdir()))}"
        run = osler.train(self._data, recipe=recipe, out=out, verbose=False, heal=True, trials=trials)
        return run, read_json(out / HEALING)["trials"]


def quality(run: Run, measure: str) -> float:
    """On the test part, from 0 to 1; no number, or worse than a constant, is 0."""
    value = run.metrics[measure]
    return max(0.0, value) if math.isfinite(value) else 0.0


def search(kind: str, recipe: Recipe, trainings: Trainings, trials: int, dice: random.Random) -> list[float]:
    """The quality of the run that is best on validation, after none, one … and all of the retrainings.

    `random` draws everything anew that the recipe gives, `local` one setting of the best recipe so far, and `undo`
    leaves one setting of it to the advice. `advice` leaves all of them to it, and has nothing more to try.
    """
    measure, names = trainings.source.measure, given(recipe)
    best = trainings.run(recipe)
    assert best is not None
    found, tried = [quality(best, measure)], [recipe]
    for _ in range(trials):
        changed = _proposed(kind, recipe, names, trainings.source, dice, tried)
        if changed is not None:
            tried.append(changed)
            run = trainings.run(changed)
            if run is not None and improves(run, best, measure):
                best, recipe = run, recipe if kind == "random" else changed
        found.append(quality(best, measure))
    return found


def _proposed(
    kind: str, recipe: Recipe, names: Sequence[str], source: Source, dice: random.Random, tried: Sequence[Recipe]
) -> Recipe | None:
    """The next recipe to try, another than those before; None if there is none."""
    if kind == "undo":
        left = [changed for name in given(recipe) if (changed := undone(recipe, name)) not in tried]
        return dice.choice(left) if left else None
    if kind == "advice":
        for name in given(recipe):
            recipe = undone(recipe, name)
        return None if recipe in tried else recipe
    for _ in range(100):
        changed = redrawn(recipe, names if kind == "random" else [dice.choice(names)], source, dice)
        if changed not in tried:
            return changed
    return None


class Row(NamedTuple):
    """What became of one sick recipe, on the test part."""

    fault: str
    source: str
    whole: bool
    samples: int  # on the test part; of the rarest class where classes count the same
    healthy: float
    sick: float
    healed: float
    searches: dict[str, list[list[float]]]  # of each search seed, after 0, 1, … retrainings
    trials: list[dict[str, Any]]  # of healing
    found: Sequence[str] = ()  # what the doctor still finds in the healed run

    def error(self, value: float) -> float:
        return error(SOURCES[self.source].measure, value, self.samples)

    def searched(self, kind: str, trainings: int | None = None) -> float:
        """The mean over the search seeds after so many retrainings, or all."""
        return fmean(found[-1 if trainings is None else trainings] for found in self.searches[kind])


def error(measure: str, value: float, samples: int) -> float:
    """The standard error of a measure on so many samples.

    Of a share as that of a proportion with a sample more on either side, so that a perfect score is not certain; of
    balanced accuracy half that of the rarest class; of R² from squared errors that are χ² distributed.
    """
    if measure == "r2":
        return (1 - min(max(value, 0.0), 1.0)) * math.sqrt(2 / samples)
    half, p = (0.5, max(0.0, 2 * value - 1)) if measure == "balanced_accuracy" else (1.0, value)
    p = (p * samples + 1) / (samples + 2)
    return half * math.sqrt(p * (1 - p) / samples)


def verdict(row: Row, one: float, other: float) -> int:
    """1, 0 or -1: better, equal within one standard error, or worse."""
    if abs(one - other) <= max(row.error(one), row.error(other)):
        return 0
    return 1 if one > other else -1


def sign_test(wins: int, losses: int) -> float:
    """Two-sided: how likely a fair coin is to fall so unevenly, or more. Ties don't count."""
    n, fewer = wins + losses, min(wins, losses)
    return float(min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n))


def share(row: Row, value: float) -> float | None:
    """How much of what the fault cost came back, at most 1; None where it cost no more than chance on the test part."""
    lost = row.healthy - row.sick
    return None if lost <= row.error(row.healthy) else min(1.0, (value - row.sick) / lost)


def measured(fault: Fault, trainings: Trainings, seeds: int, trials: int) -> Row | None:
    """One sick recipe; None if it does not hurt."""
    measure = trainings.source.measure
    healthy, sick = trainings.run(fault.reference), trainings.run(fault.recipe)
    assert healthy is not None
    assert sick is not None
    before, after = (0.0 if math.isnan(v := judged(run, measure)) else max(0.0, v) for run in (healthy, sick))
    validated = _samples(healthy, "validation", measure)
    if before - after <= CLEARLY * max(error(measure, before, validated), error(measure, after, validated)):
        return None
    healed, tried = trainings.healed(fault.recipe, trials)
    searches = {
        kind: [
            search(kind, fault.recipe, trainings, trials, random.Random(f"{seed} {fault.name} {fault.source}"))
            for seed in range(seeds)
        ]
        for kind in SEARCHES
    }
    return Row(
        fault.name,
        fault.source,
        fault.whole,
        samples=_samples(healthy, "test", measure),
        healthy=quality(healthy, measure),
        sick=quality(sick, measure),
        healed=quality(healed, measure),
        searches=searches,
        trials=tried,
        found=[finding.ailment for finding in healed.findings],
    )


def _samples(run: Run, part: str, measure: str) -> int:
    data = run.record["data"]
    return int(min(c[part] for c in data["classes"]) if measure == "balanced_accuracy" else data["parts"][part])


def table(rows: Sequence[Row], trials: int) -> Iterator[str]:
    """Every recipe, then who wins how often, then what it amounts to."""
    yield "\nOn the test part (searches: mean, and lowest to highest of the search seeds):\n"
    head = ["data", "fault", "given", "healthy", "sick", "healed", "retrainings", *SEARCHES]
    yield from markdown(head, [_cells(row) for row in rows])
    yield f"\nHealing against the searches over {len(rows)} recipes (a tie: within one standard error):\n"
    yield from markdown(
        ["search", "its retrainings", "wins", "ties", "losses", "p (sign test)"],
        [
            [kind, words, *map(str, (wins, ties, losses)), f"{sign_test(wins, losses):.2g}"]
            for kind in SEARCHES
            for words, limit in ((_most(kind, trials), trials), ("as many as healing took", None))
            if limit or kind != "advice"  # which never takes more
            for wins, ties, losses in [tally(rows, kind, limit)]
        ],
    )
    yield "\nWhat came back of the lost quality (mean share), and how many are as good as healthy again:\n"
    whole = [row for row in rows if row.whole]
    yield from markdown(
        ["", "retrainings", "share", "recovered", "share where all is given", "recovered"],
        [
            [name, used, *_recovery(rows, name), *_recovery(whole, name)]
            for name, used in (
                ("healing", f"{fmean(len(row.trials) for row in rows):.1f}"),
                *((kind, _most(kind, trials)) for kind in SEARCHES),
            )
        ],
    )


def _most(kind: str, trials: int) -> str:
    return "1" if kind == "advice" else str(trials)


def tally(rows: Sequence[Row], kind: str, trainings: int | None) -> tuple[int, int, int]:
    """Wins, ties and losses of healing against a search of so many retrainings, or as many as healing took."""
    signs = [
        verdict(row, row.healed, row.searched(kind, len(row.trials) if trainings is None else trainings))
        for row in rows
    ]
    return signs.count(1), signs.count(0), signs.count(-1)


def _recovery(rows: Sequence[Row], way: str) -> list[str]:
    """The mean share that healing or a search brought back, and how many rows; each search seed counts in part."""
    ends = [[row.healed] if way == "healing" else [found[-1] for found in row.searches[way]] for row in rows]
    both = list(zip(rows, ends, strict=True))
    back = [s for row, values in both for value in values if (s := share(row, value)) is not None]
    well = sum(fmean(verdict(row, value, row.healthy) >= 0 for value in values) for row, values in both)
    return [f"{fmean(back):.0%}" if back else "", f"{well:.3g} of {len(rows)}"]


def _cells(row: Row) -> list[str]:
    numbers = [f"{value:.3f}" for value in (row.healthy, row.sick, row.healed)]
    ends = ([found[-1] for found in row.searches[kind]] for kind in SEARCHES)
    spreads = [f"{fmean(e):.3f}" + (f" ({min(e):.2f}–{max(e):.2f})" if min(e) < max(e) else "") for e in ends]
    return [row.source, row.fault, "all" if row.whole else "", *numbers, str(len(row.trials)), *spreads]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = list(dict.fromkeys(fault.name for fault in FAULTS))
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES), metavar="NAME")
    parser.add_argument("--faults", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3, help="of each search")
    parser.add_argument("--trials", type=int, default=5, help="retrainings of a sick recipe")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every number here")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1 or chosen.trials < 1:
        parser.error("seeds and trials must be at least 1")
    rows: list[Row] = []
    harmless: list[str] = []
    # Nobody reads these reports, and drawing one takes about as long as training.
    with tempfile.TemporaryDirectory() as folder, patch.object(Run, "report"):
        for name in chosen.sources:
            trainings = Trainings(name, Path(folder) / name)
            trainings.folder.mkdir()
            for fault in (fault for fault in FAULTS if fault.source == name and fault.name in chosen.faults):
                started = time.perf_counter()
                row = measured(fault, trainings, chosen.seeds, chosen.trials)
                rows += [row] if row else []
                harmless += [] if row else [f"{fault.name} on {fault.source}"]
                told = " | ".join(_cells(row)) if row else f"{name} | {fault.name} | harmless"
                print(f"{told} ({time.perf_counter() - started:.0f} s)", file=sys.stderr, flush=True)
                if chosen.json:
                    chosen.json.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    print(machine(1))
    if harmless:
        print(f"\nWithout harm, and not counted: {'; '.join(harmless)}.")
    if rows:
        print("\n".join(table(rows, chosen.trials)))


if __name__ == "__main__":
    main()
