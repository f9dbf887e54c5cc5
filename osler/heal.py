"""Healing a run: the doctor's cures are tried one after the other, and those are kept that help."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from osler.errors import InputError
from osler.recipe import Recipe
from osler.records import Finding, Trial
from osler.remedies import remedies
from osler.run import Run
from osler.training.history import lower_is_better

Train = Callable[[Recipe], Run]
RARE = ("class-imbalance", "weak-slice")
HEALING = "healing.json"


def heal(run: Run, recipe: Recipe, train: Train, trials: int) -> Iterator[tuple[Trial, Run]]:
    """Each trial with the best run so far, until the doctor finds nothing more, knows no more, or `trials` are used up.

    `recipe`: what the user asked for, before advice. `train` makes a run of a recipe, from new weights: a run is then
    still what its recipe says, and nothing else. A cure is kept only when validation improves.
    """
    tried: list[Recipe] = [recipe]
    while len(tried) <= trials:
        remedy = next(_untried(run, recipe, tried), None)
        if remedy is None:
            return
        finding, title, settings, changed = remedy
        tried.append(changed)
        started = time.perf_counter()
        try:
            candidate: Run | None = train(changed)
        except InputError:  # this network has no such option, or this loss is not for this task
            candidate = None
        if candidate is not None and candidate.status == "interrupted":
            return
        measure = measure_for(finding, run)
        before = judged(run, measure)
        after = math.nan if candidate is None else judged(candidate, measure)
        kept = candidate is not None and improves(candidate, run, measure)
        yield (
            Trial(finding.ailment, title, settings, measure, before, after, kept, time.perf_counter() - started),
            candidate if kept and candidate is not None else run,
        )
        if kept and candidate is not None:
            run, recipe = candidate, changed


def _untried(run: Run, recipe: Recipe, tried: list[Recipe]) -> Iterator[tuple[Finding, str, dict[str, Any], Recipe]]:
    """What may help, from the first cause on."""
    for finding in run.findings:
        if finding.severity == "hint" and run.status != "diverged":
            continue
        for title, settings, changed in remedies(finding, recipe):
            if changed not in tried:
                yield finding, title, settings, changed


def measure_for(finding: Finding, run: Run) -> str:
    """By what two runs are compared: their first metric; for rare classes F1, which does not overlook them."""
    metrics = run.recipe.metrics or ["loss"]
    return "f1" if finding.ailment in RARE and "f1" in metrics else metrics[0]


def judged(run: Run, measure: str) -> float:
    """The measure on the validation part, in the epoch whose weights the run has; NaN where it learned nothing."""
    best = run.record["best_epoch"]
    row = next((row for row in run.history.to_dict("records") if row["epoch"] == best), {})
    return float(row.get(f"{measure}/val", math.nan))


def improves(new: Run, old: Run, measure: str) -> bool:
    """Whether a run is better on validation; of two that are equal, by its loss if they have the same."""
    after, before = judged(new, measure), judged(old, measure)
    if math.isnan(after) or math.isnan(before):
        return not math.isnan(after)
    if after != before:
        return (after < before) == lower_is_better(measure)
    same = new.recipe.loss == old.recipe.loss and new.recipe.label_smoothing == old.recipe.label_smoothing
    return same and judged(new, "loss") < judged(old, "loss")
