"""The learning-rate range test: how the loss takes a learning rate that grows from step to step."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from osler.errors import InputError
from osler.objectives.objective import Objective
from osler.records import Batch
from osler.training.aside import aside
from osler.training.looking import looking
from osler.training.trainer import Trainer

DIVERGED = 3  # times as far above the lowest loss as that is below the first, or away from 0
KEPT = 0.8  # of the running mean that is watched for divergence
WIDTH = 3.0  # steps: the standard deviation of the bell that smooths the curve
NOISE = 2  # a fall of fewer standard deviations of a batch's loss may be chance


@dataclass(frozen=True)
class RangeTest:
    """What a range test found; a rate is None where the loss never fell.

    `rates`: the learning rate of each step; `losses`: the batch's loss before that step; `smooth`: the same without
    the noise of batches. `steepest`: the rate at which the smooth loss falls fastest, `tenth`: a tenth of the rate at
    which it is lowest; `suggestion`: the larger of the two (on fifteen small trainings it led to the lowest loss).
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    steepest: float | None
    tenth: float | None
    diverged: bool  # the test ended because the loss ran away

    @property
    def suggestion(self) -> float | None:
        return None if self.steepest is None or self.tenth is None else max(self.steepest, self.tenth)

    def __str__(self) -> str:
        tried = f"{len(self.rates)} learning rates from {self.rates[0]:.1g} to {self.rates[-1]:.2g}"
        if self.suggestion is None:
            return f"{tried}: the loss never fell, so there is none to suggest"
        end = ", where the loss ran away" if self.diverged else ""
        return (
            f"{tried}{end}: the loss falls fastest at {self.steepest:.2g}, and a tenth of where it is lowest is "
            f"{self.tenth:.2g}; try {self.suggestion:.1g}"
        )


def find_learning_rate(
    model: nn.Module,
    objective: Objective | nn.Module,
    batches: Iterable[Any],
    optimizer: Optimizer | Sequence[Optimizer] | Callable[[Iterable[Any]], Optimizer] | None = None,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    clip_value: float | None = None,
    clip_norm: float | None = None,
    device: torch.device | str | None = None,
) -> RangeTest:
    """Trains a copy for some steps with a learning rate that grows exponentially, and looks where the loss falls.

    `objective`, `optimizer`, `clip_value`, `clip_norm`, `device`: as for `Trainer`. `batches` are passed over as often
    as needed. Parameter groups keep the ratios of their rates; the first one's is what is told. The test ends early
    when the loss runs away. Model, objective, optimizer, the order of the batches and all random numbers are as before
    afterwards. It costs `steps` steps in full precision (a fraction of a second to a minute) and a copy of the model.
    Raises InputError when model, objective and batches don't fit, for rates that don't grow, or fewer than 10 steps.
    Source: Smith, "Cyclical learning rates for training neural networks", 2017 (first in 2015).

        >>> x = torch.randn(500, 4, generator=torch.manual_seed(0))
        >>> batches = [(x, x.sum(dim=1, keepdim=True))]
        >>> found = find_learning_rate(nn.Linear(4, 1), nn.MSELoss(), batches, torch.optim.SGD)
        >>> 0.01 < found.suggestion < 1
        True
    """
    if not 0 < lowest < highest < math.inf:
        raise InputError(f"learning rates are tried from a lowest to a highest, but got {lowest} and {highest}")
    if steps < 10:
        raise InputError(f"a range test needs 10 steps or more to show a curve, but got {steps}")
    with aside(batches):
        # All in one: the optimizer's copy holds the model's copy.
        model, objective, optimizer = copy.deepcopy((model, objective, optimizer))
        trainer = Trainer(model, objective, optimizer=optimizer, device=device)
        rates, losses, diverged = _sweep(trainer, batches, np.geomspace(lowest, highest, steps), clip_value, clip_norm)
    smooth = _smooth(losses)
    steepest, tenth = _suggestions(rates, losses, smooth)
    return RangeTest(tuple(rates), tuple(losses), tuple(smooth), steepest, tenth, diverged)


def _sweep(
    trainer: Trainer, batches: Iterable[Any], rates: Iterable[float], clip_value: float | None, clip_norm: float | None
) -> tuple[list[float], list[float], bool]:
    """The rates that were tried, the losses, and whether these ran away."""
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    first = float(groups[0]["lr"])
    if first == 0:
        raise InputError("the optimizer's learning rate is 0, and groups keep the ratio to it: give any other")
    ratios = [float(group["lr"]) / first for group in groups]
    tried: list[float] = []
    losses: list[float] = []
    mean = lowest = 0.0
    trainer.model.train()
    for rate, batch in zip(map(float, rates), _endless(trainer, batches), strict=False):
        if not tried:
            with looking(trainer.model):
                trainer.objective.check(trainer.model, batch)
        for group, ratio in zip(groups, ratios, strict=True):
            group["lr"] = rate * ratio
        total = torch.zeros((), device=trainer.device)
        for turn, optimizer in zip(trainer.turns, trainer.optimizers, strict=True):
            loss = turn.loss(trainer.model, batch).loss
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            if clip_value:
                nn.utils.clip_grad_value_(parameters, clip_value)
            if clip_norm:
                nn.utils.clip_grad_norm_(parameters, clip_norm)
            optimizer.step()
            total += loss.detach()
        value = float(total)
        if not tried:
            mean = lowest = value
            if not math.isfinite(value):
                raise InputError(f"the loss of the first batch is {value} before any learning: look at the data first")
        mean = KEPT * mean + (1 - KEPT) * value
        if not math.isfinite(mean):
            return tried, losses, True
        tried.append(rate)
        losses.append(value)
        lowest = min(lowest, mean)
        if mean > _far_above(lowest, losses[0]):
            return tried, losses, True
    return tried, losses, False


def _endless(trainer: Trainer, batches: Iterable[Any]) -> Iterator[Batch]:
    while True:
        none = True
        for batch in trainer.batches(batches):
            none = False
            yield batch
        if none:
            raise InputError("there are too few batches for a range test: the data is empty, or can be used only once")


def _far_above(lowest: float, first: float) -> float:
    return lowest + DIVERGED * max(abs(lowest), first - lowest)


def _smooth(losses: Sequence[float]) -> list[float]:
    """Means over the neighbours on both sides, so that nothing moves to later rates."""
    values = np.minimum(losses, _far_above(min(losses), losses[0]))  # the last ones, far up, would drown the rest
    steps = np.arange(len(values))
    bell = np.exp(-(((steps[:, None] - steps) / WIDTH) ** 2) / 2)
    return [float(value) for value in bell @ values / bell.sum(axis=1)]


def _suggestions(
    rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float]
) -> tuple[float | None, float | None]:
    """The rate of the steepest descent, and a tenth of the lowest loss's."""
    lowest = int(np.argmin(smooth))
    before = slice(0, lowest + 1)
    noise = float(np.std(np.subtract(losses[before], smooth[before])))
    if lowest == 0 or smooth[0] - smooth[lowest] <= NOISE * noise:
        return None, None
    slopes = np.gradient(smooth, np.log(rates))
    return rates[int(np.argmin(slopes[before]))], rates[lowest] / 10
