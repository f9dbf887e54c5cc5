"""How well a training went: the question behind most others."""

from __future__ import annotations

import math
from statistics import median

from osler.doctor.trace import Trace


def chance_loss(trace: Trace) -> float | None:
    """The loss of the best answer that ignores the input; None where it cannot be known."""
    loss, target = trace.loss, trace.target
    if loss is None or not loss.direct or target.kind == "none":
        return None
    if trace.tiled_ratio is not None and abs(trace.tiled_ratio - 1) > 0.2:
        return None
    if loss.kind == "categorical" and target.entropy > 0 and not loss.weighted:
        return target.entropy
    if loss.kind == "binary" and target.kind == "classes" and target.classes == 2 and not loss.weighted:
        return target.entropy
    if loss.kind == "squared" and target.kind == "real" and target.std > 0:
        return target.std**2
    return None


def losses(trace: Trace) -> list[float]:
    return trace.history.losses.read()


def usual_loop(trace: Trace) -> bool:
    """Whether each step is one forward pass and the observed loss is that of predictions against targets.

    It is not in adversarial and reinforcement learning, where the loss is no measure of success.
    """
    if trace.loss is not None and not trace.loss.direct:
        return False
    calls = [s.forwards for s in trace.history.samples if s.forwards]
    backwards = [s.backwards for s in trace.history.samples if s.backwards]
    allowed = trace.accumulation
    return (not calls or median(calls) <= allowed) and (not backwards or median(backwards) <= allowed)


def start_and_end(trace: Trace) -> tuple[float, float] | None:
    """(loss of the first steps, median of the last tenth); None with fewer than 10 steps."""
    course = losses(trace)
    if len(course) < 10:
        return None
    head = [v for v in course[: max(3, min(10, len(course) // 20))] if math.isfinite(v)]
    tail = course[-max(5, len(course) // 10) :]
    end = median(tail) if all(math.isfinite(v) for v in tail) else math.inf
    return (median(head) if head else math.inf), end


def learned_well(trace: Trace, strict: bool = True) -> bool:
    """Whether the program plainly works: its own data are predicted well, or its loss fell by most of its height."""
    ends = start_and_end(trace)
    if ends is None:
        return False
    start, end = ends
    chance = chance_loss(trace)
    sure_of_mistakes = chance is not None and end > 3 * max(chance, trace.initial_loss or 0.0)
    if not math.isfinite(end) or sure_of_mistakes:
        return False
    part = trace.outcome.train if trace.outcome is not None else None
    if part is not None and part.score is not None:
        reference = trace.reference.score if trace.reference is not None else 0.0
        floor = trace.reference.chance if trace.reference is not None else _prevalence(trace)
        limit = max(0.9, reference - 0.03) if strict else max(floor + 0.5 * (1 - floor), reference - 0.1)
        return bool(part.score >= limit)
    base = min(start, chance or math.inf)
    return end < (0.2 if strict else 0.6) * base if base > 0 else end < base


def _prevalence(trace: Trace) -> float:
    """Share of the most frequent class, which is right that often without looking."""
    counts = trace.target.counts
    return max(counts) / sum(counts) if counts else 0.0


def per_epoch(trace: Trace) -> float:
    """Steps of one pass through the training rows; 0 when unknown."""
    rows = [s.rows for s in trace.history.samples if s.rows]
    if not rows or not trace.training_rows:
        return 0.0
    return max(1.0, trace.training_rows / (median(rows) * trace.accumulation))


def epochs(trace: Trace) -> list[float]:
    """Mean training loss of each pass."""
    course, width = losses(trace), trace.history.losses.width
    size = per_epoch(trace) / width
    if size < 1:
        return course
    count = int(len(course) / size)
    return [sum(part) / len(part) for i in range(count) if (part := course[round(i * size) : round((i + 1) * size)])]
