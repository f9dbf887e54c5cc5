"""Building blocks against torch's own: `python -m benchmarks.blocks [part of a name] [--threads N]`.

Ours and the peer take turns, so that a busy machine is equally unkind to both; the ratio is of their shortest times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from osler.nn.activations import ACTIVATIONS
from osler.nn.losses import LOSSES
from osler.optim.optimizers import OPTIMIZERS
from osler.optim.schedules import SCHEDULES

MILLION = 1_000_000


class Row(NamedTuple):
    block: str
    peer: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    limit: float  # the ratio that we promise


def parameters(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    result = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    for p in result:
        p.grad = torch.randn_like(p)
    return result


def optimizers() -> Iterator[Row]:
    torchs: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
        "adagrad": lambda p: torch.optim.Adagrad(p),
        "rmsprop": lambda p: torch.optim.RMSprop(p, alpha=0.9),
        "adadelta": lambda p: torch.optim.Adadelta(p),
        "adam": lambda p: torch.optim.Adam(p),
        "adamw": lambda p: torch.optim.AdamW(p),
        "adamax": lambda p: torch.optim.Adamax(p),
        "nadam": lambda p: torch.optim.NAdam(p),
    }
    medium: list[tuple[int, ...]] = [(500, 500)] * 4
    small: list[tuple[int, ...]] = [(128, 128), (128,)] * 8
    for size, shapes in {"MLP": small, "1 M": medium}.items():
        for name, make in torchs.items():
            ours = OPTIMIZERS.create(name, parameters(shapes))
            yield Row(f"{name}, {size}", "torch's default", ours.step, make(parameters(shapes)).step, 1.05)
    large: list[tuple[int, ...]] = [(1000, 1000)] * 10
    for size, shapes in {"MLP": small, "10 M": large}.items():
        for fused in (False, True):
            ours = OPTIMIZERS.create("ftrl", parameters(shapes), l1=0.1, l2=0.1, fused=fused)
            adam = torch.optim.Adam(parameters(shapes), fused=True)
            name = f"ftrl{' fused' if fused else ''}, {size}"
            yield Row(name, "fused Adam", ours.step, adam.step, 1.5)


def schedules() -> Iterator[Row]:
    steps = 10 * MILLION  # more than the clock can reach

    def moving(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]) -> Callable[[], None]:
        optimizer = torch.optim.Adam(parameters([(2,)]), lr=0.1)
        schedule = make(optimizer)
        optimizer.step()
        return schedule.step

    torchs: dict[str, Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]] = {
        "constant": lambda o: lr_scheduler.ConstantLR(o, 1.0),
        "step": lambda o: lr_scheduler.StepLR(o, steps // 3),
        "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.01 ** (1 / steps)),
        "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, steps),
        "one_cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.1, steps),
        "warmup": lambda o: lr_scheduler.LinearLR(o, 1e-6, total_iters=steps // 10),
    }
    for name, make in torchs.items():
        ours = moving(partial(SCHEDULES[name], steps=steps))
        yield Row(name, "torch's class", ours, moving(make), 1.05)


def activations() -> Iterator[Row]:
    torchs: dict[str, nn.Module] = {
        "ramp": nn.Hardtanh(0, 1),
        "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(),
        "relu": nn.ReLU(),
        "leaky_relu": nn.LeakyReLU(),
        "prelu": nn.PReLU(),
        "elu": nn.ELU(),
        "selu": nn.SELU(),
        "gelu": nn.GELU(),
        "silu": nn.SiLU(),
        "softplus": nn.Softplus(),
        "softmax": nn.Softmax(dim=-1),
    }
    x = torch.randn(1000, 1000, requires_grad=True)
    for name, theirs in torchs.items():
        ours = ACTIVATIONS.create(name)
        yield Row(name, type(theirs).__name__, there_and_back(ours, x), there_and_back(theirs, x), 1.05)


def losses() -> Iterator[Row]:
    x, y = torch.randn(1000, 1000, requires_grad=True), torch.randn(1000, 1000)
    classes, labels = torch.randint(1000, (1000,)), (y > 0).float()
    torchs: dict[str, tuple[Callable[..., Tensor], Tensor]] = {
        "mse": (functional.mse_loss, y),
        "mae": (functional.l1_loss, y),
        "huber": (functional.huber_loss, y),
        "binary_cross_entropy": (functional.binary_cross_entropy_with_logits, labels),
        "categorical_cross_entropy": (functional.cross_entropy, functional.one_hot(classes, 1000).float()),
        "sparse_categorical_cross_entropy": (functional.cross_entropy, classes),
    }
    for name, (theirs, target) in torchs.items():
        ours = LOSSES.create(name)
        yield Row(name, theirs.__name__, there_and_back(ours, x, target), there_and_back(theirs, x, target), 1.05)


def there_and_back(block: Callable[..., Tensor], x: Tensor, *others: Tensor) -> Callable[[], None]:
    """Forward and backward."""

    def run() -> None:
        x.grad = None
        torch.autograd.backward(block(x, *others).sum())

    return run


def shortest(row: Row, seconds: float) -> tuple[float, float]:
    """Seconds that ours and the peer's take at best."""
    for run in (row.ours, row.theirs):
        run()  # state, and compilation
    once = max(timed(row.theirs, 1), 1e-7)
    repeats = max(1, int(1e-3 / once))  # what is shorter than the clock can tell is repeated
    best = [float("inf"), float("inf")]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for i, run in enumerate((row.ours, row.theirs)):
            best[i] = min(best[i], timed(run, repeats))
    return best[0], best[1]


def timed(run: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default="", help="only blocks or kinds of blocks whose name contains this")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {chosen.threads} threads; times in µs")
    print(f"{'block':40}{'peer':34}{'ours':>10}{'peer':>10}{'ratio':>7}{'limit':>7}")
    for kind in (optimizers, schedules, activations, losses):
        for row in kind():
            if chosen.name in row.block or chosen.name in kind.__name__:
                ours, theirs = (1e6 * t for t in shortest(row, chosen.seconds))
                over = "  over" if ours > row.limit * theirs else ""
                print(
                    f"{row.block:40}{row.peer:34}{ours:10.1f}{theirs:10.1f}{ours / theirs:7.2f}{row.limit:7.2f}{over}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
