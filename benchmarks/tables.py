"""What was measured, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TOLERANCE = 0.1  # the share by which a final loss may be off the plain loop's: the order of the data does a little
PEERS = ("lightning", "skorch", "keras")
GOALS = {"peers": 1.5, "tutorial": 1.3, "handwritten": 0.98}  # times as fast as these


class Result(NamedTuple):
    """A contestant on a workload."""

    workload: str
    name: str
    steps: int  # of an epoch
    first: float  # seconds of the first epoch, with all that is done before
    times: list[float]  # ms a step in each counted epoch
    loss: float  # over the training data, at the end
    parameters: int
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def start(self) -> float:
        """Seconds that beginning costs beyond an epoch: building, measuring, compiling."""
        return max(0.0, self.first - self.median * self.steps / 1000)


def table(results: Sequence[Result]) -> Iterator[str]:
    """Milliseconds a step, then how Osler stands to the goals, then what must be known of the numbers."""
    by_workload: dict[str, dict[str, Result]] = {}
    for result in results:
        by_workload.setdefault(result.workload, {})[result.name] = result
    names = list(dict.fromkeys(r.name for r in results))

    yield "\nMilliseconds a step, median (lowest to highest) of the epochs:\n"
    yield from markdown(
        ["workload", *names],
        [[workload, *(spread(row[n]) if n in row else "" for n in names)] for workload, row in by_workload.items()],
    )
    yield "\nHow many times as fast Osler is (goal):\n"
    heads = [f"best of {', '.join(PEERS)}", "tutorial loop", "best hand-written loop"]
    yield from markdown(
        ["workload", *(f"{head} (≥ {goal})" for head, goal in zip(heads, GOALS.values(), strict=True))],
        [[workload, *(judged(row, other) for other in GOALS)] for workload, row in by_workload.items()],
    )
    yield "\nFinal loss over the training data, seconds to begin, and what was chosen:\n"
    yield from markdown(
        ["workload", "contestant", "final loss", "start-up s", "chosen"],
        [
            [workload, r.name, loss(r, row), f"{r.start:.1f}", r.note]
            for workload, row in by_workload.items()
            for r in row.values()
        ],
    )
    for workload, row in by_workload.items():
        counts = {r.parameters for r in row.values()}
        if len(counts) > 1:
            each = ", ".join(f"{r.name} {r.parameters:,}" for r in row.values())
            yield f"\n{workload}: not all have the same number of parameters ({each})."


def spread(result: Result) -> str:
    return f"{digits(result.median)} ({digits(min(result.times))}–{digits(max(result.times))})"


def digits(value: float) -> str:
    """Three that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def judged(row: dict[str, Result], other: str) -> str:
    """The ratio to one contestant, or to the fastest peer, and whether the goal is met."""
    against = [row[name] for name in (PEERS if other == "peers" else (other,)) if name in row]
    if "osler" not in row or not against:
        return "not measured"
    best = min(against, key=lambda r: r.median)
    ratio = best.median / row["osler"].median
    name = f" ({best.name})" if other == "peers" else ""
    return f"{ratio:.2f}{name} {'met' if ratio >= GOALS[other] else '**not met**'}"


def loss(result: Result, row: dict[str, Result]) -> str:
    """The loss, flagged where it is not the plain loop's."""
    plain = row.get("tutorial", result).loss
    off = abs(result.loss - plain) > TOLERANCE * abs(plain)
    return f"{result.loss:.3g}{' **differs**' if off else ''}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cells)} |"
