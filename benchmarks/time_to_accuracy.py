"""How long a good network takes: `python -m benchmarks.time_to_accuracy --data DIR`, MNIST and Fashion-MNIST.

Each run is `osler train DIR/mnist` with no option but the goal (and the seed), as a process of its own. Counted are the
seconds of training, validation included, until the validation accuracy reaches the goal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.tables import markdown


class Goal(NamedTuple):
    data: str
    accuracy: float
    seconds: float | None = None  # that we promise on two cores

    def __str__(self) -> str:
        return f"{self.data}:{self.accuracy:g}"


GOALS = (Goal("mnist", 0.99, 4), Goal("mnist", 0.994, 12), Goal("fashion_mnist", 0.92))


class Run(NamedTuple):
    seconds: float | None  # of training until the goal; None: not reached
    epochs: int
    held_out: float  # accuracy on the test pictures
    wall: float  # seconds of the whole process


def parsed(text: str) -> Goal:
    """ "mnist:0.99" as the goal of that name, or as one without a promise."""
    data, _, accuracy = text.partition(":")
    try:
        asked = Goal(data, float(accuracy))
    except ValueError:
        raise argparse.ArgumentTypeError(f"a goal is like mnist:0.99, but got {text!r}") from None
    return next((goal for goal in GOALS if goal[:2] == asked[:2]), asked)


def train(goal: Goal, folder: Path, seed: int) -> Run:
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"
        asked = ["--set", f"goal=accuracy>={goal.accuracy:g}", "--seed", str(seed), "--out", str(out)]
        start = time.perf_counter()
        command = [sys.executable, "-m", "osler", "train", str(folder / goal.data), *asked]
        done = subprocess.run(command, capture_output=True, text=True)
        wall = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"osler train {goal.data} gave {done.returncode}:\n{done.stderr[-2000:]}")
        return read(out, goal.accuracy, wall)


def read(out: Path, accuracy: float, wall: float) -> Run:
    """What the run folder says."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    reached = next((i for i, row in enumerate(rows) if row["accuracy/val"] >= accuracy), None)
    seconds = None if reached is None else sum(row["seconds"] for row in rows[: reached + 1])
    held_out = json.loads((out / "run.json").read_text())["metrics"]["accuracy"]
    return Run(seconds, len(rows) if reached is None else reached + 1, held_out, wall)


def row(goal: Goal, runs: Sequence[Run]) -> list[str]:
    """The runs of a goal as a row of the table; a promise is kept if most runs keep it."""
    times = [run.seconds for run in runs if run.seconds is not None]
    middle = statistics.median([run.seconds if run.seconds is not None else float("inf") for run in runs])
    kept = "" if goal.seconds is None else f"≤ {goal.seconds:g} s {'met' if middle <= goal.seconds else '**not met**'}"
    spread = f"{statistics.median(times):.1f} ({min(times):.1f}–{max(times):.1f})" if times else "–"
    held_out = [run.held_out for run in runs]
    return [
        goal.data,
        f"{goal.accuracy:.1%}",
        f"{len(times)} of {len(runs)}",
        spread,
        kept,
        f"{statistics.median([run.epochs for run in runs]):g}",
        f"{statistics.mean(held_out):.4f} ({min(held_out):.4f})",
        f"{statistics.median([run.wall for run in runs]):.1f}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="with folders mnist, fashion_mnist")
    parser.add_argument("--goal", nargs="+", type=parsed, default=GOALS, metavar="DATA:ACCURACY")
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1:
        parser.error("seeds must be at least 1")
    for goal in chosen.goal:
        if not (chosen.data / goal.data).is_dir():
            parser.error(f"{chosen.data / goal.data} is not there: --data is the folder that holds {goal.data}")
    rows = []
    for goal in chosen.goal:
        runs = []
        for seed in range(chosen.seeds):
            runs.append(train(goal, chosen.data, seed))
            print(f"{goal}, seed {seed}: {runs[-1]}", file=sys.stderr, flush=True)
        rows.append(row(goal, runs))
    head = ["data", "goal", "reached", "seconds of training", "promise", "epochs", "held out, mean (lowest)", "wall s"]
    print("\n".join(markdown(head, rows)))


if __name__ == "__main__":
    main()
