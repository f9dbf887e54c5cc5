"""All checks, and the order of what they find: causes first, their consequences folded under them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from osler.doctor.ailments import AILMENTS
from osler.doctor.checks.course import check as course
from osler.doctor.checks.flow import check as flow
from osler.doctor.checks.inputs import check as inputs
from osler.doctor.checks.loop import check as loop
from osler.doctor.checks.outputs import check as outputs
from osler.doctor.checks.rate import check as rate
from osler.doctor.checks.splits import check as splits
from osler.doctor.checks.structure import check as structure
from osler.doctor.checks.targets import check as targets
from osler.doctor.checks.weights import check as weights
from osler.doctor.graph import words
from osler.doctor.trace import Trace
from osler.records import Finding

CHECKS: tuple[Callable[[Trace], list[Finding]], ...] = (
    structure,
    outputs,
    targets,
    weights,
    inputs,
    splits,
    loop,
    rate,
    flow,
    course,
)
SEVERITIES = ("critical", "warning", "hint")
# What is a consequence whenever something nearer to the root is found, besides those that always are symptoms.
FOLDED = words("""
    nonfinite vanishing-gradient exploding-gradient saturation dying-relu dead-weights disconnected-parameter
    misaligned-labels learning-rate-low batch-norm-statistics
    """)


def judge(trace: Trace) -> list[Finding]:
    """Findings, the most severe and nearest to the root first; a check that fails is said, not hidden."""
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(trace)
        except Exception as error:
            said = f"the check of {check.__module__.rpartition('.')[2]}: {type(error).__name__}: {error}"
            if said not in trace.failures:
                trace.failures.append(said)
    merged: dict[tuple[str, str], Finding] = {}
    for one in found:
        merged.setdefault((one.ailment, one.severity), one)
    ranked = sorted(merged.values(), key=_order)
    return _folded(ranked)


def _order(one: Finding) -> tuple[int, int, int]:
    ailment = AILMENTS[one.ailment]
    return SEVERITIES.index(one.severity), int(ailment.symptom), ailment.rank


def _folded(ranked: list[Finding]) -> list[Finding]:
    """Symptoms named as consequences of the first cause that is at least as severe as a warning."""
    cause = next((f for f in ranked if f.severity != "hint" and not AILMENTS[f.ailment].symptom), None)
    if cause is None:
        return ranked
    at = AILMENTS[cause.ailment].rank
    result = [
        replace(f, because=cause.ailment) if f is not cause and f.severity != "hint" and _follows(f, at) else f
        for f in ranked
    ]
    return sorted(result, key=lambda f: (f.severity == "hint", bool(f.because)))


def _follows(one: Finding, rank: int) -> bool:
    ailment = AILMENTS[one.ailment]
    return ailment.symptom or (one.ailment in FOLDED and rank < ailment.rank)
