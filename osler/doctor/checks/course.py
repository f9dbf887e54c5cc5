"""What did the training come to?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from osler.doctor.checks.progress import chance_loss, epochs, learned_well, losses, start_and_end, usual_loop
from osler.doctor.checks.rate import diverged
from osler.doctor.checks.say import finding, named, short
from osler.doctor.cures import advice, clip
from osler.doctor.trace import Trace
from osler.records import Finding

LEAK = 1e-4  # change of an output, when other samples leave the batch, from which on they are mixed
ENOUGH = 30  # steps before anything is said about the result


def check(trace: Trace) -> list[Finding]:
    history = trace.history
    if history.observed < ENOUGH:
        return list(_hurried(trace))
    found = [*_norms(trace), *_overfitting(trace), *_too_good(trace), *_collapsed(trace)]
    if not usual_loop(trace):
        return found
    bad = [*_diverges(trace)]
    if not bad:
        little = list(_too_little(trace))
        found += [*little, *_nothing(trace, bool(little)), *_oscillates(trace)]
    return [*found, *bad, *_validation(trace)]


def _diverges(trace: Trace) -> Iterator[Finding]:
    ends = start_and_end(trace)
    if diverged(trace) and ends is not None:
        yield finding(
            "loss-diverges",
            "critical",
            f"The loss went from {short(ends[0])} to {short(ends[1])}.",
            evidence={"last loss": (ends[1], f"below {short(ends[0])}")},
            cures=[advice("a learning rate ten times lower"), clip()],
        )


def _oscillates(trace: Trace) -> Iterator[Finding]:
    """The loss of whole passes goes up and down by turns, and does not settle."""
    passes = epochs(trace)
    late = passes[len(passes) // 4 :]
    if len(late) < 8 or not all(map(math.isfinite, late)) or learned_well(trace, strict=False):
        return
    moves = [b - a for a, b in pairwise(late)]
    level = median(late)
    swings = [a * b < 0 and min(abs(a), abs(b)) > 0.1 * abs(level) for a, b in pairwise(moves)]
    share = sum(swings) / len(swings)
    if share < 0.4 or min(late[len(late) // 2 :]) < 0.7 * min(late[: len(late) // 2]):
        return
    yield finding(
        "loss-oscillates",
        "warning",
        f"From pass to pass the loss goes up and down, by {median(map(abs, moves)) / abs(level):.0%} of its size.",
        evidence={
            "share of passes where it turns": (share, "below 40 %"),
            "size of a swing over the loss": (median(map(abs, moves)) / abs(level), "below 0.05"),
        },
        cures=[
            advice("a lower learning rate, or one that falls", "+ CosineAnnealingLR(optimizer, T_max=epochs)"),
            advice("larger batches", "+ batch_size=128", batch_size=128),
        ],
    )


def _too_good(trace: Trace) -> Iterator[Finding]:
    """Rows that were not learned from are predicted better than those that were, beyond chance."""
    outcome = trace.outcome
    a, b = (outcome.train, outcome.validation) if outcome is not None else (None, None)
    if a is None or b is None or a.score is None or b.score is None or trace.target.kind not in ("classes", "one-hot"):
        return
    if min(a.rows, b.rows) < 50:
        return
    spread = math.sqrt(max(a.score * (1 - a.score), 0.01) * (1 / a.rows + 1 / b.rows))
    gap = b.score - a.score
    r = trace.reference
    if gap > max(0.12, 4 * spread) and r is not None and r.score < b.score - 0.15:
        yield finding(
            "label-noise",
            "warning",
            f"Validation rows are predicted with accuracy {short(b.score)}, the training rows themselves with "
            f"{short(a.score)}, and their neighbours contradict them too: many training labels are wrong.",
            evidence={
                "validation minus training accuracy": (gap, "below 0.05"),
                "score of the nearest neighbours": (r.score, f"about {short(b.score)}"),
            },
            cures=[advice("look at the training rows that are predicted otherwise, and relabel them")],
        )
    elif gap > max(0.12, 4 * spread):
        yield finding(
            "too-good",
            "warning",
            f"Accuracy on validation rows is {short(b.score)}, on the training rows themselves only {short(a.score)}.",
            evidence={"validation minus training accuracy": (gap, "below 0.05"), "by chance": (spread, "")},
            cures=[advice("look for what the two parts differ in: leakage, an easier split, noise in one of them")],
        )


def _nothing(trace: Trace, said: bool) -> Iterator[Finding]:
    """Signs that nothing was learned."""
    ends = start_and_end(trace)
    if ends is None or learned_well(trace, strict=False):
        return
    start, end = ends
    part = trace.outcome.train if trace.outcome is not None else None
    chance = chance_loss(trace)
    at_chance = end > 0.95 * min(start, chance or start)
    if part is None or trace.loss is None or not trace.loss.direct:
        return
    if trace.target.kind in ("classes", "one-hot", "real"):
        yield from _misaligned(trace, end, chance)
    flat = part.guesses == 1 and trace.target.classes > 1 if part.guesses else part.variation < 0.05
    if flat and at_chance:
        yield finding(
            "constant-output",
            "critical",
            "The prediction is the same, or nearly so, for every input.",
            evidence={
                "different predictions": (part.guesses or part.variation, "more than 1"),
                "last loss": (end, f"below {short(chance or start)}"),
            },
            cures=[advice("see the other findings; otherwise scale the inputs and lower the learning rate")],
        )
    elif said and trace.leak < LEAK:
        return  # too small a network, or too short a training, say
    elif _exchangeable(trace):
        yield finding(
            "ignores-input",
            "warning",
            "The loss is the same when every sample gets the prediction of another"
            + ("." if trace.leak < LEAK else ", and a prediction depends on the other samples of its batch."),
            evidence={
                "loss with exchanged predictions": (trace.outcome.shuffled_loss, f"well above {short(part.loss)}")
            },
            cures=[advice("check that inputs and targets belong together, and that the input reaches the output")],
        )
    elif at_chance and not said and end > 0.9 * start:
        yield finding(
            "loss-plateau",
            "warning",
            f"The loss stayed at {short(end)}, as of one who ignores the input.",
            evidence={"last loss over first loss": (end / start if start else 1.0, "well below 1")},
            cures=[advice("another learning rate; check the gradient flow")],
        )


def _exchangeable(trace: Trace) -> bool:
    """Whether predictions belong to their samples no more than to others, though there is something to be learned."""
    r, part, exchanged = trace.reference, trace.outcome.train, trace.outcome.shuffled_loss
    if trace.target.constant or trace.target.kind == "none" or trace.target.classes == 1:
        return False  # all samples have the same target
    if r is not None and r.score < r.chance + r.spread:
        return False
    return math.isfinite(exchanged) and abs(exchanged - part.loss) < 0.005 * abs(part.loss)


def _misaligned(trace: Trace, end: float, chance: float | None) -> Iterator[Finding]:
    r, part = trace.reference, trace.outcome.train
    if r is None or chance is None or part.score is None or r.score > r.chance + 2.5 * r.spread:
        return
    # Neighbours that average pure noise have R² −1/8; where one class prevails, their votes tell nothing.
    if r.chance > 0.6 or (trace.target.kind == "real" and r.score > -0.05):
        return
    passes = epochs(trace)
    floor = trace.reference.chance if trace.target.kind != "real" else 0.0  # type: ignore[union-attr]
    unseen = trace.outcome.validation.score if trace.outcome.validation is not None else None
    lost = unseen is not None and unseen < floor + 3 * r.spread
    stuck = passes and min(passes[: max(2, len(passes) // 4)]) > 0.97 * chance
    if (stuck or lost) and (len(passes) >= 3 or lost):
        yield finding(
            "misaligned-labels",
            "warning",
            "The labels seem unrelated to the inputs: neither neighbours nor the network do better than chance on rows "
            "they have not seen.",
            evidence={
                "score of the nearest neighbours": (r.score, f"above {short(r.chance)}, chance"),
                "loss of the first pass over chance": (passes[0] / chance if passes else math.nan, "below 1"),
                "score on the training rows": (part.score, "near 1"),
            },
            cures=[
                advice("shuffle inputs and labels with one permutation", "- x, y = x[p], y[q]", "+ x, y = x[p], y[p]")
            ],
        )


def _too_little(trace: Trace) -> Iterator[Finding]:
    part, r = (trace.outcome.train if trace.outcome is not None else None), trace.reference
    if part is None or part.score is None or learned_well(trace):
        return
    passes = epochs(trace)
    chance = chance_loss(trace)
    regression = trace.target.kind == "real"
    if trace.target.shape[1:] == trace.inputs.shape[1:] and len(trace.target.shape) > 1 and trace.target.shape[1] > 1:
        r = None  # a reconstruction through a bottleneck: neighbours have an unfair advantage
    margin = 0.25 if regression else 0.15
    if r is not None and r.score > r.chance + 6 * r.spread and part.score < r.score - margin:
        thin = _bottleneck(trace)
        yield finding(
            "underfitting",
            "warning",
            f"The network scores {short(part.score)} on its own training rows, their nearest "
            f"neighbours {short(r.score)}.",
            where=[thin[0]] if thin else [],
            evidence={
                "score on the training rows": (part.score, f"at least {short(r.score)}"),
                "score of the nearest neighbours": (r.score, ""),
                **({"units of the narrowest layer": (thin[1], "more than there are outputs")} if thin else {}),
            },
            cures=[
                advice("a larger network: more units, a hidden layer with a non-linearity"),
                advice("train longer, or with another learning rate"),
            ],
        )
    falling = _falling(trace, passes)
    if falling is not None and chance is not None:
        last = passes[-1]
        if (falling > 0.07 and last > 0.5 * chance) or (falling > 0.15 and last > 0.1 * chance):
            yield finding(
                "too-few-epochs",
                "warning",
                f"The loss was still falling by {falling:.0%} an epoch when training ended.",
                evidence={
                    "fall of the loss per epoch": (falling, "below 5 %"),
                    "last loss over chance": (last / chance, ""),
                },
                cures=[advice("train longer", f"+ epochs={3 * len(passes)}", epochs=3 * len(passes))],
            )


def _hurried(trace: Trace) -> Iterator[Finding]:
    """Too few steps in all: the loss of a handful of them was still falling."""
    course, chance = losses(trace), chance_loss(trace)
    if len(course) < 6 or not usual_loop(trace) or learned_well(trace) or not all(map(math.isfinite, course)):
        return
    third = len(course) // 3
    first, middle, last = _mean(course[:third]), _mean(course[third:-third]), _mean(course[-third:])
    fallen = (middle - last) / max(first - last, 1e-12)
    longer = 10 * max(1, len(epochs(trace)))
    size = max((s.rows for s in trace.history.samples), default=0)
    if first > middle > last and fallen > 0.25 and last > 0.3 * (chance or first):
        yield finding(
            "too-few-epochs",
            "warning",
            f"Training ended after {trace.history.observed} steps, while the loss was falling.",
            evidence={
                "steps": (trace.history.observed, "hundreds"),
                "share of the fall in the last third": (fallen, "near 0"),
            },
            cures=[
                advice("train longer", f"+ epochs={longer}", epochs=longer),
                *([advice("smaller batches: more steps in an epoch", "+ batch_size=32", batch_size=32)] * (size > 32)),
            ],
        )


def _falling(trace: Trace, passes: list[float]) -> float | None:
    """By what share the loss still fell in the last pass; None where it did not, or validation says otherwise."""
    course = losses(trace)
    if len(passes) >= 4:
        last, before, apart = passes[-1], _mean(passes[-3:-1]), 1.5
    elif len(passes) >= 2:
        last, before, apart = passes[-1], passes[-2], 1.0
    elif len(course) >= 40:
        quarter = len(course) // 4
        last, before, apart = _mean(course[-quarter:]), _mean(course[-2 * quarter : -quarter]), 0.25
    else:
        return None
    held = trace.history.validation.read()
    if len(held) > 1 and held[-1] > 1.02 * min(held):
        return None
    if len(held) >= 6 and min(held[-2:]) > 0.998 * min(held[:-2]):
        return None  # it was stopped because that no longer improved
    if not before or not math.isfinite(last) or (passes and passes[-1] > min(passes) * 1.001):
        return None
    return (before - last) / abs(before) / apart


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _bottleneck(trace: Trace) -> tuple[str, int] | None:
    """A hidden layer of fewer units than there are outputs, or of three at most, and its width."""
    layers = [p for p in trace.parameters if p.is_weight and p.trainable and len(p.shape) == 2]
    outputs = trace.loss.width if trace.loss is not None else 1
    narrow = min(layers[:-1], key=lambda p: p.units, default=None)
    if narrow is None or narrow.units >= max(outputs, 4):
        return None
    return narrow.module, narrow.units


def _overfitting(trace: Trace) -> Iterator[Finding]:
    course = trace.history.validation.read()
    if len(course) < 4 or not all(math.isfinite(v) for v in course):
        return
    best = min(range(len(course)), key=course.__getitem__)
    last = median(course[-max(2, len(course) // 10) :])
    low = course[best]
    if low <= 0 or last < 1.1 * low or best > 0.8 * len(course):
        return
    train = losses(trace)
    at_best = train[: max(1, round(len(train) * (best + 1) / len(course)))]
    recent = median(train[-max(3, len(train) // 20) :])
    falls = recent < median(at_best[-max(3, len(train) // 20) :])
    outcome = trace.outcome
    gap, noise = None, 0.0
    if outcome is not None and outcome.train is not None and outcome.validation is not None:
        a, b = outcome.train.score, outcome.validation.score
        gap = a - b if a is not None and b is not None else None
        noise = 1 / math.sqrt(max(outcome.validation.rows, 1))  # two standard errors of a share of so few rows
    if not falls or (gap is not None and gap < max(0.1, noise)) or (gap is None and last < 1.3 * low):
        return
    evidence = {
        "last validation loss over its best": (last / low, "below 1.1"),
        "best epoch": (best + 1, f"near {len(course)}"),
    }
    if gap is not None:
        evidence["score on training rows minus validation"] = (gap, "below 0.1")
    yield finding(
        "overfitting",
        "warning",
        f"The validation loss was best after epoch {best + 1} of {len(course)} and has risen by "
        f"{last / low - 1:.0%} since, while the training loss fell.",
        evidence=evidence,
        cures=[
            advice(
                "stop early, and keep the best weights",
                f"+ patience={max(3, len(course) // 10)}",
                patience=max(3, len(course) // 10),
            ),
            advice(
                "weight decay, dropout, augmentation, fewer units, or more data",
                "+ weight_decay=0.01",
                optimizer__weight_decay=0.01,
            ),
        ],
    )


def _norms(trace: Trace) -> Iterator[Finding]:
    outcome = trace.outcome
    if outcome is None or outcome.mode_losses is None or trace.history.steps < 60:
        return
    norms = [layer for layer in trace.layers if layer.kind == "batch-norm"]
    active, still = outcome.mode_losses
    # How much of its first values, mean 0 and variance 1, the slowest running average still holds.
    initial = max(((1 - layer.momentum) ** trace.history.steps for layer in norms if layer.momentum), default=0.0)
    lags = initial > 0.3 and still > 2 * active and still > active + 0.1
    better = False
    if outcome.mode_scores is not None:
        right, known = outcome.mode_scores
        held_out = outcome.validation.score or 0.0 if outcome.validation is not None else 0.0
        better = right > max(0.5, known + 0.15, held_out + 0.1)
    if not better and not lags:
        return
    evidence: dict[str, Any] = {"share of their first values in the running ones": (initial, "below 0.1")}
    if lags:
        evidence["loss with the statistics of the batch"] = (active, "")
        evidence["loss with the running ones"] = (still, f"about {short(active)}")
        seen = f"the loss is {short(active)}, with the running ones {short(still)} ({initial:.0%} as at first)"
    if better and outcome.mode_scores is not None:
        evidence["score with the statistics of the batch"] = (right, "")
        evidence["score with the running ones"] = (known, f"about {short(right)}")
        seen = f"the score is {short(right)}, with the running ones {short(known)}"
    yield finding(
        "batch-norm-statistics",
        "warning",
        f"With the statistics of the batch {seen}.",
        where=[layer.name for layer in norms],
        evidence=evidence,
        cures=[
            advice("a larger momentum, or larger batches", "+ nn.BatchNorm2d(n, momentum=0.1)"),
            advice("or layer / group norm, which keeps no statistics", model__normalization="layer"),
        ],
    )


def _validation(trace: Trace) -> Iterator[Finding]:
    outcome = trace.outcome
    part = outcome.validation if outcome is not None else None
    if part is None or part.score is None or part.rows < 30:
        return
    if part.confidence is not None and trace.loss is not None and part.confidence - part.score > 0.1:
        yield finding(
            "miscalibrated",
            "hint",
            f"Mean confidence {part.confidence:.2f}, accuracy {part.score:.2f}.",
            evidence={"confidence minus accuracy": (part.confidence - part.score, "below 0.1")},
            cures=[advice("temperature scaling on the validation rows")],
        )
    weak = [c for c, r in part.recalls.items() if r < 0.3]
    if part.score > 0.7 and weak and len(part.recalls) > 2:
        yield finding(
            "weak-slice",
            "hint",
            f"Of class {weak[0]} only {part.recalls[weak[0]]:.0%} are recognised, of all {part.score:.0%}.",
            evidence={"recall of the weakest class": (part.recalls[weak[0]], "near the mean")},
            cures=[advice("more samples, or more weight, for this class")],
        )


def _collapsed(trace: Trace) -> Iterator[Finding]:
    spread = trace.outcome.latent_spread if trace.outcome is not None else None
    if spread is None or spread > 0.03:
        return
    yield finding(
        "capacity-collapse",
        "warning",
        f"The code of the autoencoder at {named([trace.outcome.latent_where])} hardly varies with the input.",
        where=[trace.outcome.latent_where],
        evidence={"deviation of the code over the samples": (spread, "about 1")},
        cures=[
            advice(
                "weigh the divergence less, at first at least (β, free bits)",
                "+ loss = reconstruction + 0.1 * divergence",
            )
        ],
    )
