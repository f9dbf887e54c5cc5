"""Findings in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from osler.doctor.ailments import AILMENTS
from osler.doctor.graph import Op
from osler.doctor.trace import Trace
from osler.records import Cure, Finding, Severity


def finding(
    ailment: str,
    severity: Severity,
    explanation: str,
    *,
    where: Iterable[str] = (),
    evidence: Mapping[str, tuple[Any, str]] | None = None,
    lines: Iterable[str] = (),
    cures: Iterable[Cure] = (),
) -> Finding:
    """A finding; `evidence`: measure → (value, healthy range)."""
    measured = dict(evidence or {})
    return Finding(
        ailment,
        severity,
        explanation,
        tuple(dict.fromkeys(where)),
        {k: v for k, (v, _) in measured.items()},
        {k: h for k, (_, h) in measured.items() if h},
        tuple(dict.fromkeys(line for line in lines if line)),
        AILMENTS[ailment].why,
        tuple(cures),
    )


def around(trace: Trace, op: Op | None) -> tuple[str, ...]:
    return trace.graph.around(op) if trace.graph is not None else ()


def named(where: Iterable[str]) -> str:
    """Module names for a sentence."""
    names = [f"'{name}'" if name else "the model's forward" for name in dict.fromkeys(where)]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") if names else "the model"


def short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else str(value)
