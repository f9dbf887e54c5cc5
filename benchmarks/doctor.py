"""How much the doctor finds: `python -m benchmarks.doctor [--programs NAME …] [--operators NAME …] [--seeds N]`.

Faults are put into healthy programs by the operators of DeepCrime. Each is trained with several seeds without any
doctor; only those that measurably hurt count. Then the doctor and, on the very same runs, three published tools judge.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch

from benchmarks.faults.evidence import MARGIN, Harm, harm
from benchmarks.faults.judges import judged
from benchmarks.faults.operators import OPERATORS, Fault, faulty
from benchmarks.faults.program import Program, train
from benchmarks.faults.programs import PROGRAMS
from benchmarks.faults.report import NO_FAULT, Row, plain, report
from benchmarks.throughput import machine

FUTILE = 2  # seeds after which a fault is given up that has cost less than a third of the margin
WITHOUT = {"program.py", "programs.py", "networks.py", "operators.py", "spoil.py"}  # what runs without judges depend on

Null = dict[str, list[float]]  # qualities by seed of each fault of a program


class Measured(NamedTuple):
    """All of one program."""

    null: Null
    rows: list[Row]  # the healthy runs, and one of each fault that hurts
    harmless: int  # faults that don't


def run(program: Program, seed: int) -> float:
    try:
        return train(program, seed)
    except Exception:  # a fault that makes the program raise
        return -1.0


def null(program: Program, seeds: int, known: Sequence[float] = (), healthy: Sequence[float] = ()) -> list[float]:
    """The qualities without any judge. Giving up early can lose a fault, and cannot invent one."""
    found = list(known[:seeds])
    while len(found) < seeds:
        if healthy and len(found) == FUTILE and fmean(healthy[:FUTILE]) - fmean(found) < MARGIN / 3:
            break
        found.append(run(program, len(found)))
    return found


def measure(name: str, operators: Sequence[str], seeds: int, known: Null) -> Measured:
    """Every fault without judges, then with them those that hurt."""
    torch.set_num_threads(1)
    program, results, harmless = PROGRAMS[name], dict(known), 0
    rows: list[Row] = []
    healthy = results[NO_FAULT] = null(program, seeds, known.get(NO_FAULT, ()))
    rows += [row(program, None, seed, Harm(0.0, 1.0, 0.0), healthy, healthy) for seed in range(seeds)]
    for fault, changed in faulty(program, list(operators)):
        sick = results[fault.name] = null(changed, seeds, known.get(fault.name, ()), healthy)
        verdict = harm(healthy, sick)
        if len(sick) == seeds and verdict.counts:
            rows.append(row(changed, fault, 0, verdict, healthy, sick))
        else:
            harmless += 1
        print(f"{name}: {fault.name}: {verdict.loss:.3f}{'' if verdict.counts else ' harmless'}", file=sys.stderr)
    return Measured(results, rows, harmless)


def row(
    program: Program, fault: Fault | None, seed: int, verdict: Harm, healthy: Sequence[float], alone: Sequence[float]
) -> Row:
    """One run under the eyes of all judges; `alone`: the qualities of the same runs without them."""
    seen = judged(program, seed)
    return Row(
        program.name,
        fault.operator if fault else NO_FAULT,
        fault.strength if fault else "",
        sorted(fault.accepts) if fault else [],
        seed,
        verdict,
        fmean(healthy),
        seen.quality,
        seen.quality != alone[seed],
        seen.error,
        seen.opinions,
    )


def fingerprint() -> str:
    """Of all that the runs without judges depend on."""
    folder = Path(__file__).parent / "faults"
    text = "".join((folder / name).read_text() for name in sorted(WITHOUT))
    return hashlib.sha256(f"{torch.__version__}{text}".encode()).hexdigest()[:16]


def remembered(file: Path | None) -> dict[str, Null]:
    """Qualities of an earlier call, where programs and operators are still the same."""
    if file is None or not file.exists():
        return {}
    kept: dict[str, Any] = json.loads(file.read_text())
    known: dict[str, Null] = kept["null"] if kept["fingerprint"] == fingerprint() else {}
    return known


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), metavar="NAME")
    parser.add_argument("--operators", nargs="+", choices=OPERATORS, default=OPERATORS, metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each program and fault")
    parser.add_argument("--jobs", type=int, default=1, help="programs measured side by side, one thread each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all here, and reuse the runs without judges")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 2 or chosen.jobs < 1:
        parser.error("seeds must be at least 2, jobs at least 1")
    known, version = remembered(chosen.json), fingerprint()
    done: dict[str, Measured] = {}
    with ProcessPoolExecutor(chosen.jobs, mp_context=get_context("spawn")) as pool:
        asked = {
            pool.submit(measure, name, chosen.operators, chosen.seeds, known.get(name, {})): name
            for name in chosen.programs
        }
        for task in as_completed(asked):
            done[asked[task]] = task.result()
            known[asked[task]] = task.result().null
            if chosen.json:
                judged_rows = [plain(row) for measured in done.values() for row in measured.rows]
                kept = {"fingerprint": version, "null": known, "rows": judged_rows}
                chosen.json.write_text(json.dumps(kept, indent=1) + "\n")
    in_order = [done[name] for name in chosen.programs]
    rows = [row for measured in in_order for row in measured.rows]
    print(machine(1), end="\n\n")
    print("\n".join(report(rows, sum(measured.harmless for measured in in_order))))


if __name__ == "__main__":
    main()
