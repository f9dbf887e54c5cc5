"""Learning rate schedules by name, all torch schedulers.

A schedule starts from the learning rates that the optimizer has (which are its peak) and is stepped once after each
optimizer step; only `reduce_on_plateau`, torch's ReduceLROnPlateau, is stepped once an epoch with the validation loss.
Build it before loading a saved state, into the optimizer or into the schedule.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from osler.errors import InputError
from osler.optim.options import below_one, count, nonnegative, positive
from osler.registry import Registry


def constant(optimizer: Optimizer, steps: int) -> LRScheduler:
    """The learning rate stays as it is.

    Formula: lr(t) = lr, t = 0, 1, … counting optimizer steps.
    Use: short trainings and trying out; later steps want a smaller rate.
    Source: Widrow and Hoff, "Adaptive switching circuits", 1960.
    """
    _begin(optimizer, steps)
    return ConstantLR(optimizer, factor=1.0)


def step(optimizer: Optimizer, steps: int, factor: float = 0.1, drops: int = 2) -> LRScheduler:
    """Drops the learning rate by a factor, a few times at equal distances.

    Formula: lr(t) = lr · factor^⌊t/s⌋ with s = ⌈steps / (drops + 1)⌉.
    Defaults: factor 0.1, drops 2 (so after one third and two thirds of the steps).
    Raises: InputError unless 0 < factor < 1, and drops and steps are at least 1.
    Use: convolutional networks with momentum, when it is known how long training takes to level off.
    Source: He et al., "Deep residual learning for image recognition", 2015, section 3.4.
    """
    _begin(optimizer, steps)
    positive("factor", below_one("factor", factor))
    return StepLR(optimizer, step_size=math.ceil(steps / (count("drops", drops) + 1)), gamma=factor)


def exponential(optimizer: Optimizer, steps: int, final: float = 0.01) -> LRScheduler:
    """Shrinks the learning rate by the same factor at each step.

    Formula: lr(t) = lr · final^(t/steps).
    Defaults: final 0.01, the part of the learning rate that is left at the end.
    Raises: InputError unless 0 < final < 1 and steps is at least 1.
    Use: a steady fall without thinking about when.
    Source: Senior et al., "An empirical study of learning rates in deep neural networks for speech recognition", 2013.
    """
    _begin(optimizer, steps)
    positive("final", below_one("final", final))
    return ExponentialLR(optimizer, gamma=final ** (1 / steps))


def cosine(optimizer: Optimizer, steps: int, minimum: float = 0.0) -> LRScheduler:
    """Lets the learning rate fall along half a cosine: slowly, fast, slowly.

    Formula: lr(t) = minimum + (lr − minimum) · (1 + cos(πt/steps)) / 2.
    Defaults: minimum 0, the learning rate at the end.
    Raises: InputError for a minimum that is negative or above a learning rate, and for steps below 1.
    Use: a good default when the number of steps is known.
    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017 (without restarts).
    """
    _begin(optimizer, steps)
    lowest = min(group["lr"] for group in optimizer.param_groups)
    if nonnegative("minimum", minimum) > lowest:
        raise InputError(f"minimum must be at most the learning rate, {lowest:g}, from which it falls, got {minimum!r}")
    return CosineAnnealingLR(optimizer, T_max=steps, eta_min=minimum)


def one_cycle(optimizer: Optimizer, steps: int, warmup: float = 0.3, cycle_momentum: bool = True) -> LRScheduler:
    """Raises the learning rate from 1/25 to its peak, then lets it fall to nearly 0; momentum goes the other way.

    Formula: cosine arcs from lr/25 to lr over the first warmup·steps, then to lr/250,000; momentum (or β₁) from 0.95 to
    0.85 and back, where the optimizer has one and it isn't 0. It can be stepped `steps` times, not more.
    Defaults: warmup 0.3, the part of the steps with a rising rate; cycle_momentum True.
    Raises: InputError unless 0 ≤ warmup < 1 and steps is at least 1.
    Use: a good network in few epochs, with a high peak (find it by trying).
    Source: Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates",
    2018.
    """
    _begin(optimizer, steps)
    groups = optimizer.param_groups
    has_momentum = all("betas" in group or group.get("momentum", 0) for group in groups)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in groups],
        total_steps=steps,
        pct_start=float(below_one("warmup", warmup)),
        cycle_momentum=cycle_momentum and has_momentum,
    )


def warmup(optimizer: Optimizer, steps: int, warmup: float = 0.1) -> LRScheduler:
    """Raises the learning rate in a straight line, then keeps it.

    Formula: lr(t) = lr · min(1, (t + 1)/(s + 1)) with s = ⌈warmup·steps⌉.
    Defaults: warmup 0.1, a part of the steps.
    Raises: InputError unless 0 ≤ warmup < 1 and steps is at least 1.
    Use: large batches, Transformers, and whatever diverges in its first steps.
    Source: Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017.
    """
    _begin(optimizer, steps)
    rising = math.ceil(below_one("warmup", warmup) * steps)
    return LinearLR(optimizer, start_factor=1 / (rising + 1), total_iters=rising)


def warmup_cosine(optimizer: Optimizer, steps: int, warmup: float = 0.1) -> LRScheduler:
    """Raises the learning rate in a straight line, then lets it fall to 0 along half a cosine.

    Formula: as `warmup` up to step s = ⌈warmup·steps⌉, then lr(t) = lr · (1 + cos(π(t − s)/(steps − s))) / 2.
    Defaults: warmup 0.1, a part of the steps.
    Raises: InputError unless 0 ≤ warmup < 1 and steps is at least 1.
    Use: Transformers, and long trainings with Adam.
    Source: Goyal et al., 2017 (warm-up) and Loshchilov and Hutter, 2017 (cosine).
    """
    _begin(optimizer, steps)
    return LambdaLR(optimizer, WarmupCosine(steps, math.ceil(below_one("warmup", warmup) * steps)))


class WarmupCosine:
    """The factor of `warmup_cosine` at a step; an object, because a scheduler saves objects and no functions."""

    def __init__(self, steps: int, rising: int) -> None:
        self.steps = steps
        self.rising = rising

    def __call__(self, at: int) -> float:
        if at < self.rising:
            return (at + 1) / (self.rising + 1)
        fallen = min((at - self.rising) / max(self.steps - self.rising, 1), 1.0)
        return 0.5 * (1 + math.cos(math.pi * fallen))


def reduce_on_plateau(
    optimizer: Optimizer, steps: int, factor: float = 0.1, patience: int = 5, minimum: float = 0.0
) -> ReduceLROnPlateau:
    """Drops the learning rate by a factor when the validation loss has stopped improving.

    Formula: lr ← max(factor·lr, minimum) after more than `patience` epochs without a loss 0.01 % below the best one.
    Step it once an epoch, with the validation loss; `steps` has no part in it.
    Defaults: factor 0.1, patience 5 epochs, minimum 0.
    Raises: InputError unless 0 < factor < 1, patience is at least 1 and minimum is not negative.
    Use: when nobody knows how many epochs are needed; it needs validation data.
    Source: Keras's callback of that name, 2015; a rule of thumb as old as the field.
    """
    _begin(optimizer, steps)
    positive("factor", below_one("factor", factor))
    return ReduceLROnPlateau(
        optimizer, factor=factor, patience=count("patience", patience), min_lr=nonnegative("minimum", minimum)
    )


SCHEDULES: Registry[LRScheduler] = Registry(
    "schedule",
    {
        "constant": constant,
        "step": step,
        "exponential": exponential,
        "cosine": cosine,
        "one_cycle": one_cycle,
        "warmup": warmup,
        "warmup_cosine": warmup_cosine,
        "reduce_on_plateau": reduce_on_plateau,
    },
    aliases={
        "none": "constant",
        "step_decay": "step",
        "exponential_decay": "exponential",
        "cosine_annealing": "cosine",
        "cosine_decay": "cosine",
        "onecycle": "one_cycle",
        "1cycle": "one_cycle",
        "linear_warmup": "warmup",
        "warm_up": "warmup",
        "cosine_warmup": "warmup_cosine",
        "plateau": "reduce_on_plateau",
        "reduce_lr_on_plateau": "reduce_on_plateau",
    },
)


def _begin(optimizer: Optimizer, steps: int) -> None:
    if not isinstance(optimizer, Optimizer):
        raise InputError(f"a schedule takes the optimizer whose learning rate it moves, got {type(optimizer).__name__}")
    count("steps", steps)
    for group in optimizer.param_groups:
        # An earlier schedule leaves the rate that it began with; this one begins with the rate of now.
        group.pop("initial_lr", None)
