"""How fast training goes, beside plain PyTorch and other toolkits: `python -m benchmarks.throughput [--peers]`.

Every contestant is a process that trains the same network from the same weights on the same data; they run an epoch
each in turn, so that a busy machine is equally unkind to all. The first epoch warms up and is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import Result, table
from benchmarks.worker import CONTESTANTS
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
REST = 0.05  # seconds between turns, in which the threads of the last one go to sleep


class Worker:
    """A contestant's process, which runs an epoch when told to."""

    def __init__(self, contestant: str, workload: str, epochs: int, threads: int):
        python = str(PEERS_PYTHON) if CONTESTANTS[contestant][1] else sys.executable
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        self.name = contestant
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by close)
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", contestant, workload, str(epochs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env=os.environ | dict.fromkeys(names, str(threads)),
        )

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise RuntimeError(f"{self.name} ended early:\n{self.errors.read()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def go(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        time.sleep(REST)
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def measure(workload: str, contestants: Sequence[str], rounds: int, threads: int) -> list[Result]:
    """All of them on one workload, in turns."""
    workers: list[Worker] = []
    try:
        for name in contestants:
            workers.append(Worker(name, workload, 1 + rounds, threads))
            workers[-1].answer()  # ready; one after the other, to be kind to memory
        first = {worker.name: worker.go()["seconds"] for worker in workers}
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for i in range(rounds):
            shift = i % len(workers)  # another one begins each round
            for worker in workers[shift:] + workers[:shift]:
                seconds[worker.name].append(worker.go()["seconds"])
        trained = {worker.name: worker.go() for worker in workers}
    finally:
        for worker in workers:
            worker.close()
    steps = WORKLOADS[workload].steps
    return [
        Result(workload, name, steps, first[name], [1000 * s / steps for s in seconds[name]], **trained[name])
        for name in contestants
    ]


def machine(threads: int) -> str:
    import torch

    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
    isa = torch.backends.cpu.get_cpu_capability()
    return (
        f"{processor} ({isa}), {os.cpu_count()} cores, {threads} threads each; "
        f"torch {torch.__version__}, Python {platform.python_version()}, {time.strftime('%d %B %Y')}"
    )


def peers_versions() -> str:
    code = (
        "from importlib.metadata import version as v;"
        "print(', '.join(f'{p} {v(p)}' for p in ('lightning', 'skorch', 'keras', 'tensorflow-cpu', 'torch')))"
    )
    return subprocess.run([PEERS_PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def report(results: list[Result], threads: int, peers: bool) -> Iterator[str]:
    yield machine(threads) + (f"; peers: {peers_versions()}" if peers else "")
    yield from table(results)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="Lightning, skorch and Keras too (`make bench` installs)")
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5, help="counted epochs of each contestant")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each contestant")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every number here")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1 or chosen.threads < 1:
        parser.error("rounds and threads must be at least 1")
    if chosen.peers and not PEERS_PYTHON.exists():
        parser.error("the peers' environment is not there: `make bench` sets it up")
    contestants = [name for name, (_, peer) in CONTESTANTS.items() if chosen.peers or not peer]
    results: list[Result] = []
    for workload in chosen.workload:
        print(f"{workload} …", file=sys.stderr, flush=True)
        results += measure(workload, contestants, chosen.rounds, chosen.threads)
        if chosen.json:
            chosen.json.write_text(json.dumps([r._asdict() for r in results], indent=1) + "\n")
    print("\n".join(report(results, chosen.threads, chosen.peers)))


if __name__ == "__main__":
    main()
