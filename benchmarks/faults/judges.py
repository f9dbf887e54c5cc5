"""Who looks at the trainings: Osler's doctor from within, the baselines by the records of the very same runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

import osler
from benchmarks.faults import autotrainer, deepdiagnosis, umlaut
from benchmarks.faults.program import Program, train
from benchmarks.faults.records import Keeper, Record, keeper

BASELINES: dict[str, Callable[[Record], list[str]]] = {
    "UMLAUT": umlaut.judge,
    "UMLAUT, no warnings": umlaut.severe,
    "DeepDiagnosis": deepdiagnosis.judge,
    "AutoTrainer": autotrainer.judge,
}
JUDGES = ["osler", *BASELINES]


class Opinion(NamedTuple):
    """What one judge said about a run: identifiers of ailments, the loud ones only (critical or warning)."""

    loud: list[str]
    first: str = ""  # what stands first, where findings are ranked
    told: list[str] = []  # in words, hints too  # noqa: RUF012


class Judged(NamedTuple):
    quality: float
    error: str
    opinions: dict[str, Opinion]


def judged(program: Program, seed: int) -> Judged:
    """One run under the eyes of all judges."""
    doctors: list[Any] = []
    kept: list[Keeper] = []

    def watch(model: nn.Module, optimizer: Optimizer, loss: nn.Module) -> Any:
        doctors.append(osler.Doctor(model, optimizer, loss))
        return doctors[-1]

    quality, error = -1.0, ""
    try:
        quality = train(program, seed, watch, keeper(kept))
    except Exception as e:  # a sick program may raise; the judges must still speak
        error = f"{type(e).__name__}: {e}"
    with doctors[0] as doctor:
        findings = list(doctor.diagnose())
    loud = [f.ailment for f in findings if f.severity != "hint"]
    told = [f"{f.severity} {f.ailment}: {f.explanation}" for f in findings]
    opinions = {"osler": Opinion(loud, loud[0] if loud else "", told)}
    opinions |= {name: Opinion(judge(kept[0].record)) for name, judge in BASELINES.items()}
    return Judged(quality, error, opinions)
