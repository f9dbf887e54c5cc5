"""Healing a run: the doctor's cures are tried one after the other, and those are kept that help."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from osler.errors import InputError
from osler.recipe import Recipe
from osler.records import Finding, Trial
from osler.remedies import LEAVE_ALL, asked_for, remedies, without_all
from osler.run import Run
from osler.training.history import lower_is_better

Train = Callable[[Recipe], Run]
Remedy = tuple[Finding, str, dict[str, Any], Recipe]  # against what, in words, the settings that change, the new recipe
RARE = ("class-imbalance", "weak-slice")
HEALING = "healing.json"


def heal(run: Run, recipe: Recipe, train: Train, trials: int) -> Iterator[tuple[Trial, Run]]:
    """Each trial with the best run so far, until the doctor finds nothing more, knows no more, or `trials` are used up.

    `recipe`: what the user asked for, before advice. `train` makes a run of a recipe, from new weights: a run is then
    still what its recipe says, and nothing else. A cure is kept only when validation improves. The last trial leaves
    all that was asked for to the advice: that is kept only when it is clearly better than what was healed by cures.
    """
    tried: list[Recipe] = [recipe]
    bare = _bare(run, recipe)
    while len(tried) <= trials:
        remedy = next(_untried(run, recipe, tried), None)
        if bare is not None and bare[-1] not in tried and (remedy is None or len(tried) == trials > 1):
            remedy = bare
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
        if remedy is bare:
            kept = kept and clearly(before, after, measure)
        yield (
            Trial(finding.ailment, title, settings, measure, before, after, kept, time.perf_counter() - started),
            candidate if kept and candidate is not None else run,
        )
        if kept and candidate is not None:
            run, recipe = candidate, changed


def _bare(run: Run, recipe: Recipe) -> Remedy | None:
    """To leave all that was asked for to the advice, if there is anything, and anything wrong."""
    given = asked_for(recipe)
    finding = next(_serious(run), None)
    if not given or finding is None:
        return None
    return finding, LEAVE_ALL, dict.fromkeys(given), without_all(recipe, given)


def _serious(run: Run) -> Iterator[Finding]:
    return (f for f in run.findings if f.severity != "hint" or run.status == "diverged")


def _untried(run: Run, recipe: Recipe, tried: list[Recipe]) -> Iterator[Remedy]:
    """What may help, from the first cause on."""
    for finding in _serious(run):
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


def clearly(before: float, after: float, measure: str) -> bool:
    """Whether at least a tenth of what is missing to a perfect value is gone: enough to give up one's settings for."""
    if math.isnan(before):
        return not math.isnan(after)
    missing = (before, after) if lower_is_better(measure) else (1 - before, 1 - after)
    return missing[1] <= 0.9 * missing[0]
