"""What watching costs: plain loops with the doctor and without, in time and in memory.

`python -m benchmarks.overhead [--workload NAME …] [--seconds S] [--rounds N] [--threads N]`. The loops take turns, one
training of about S seconds each; the ratio of a round is of two trainings that stood side by side.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from typing import Any, NamedTuple

import torch

import osler
from benchmarks.tables import markdown
from benchmarks.workloads import WORKLOADS, Workload, scaled
from osler.doctor.tree import leaves

GOALS = "median at most 1.03, worst at most 1.10; end to end at most 1.05; memory at most 1 %"


class Training(NamedTuple):
    """Seconds of the steps, of the examination before and of the diagnosis after, and bytes that the doctor kept."""

    steps: float
    before: float = 0.0
    after: float = 0.0
    kept: int = 0

    @property
    def whole(self) -> float:
        return self.steps + self.before + self.after


def train(workload: Workload, count: int, watched: bool) -> Training:
    """So many steps of the plain loop: resident data, shuffled, fused Adam, no number read in the loop."""
    x, y = workload.made_data()
    model, loss_of = workload.made_model(), workload.loss()
    optimizer = torch.optim.Adam(model.parameters(), lr=workload.lr, fused=True)
    began, doctor = time.perf_counter(), None
    if watched:
        doctor = osler.Doctor(model, optimizer, loss_of)
        doctor.examine(train=(scaled(x), scaled(x) if y is None else y))
    ready, done = time.perf_counter(), 0
    while done < count:
        for rows in torch.randperm(len(x)).split(workload.batch_size):
            inputs = scaled(x[rows])
            optimizer.zero_grad()
            loss = loss_of(model(inputs), inputs if y is None else y[rows])
            loss.backward()
            optimizer.step()
            if doctor is not None:
                doctor.observe(loss)
            done += 1
            if done == count:
                break
    end = time.perf_counter()
    if doctor is None:
        return Training(end - ready)
    kept = size_of(doctor)
    doctor.diagnose()
    return Training(end - ready, ready - began, time.perf_counter() - end, kept)


def size_of(doctor: osler.Doctor) -> int:
    """Bytes that the doctor holds beside the program and its data, which it only refers to."""
    data = (*leaves(doctor._train), *leaves(doctor._validation))
    program = (
        *data,
        doctor.model,
        doctor.loss,
        *doctor.optimizers,
        *doctor.model.parameters(),
        *doctor.model.modules(),
    )
    seen = {id(part) for part in program}
    todo: list[Any] = [vars(doctor)]
    total = 0
    while todo:
        part = todo.pop()
        if id(part) in seen or isinstance(part, type) or callable(part) or type(part).__name__ == "module":
            continue
        seen.add(id(part))
        total += sys.getsizeof(part)
        if isinstance(part, torch.Tensor):
            total += 0 if part._base is not None else part.untyped_storage().nbytes()
            continue
        todo += gc.get_referents(part)
    return total


def memory(workload: Workload) -> int:
    """Bytes that a step holds: weights, gradients, Adam's two moments, a batch, and what is saved for backward."""
    x, y = workload.made_data()
    model = workload.made_model()
    saved: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    inputs = scaled(x[: workload.batch_size])
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        workload.loss()(model(inputs), inputs if y is None else y[: workload.batch_size])
    weights = sum(p.nbytes for p in model.parameters())
    return 3 * weights + sum(saved.values()) + inputs.nbytes + x.nbytes + (0 if y is None else y.nbytes)


def measured(workload: Workload, seconds: float, rounds: int) -> list[str]:
    train(workload, 3, watched=False)
    few = train(workload, 20, watched=False).steps / 20
    count = max(30, int(seconds / few))
    pairs = []
    for number in range(rounds):
        order = (False, True) if number % 2 else (True, False)
        one, other = (train(workload, count, watched) for watched in order)
        pairs.append((one, other) if number % 2 else (other, one))
    ratios = sorted(watched.steps / plain.steps for plain, watched in pairs)
    whole = statistics.median(watched.whole / plain.whole for plain, watched in pairs)
    watched = pairs[-1][1]
    return [
        workload.name,
        f"{count}",
        f"{1000 * statistics.median(plain.steps for plain, _ in pairs) / count:.3g}",
        f"{statistics.median(ratios):.3f} ({ratios[0]:.3f}–{ratios[-1]:.3f})",
        f"{whole:.3f}",
        f"{watched.before:.2f} + {watched.after:.2f}",
        f"{watched.kept / 2**10:.0f} KiB, {watched.kept / memory(workload):.2%}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=10.0, help="of a training")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = [measured(WORKLOADS[name], arguments.seconds, arguments.rounds) for name in arguments.workload]
    head = ["workload", "steps", "ms a step", "steps watched / plain", "end to end", "s before + after", "memory"]
    print("\n".join(markdown(head, rows)))
    print(f"\nGoals: {GOALS}.")


if __name__ == "__main__":
    main()
