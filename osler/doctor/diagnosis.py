"""What the doctor found: a ranked sequence that prints as text, renders as HTML and goes into JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, overload

from osler.doctor.ailments import AILMENTS
from osler.doctor.pictures import flow, ratios
from osler.doctor.trace import Trace
from osler.records import Cure, Finding

MARKS = {"critical": "✖", "warning": "!", "hint": "·"}
COLOURS = {"critical": "#b3261e", "warning": "#9a6700", "hint": "#57606a"}


class Diagnosis(Sequence[Finding]):
    """Findings, causes first; `failures`: what could not be examined, and why.

    `str()` is for a terminal: every finding with its numbers and their healthy ranges, its place, the reason and the
    cure; what follows from another finding stands under it. `to_json()` is for programs.
    """

    def __init__(self, findings: Sequence[Finding], trace: Trace | None = None):
        self.findings = tuple(findings)
        self.failures = tuple(trace.failures) if trace is not None else ()
        self.curves = _curves(trace) if trace is not None else {}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Diagnosis:
        """What `record` gave, without the actions of its cures. Raises KeyError or TypeError for anything else."""
        found = cls([_finding(one) for one in record["findings"]])
        found.failures = tuple(map(str, record["not_examined"]))
        found.curves = {str(name): [tuple(point) for point in curve] for name, curve in record["curves"].items()}
        return found

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def critical(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "critical")

    def __str__(self) -> str:
        causes = [f for f in self.findings if not f.because]
        blocks = [_block(f, [g for g in self.findings if g.because == f.ailment]) for f in causes]
        loud = sum(f.severity != "hint" for f in self.findings)
        head = f"{loud} finding{'s' if loud != 1 else ''}" if loud else "Nothing wrong was found."
        tail = [f"Not examined: {f}" for f in self.failures]
        return "\n\n".join([head, *blocks, *(["\n".join(tail)] if tail else [])])

    def __repr__(self) -> str:
        names = ", ".join(f.ailment for f in self.findings if f.severity != "hint")
        return f"Diagnosis({names or 'nothing wrong'})"

    def _repr_html_(self) -> str:
        causes = [f for f in self.findings if not f.because]
        parts = [_html(f, [g for g in self.findings if g.because == f.ailment]) for f in causes]
        body = "".join(parts) or "<p>Nothing wrong was found.</p>"
        missing = "".join(f"<li>{escape(f)}</li>" for f in self.failures)
        rest = f"<details><summary>Not examined</summary><ul>{missing}</ul></details>" if missing else ""
        pictures = flow(self.curves.get("gradients", [])) + ratios(self.curves.get("updates", []))
        return f'<div class="osler-diagnosis">{body}{pictures}{rest}</div>'

    def record(self) -> dict[str, Any]:
        """The findings, what could not be examined, and the curves of the pictures, as plain values."""
        return {
            "findings": [_record(f) for f in self.findings],
            "not_examined": list(self.failures),
            "curves": {name: [list(point) for point in curve] for name, curve in self.curves.items()},
        }

    def to_json(self, indent: int | None = None) -> str:
        """`record` as JSON."""
        return json.dumps(_plain(self.record()), indent=indent, allow_nan=False, ensure_ascii=False)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _cure(cure: Cure) -> dict[str, Any]:
    return {
        "title": cure.title,
        "patch": cure.patch(),
        "settings": _plain(cure.settings),
        "automatic": cure.action is not None,
    }


def _record(f: Finding) -> dict[str, Any]:
    return {
        "ailment": f.ailment,
        "title": _title(f),
        "severity": f.severity,
        "where": list(f.where),
        "lines": list(f.lines),
        "evidence": _plain(f.evidence),
        "healthy": _plain(f.healthy),
        "explanation": f.explanation,
        "why": f.why,
        "link": f.link,
        "because": f.because,
        "cures": [_cure(c) for c in f.cures],
    }


def _finding(record: Mapping[str, Any]) -> Finding:
    fields = ("ailment", "severity", "explanation", "why", "because")
    return Finding(
        **{name: record[name] for name in fields},
        where=tuple(record["where"]),
        lines=tuple(record["lines"]),
        evidence=dict(record["evidence"]),
        healthy=dict(record["healthy"]),
        cures=tuple(Cure(c["title"], tuple(c["patch"].splitlines()), dict(c["settings"])) for c in record["cures"]),
    )


def _title(f: Finding) -> str:
    known = AILMENTS.get(f.ailment)
    return known.title if known is not None else f.ailment


def _where(f: Finding) -> str:
    names = [name or "(the model's forward)" for name in f.where]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _block(f: Finding, follows: list[Finding]) -> str:
    lines = [f"{MARKS[f.severity]} {f.severity}: {_title(f)} [{f.ailment}]"]
    lines += textwrap.wrap(f.explanation, 100, initial_indent="  ", subsequent_indent="  ")
    if f.severity == "hint":
        return "\n".join(lines)
    place = " · ".join([*([_where(f)] if f.where else []), *f.lines[:3]])
    if place:
        lines.append(f"  at     {place}")
    for name, value in f.evidence.items():
        healthy = f.healthy.get(name)
        lines.append(f"  seen   {name}: {_number(value)}" + (f"  (healthy: {healthy})" if healthy else ""))
    lines += textwrap.wrap(f.why, 100, initial_indent="  why    ", subsequent_indent="         ")
    for cure in f.cures[:2]:
        lines.append(f"  cure   {cure.title}")
        lines += [f"         {line}" for line in cure.lines]
    lines += [f"  hence  {g.explanation} [{g.ailment}]" for g in follows]
    lines.append(f"  more   {f.link}")
    return "\n".join(lines)


def _html(f: Finding, follows: list[Finding]) -> str:
    colour = COLOURS[f.severity]
    title = escape(_title(f))
    name = f"{MARKS[f.severity]} {title} <small>{f.severity} · {f.ailment}</small>"
    head = f'<h4 style="margin:0;color:{colour}">{name}</h4>'
    rows = "".join(
        f"<tr><td>{escape(k)}</td><td><b>{escape(_number(v))}</b></td><td>{escape(f.healthy.get(k, ''))}</td></tr>"
        for k, v in f.evidence.items()
    )
    table = f"<table><tr><th>measured</th><th>here</th><th>healthy</th></tr>{rows}</table>" if rows else ""
    place = " · ".join([*([_where(f)] if f.where else []), *f.lines[:3]])
    cures = "".join(
        f"<li>{escape(c.title)}" + (f"<pre>{escape(c.patch())}</pre>" if c.lines else "") + "</li>" for c in f.cures
    )
    hence = "".join(f"<li>{escape(g.explanation)} <small>{g.ailment}</small></li>" for g in follows)
    return (
        f'<section style="border-left:4px solid {colour};padding:0 0 0 12px;margin:12px 0">{head}'
        f"<p>{escape(f.explanation)}</p>"
        + (f"<p><code>{escape(place)}</code></p>" if place else "")
        + table
        + f"<p><i>{escape(f.why)}</i></p>"
        + (f"<p>Cure</p><ul>{cures}</ul>" if cures else "")
        + (f"<p>Hence</p><ul>{hence}</ul>" if hence else "")
        + "</section>"
    )


def _curves(trace: Trace) -> dict[str, list[tuple[Any, float]]]:
    """The typical gradient of each layer before training, and the size of updates over the steps."""
    layers = [
        (p.name, p.gradient / math.sqrt(max(1, math.prod(p.shape))))
        for p in trace.parameters
        if p.is_weight and p.gradient
    ]
    return {"gradients": layers, "updates": list(trace.history.ratios())}
