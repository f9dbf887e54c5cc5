"""ResNet-18 beside torchvision's: `.venv-peers/bin/python -m benchmarks.resnet [--rounds N] [--threads N]`.

A training step (forward, cross-entropy, backward, momentum) and a forward pass without gradients, of 16 pictures of
224×224 pixels. Both begin with the same weights, of which the same logits must come, and take turns in one process, so
that a busy machine is equally unkind to both. Counted is the processor's time for all threads, in which others have no
share; the ratio is the median of the rounds'.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.tables import markdown
from osler.models.resnet import resnet18

BATCH, SIDE, CLASSES = 16, 224, 1000
GOAL = 1.02
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


def training(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def inference(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def look() -> None:
        model.eval()
        model(x)

    return look


def seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def in_turns(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> list[tuple[float, float]]:
    """Seconds of both in every round, after one that isn't counted; another one is first each time."""
    found = []
    for round_ in range(rounds + 1):
        if round_ % 2:
            later = seconds(theirs)
            found.append((seconds(ours), later))
        else:
            found.append((seconds(ours), seconds(theirs)))
    return found[1:]


def peer() -> ModuleType:
    """torchvision; where it is built for CUDA and torch is not, without its operators, which ResNet doesn't need."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            OPERATORS.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        return importlib.import_module("torchvision")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    try:
        torchvision = peer()
    except ImportError:
        parser.error("torchvision is not there: `make .venv-peers/ready` installs it, into .venv-peers")
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    ours, theirs = resnet18(), torchvision.models.resnet18()
    ours.load_state_dict(theirs.state_dict())
    x, y = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(CLASSES, (BATCH,))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, {chosen.threads} threads\n")
    for line in markdown(["", "ours, ms", "torchvision, ms", f"ratio (≤ {GOAL})"], []):
        print(line, flush=True)
    for kind in (inference, training):
        times = in_turns(kind(ours, x, y), kind(theirs, x, y), chosen.rounds)
        mine, others = (1000 * statistics.median(column) for column in zip(*times, strict=True))
        ratios = sorted(a / b for a, b in times)
        ratio = statistics.median(ratios)
        met = "met" if ratio <= GOAL else "**not met**"
        spread = f"{ratio:.3f} ({ratios[0]:.2f}–{ratios[-1]:.2f}) {met}"
        print(f"| {kind.__name__} | {mine:.0f} | {others:.0f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
