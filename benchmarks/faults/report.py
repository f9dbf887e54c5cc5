"""What was found, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.faults.evidence import Harm, wilson
from benchmarks.faults.judges import JUDGES, Opinion
from benchmarks.tables import markdown

NO_FAULT = ""


class Row(NamedTuple):
    """One run, judged."""

    program: str
    operator: str  # NO_FAULT: the healthy program
    strength: str
    accepts: list[str]
    seed: int
    harm: Harm
    healthy: float  # mean quality of the healthy program
    quality: float
    disturbed: bool  # whether the judges changed the quality
    error: str  # what a program raised
    opinions: dict[str, Opinion]

    @property
    def fault(self) -> str:
        return f"{self.operator}: {self.strength}"


def detected(row: Row, judge: str) -> bool:
    return bool(row.opinions[judge].loud)


def named(row: Row, judge: str) -> bool:
    return bool(set(row.accepts) & set(row.opinions[judge].loud))


def first(row: Row, judge: str) -> bool:
    return row.opinions[judge].first in row.accepts


def cost(row: Row) -> str:
    """How much of accuracy or R² the fault takes."""
    return "below 0.1" if row.harm.loss < 0.1 else "0.1 to 0.3" if row.harm.loss < 0.3 else "above 0.3"


def share(hits: int, total: int) -> str:
    """A share with its interval."""
    low, high = wilson(hits, total)
    return f"{hits}/{total} = {hits / total:.0%} ({low:.0%}–{high:.0%})" if total else "–"


def report(rows: Sequence[Row], harmless: int) -> Iterator[str]:
    healthy = [r for r in rows if r.operator == NO_FAULT]
    sick = [r for r in rows if r.operator != NO_FAULT]
    yield f"{len(sick) + harmless} faults, of which {len(sick)} hurt; {len(healthy)} healthy runs.\n"
    yield from markdown(
        ["judge", "detected", "right diagnosis", "right and first", "precision", "false alarms"],
        [totals(judge, sick, healthy) for judge in JUDGES],
    )
    yield "\nDetected / rightly diagnosed, of the faults that hurt:\n"
    yield from by("operator", lambda r: r.operator, sick)
    yield ""
    yield from by("cost of the fault", cost, sorted(sick, key=lambda r: r.harm.loss))
    yield ""
    yield from by("program", lambda r: r.program, sick)
    yield "\nHealthy programs with an alarm, and what Osler said:\n"
    yield from markdown(
        ["program", *JUDGES, "alarms of Osler"],
        [
            [
                name,
                *(f"{sum(detected(r, judge) for r in runs)}/{len(runs)}" for judge in JUDGES),
                ", ".join(sorted({a for r in runs for a in r.opinions["osler"].loud})),
            ]
            for name in dict.fromkeys(r.program for r in healthy)
            for runs in [[r for r in healthy if r.program == name]]
        ],
    )
    yield "\nWhat Osler missed or named otherwise:\n"
    yield from markdown(
        ["program", "fault", "quality", "healthy", "said", "right would be"],
        [missed(r) for r in sick if not named(r, "osler")],
    )
    disturbed = [f"{r.program} ({r.fault})" for r in rows if r.disturbed]
    if disturbed:
        yield f"\nNot the same quality with and without judges: {', '.join(disturbed)}."


def totals(judge: str, sick: Sequence[Row], healthy: Sequence[Row]) -> list[str]:
    hits, alarms = (sum(detected(r, judge) for r in some) for some in (sick, healthy))
    return [
        judge,
        share(hits, len(sick)),
        share(sum(named(r, judge) for r in sick), len(sick)),
        share(sum(first(r, judge) for r in sick), len(sick)) if judge == "osler" else "–",
        share(hits, hits + alarms),
        share(alarms, len(healthy)),
    ]


def by(head: str, key: Callable[[Row], str], sick: Sequence[Row]) -> Iterator[str]:
    """One line for each value of the key."""
    groups: dict[str, list[Row]] = {}
    for row in sick:
        groups.setdefault(key(row), []).append(row)
    yield from markdown(
        [head, "faults", *JUDGES],
        [
            [
                name,
                str(len(some)),
                *(f"{sum(detected(r, j) for r in some)} / {sum(named(r, j) for r in some)}" for j in JUDGES),
            ]
            for name, some in groups.items()
        ],
    )


def missed(row: Row) -> list[str]:
    said = ", ".join(row.opinions["osler"].loud) or "nothing"
    cells = [row.program, row.fault, f"{row.quality:.2f}", f"{row.healthy:.2f}", said]
    return [*cells, ", ".join(row.accepts)]


def plain(row: Row) -> dict[str, Any]:
    """For JSON."""
    opinions = {name: o._asdict() for name, o in row.opinions.items()}
    return row._asdict() | {"harm": row.harm._asdict(), "opinions": opinions}
