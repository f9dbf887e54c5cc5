"""One contestant on one workload, as a process of its own: `python -m benchmarks.worker NAME WORKLOAD EPOCHS`.

It runs an epoch for every line on standard input and answers with its seconds; after the last one with the loss.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.pace import Pace
from benchmarks.workloads import WORKLOADS, Workload, scaled


class Contest(NamedTuple):
    """What a contestant gets: to train this model on these data for so many epochs, calling `pace` after each."""

    workload: Workload
    inputs: Tensor
    targets: Tensor | None
    model: nn.Module
    epochs: int
    threads: int
    pace: Callable[[], None]


class Trained(NamedTuple):
    """The mean loss over the training data at the end, how many parameters learned, and what was chosen."""

    loss: float
    parameters: int
    note: str = ""


CONTESTANTS = {  # name → where it is, and whether it lives in the peers' environment
    "osler": ("benchmarks.ours:train", False),
    "osler-own-threads": ("benchmarks.ours:train_on_own_threads", False),
    "tutorial": ("benchmarks.loops:tutorial", False),
    "handwritten": ("benchmarks.loops:handwritten", False),
    "lightning": ("benchmarks.peers.with_lightning:train", True),
    "skorch": ("benchmarks.peers.with_skorch:train", True),
    "keras": ("benchmarks.peers.with_keras:train", True),
}


def judged(contest: Contest, note: str = "") -> Trained:
    """Of a torch model: looked at in float32, batch by batch."""
    model, criterion = contest.model.eval(), contest.workload.loss()
    size, losses = 10 * contest.workload.batch_size, []
    with torch.no_grad():
        for i in range(0, len(contest.inputs), size):
            x = scaled(contest.inputs[i : i + size])
            y = x if contest.targets is None else contest.targets[i : i + size]
            losses.append(criterion(model(x), y).item() * len(x))
    parameters = sum(p.numel() for p in model.parameters())
    return Trained(sum(losses) / len(contest.inputs), parameters, note)


def main() -> None:
    name, workload_name, epochs = sys.argv[1:]
    workload, pace = WORKLOADS[workload_name], Pace()
    module, _, function = CONTESTANTS[name][0].partition(":")
    train: Callable[[Contest], Trained] = getattr(importlib.import_module(module), function)
    inputs, targets = workload.made_data()
    contest = Contest(workload, inputs, targets, workload.made_model(), int(epochs), torch.get_num_threads(), pace)
    pace.say(ready=True)
    pace.wait()
    pace.say(**train(contest)._asdict())


if __name__ == "__main__":
    main()
