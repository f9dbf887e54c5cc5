"""Averaged weights: their average over many steps often judges better than the last of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from osler.errors import InputError
from osler.registry import Registry
from osler.training.aside import aside
from osler.training.callbacks.callback import Callback
from osler.training.looking import looking

if TYPE_CHECKING:
    from osler.training.trainer import Trainer

USED = ("finished", "stopped early", "interrupted")  # how training ends where the average is worth having


class Averaging(Callback):
    """Keeps an average of the weights beside those that learn; each validation, and the end, see the average.

    What learns is never touched: the average takes its place while an epoch is judged, and the weights come back bit
    for bit. What other callbacks see of an epoch (early stopping keeps the best weights) is the average. At the end the
    average goes into the model; put early stopping before it (callbacks end in reverse) for the best average instead.
    Weights of 16 bits are averaged in 32, where small changes count. Each call of `fit` begins a new average.
    """

    def __init__(self) -> None:
        self.count = 0  # of weights in the average
        self.average: dict[str, Tensor] = {}
        self.live: dict[str, Tensor] = {}  # what is averaged, as it is now

    def share(self, trainer: Trainer) -> float:
        """How much the weights after this step count in the new average (the first ones: all); 0: not at all."""
        raise NotImplementedError

    def averaged(self, model: nn.Module) -> dict[str, Tensor]:
        """The tensors to average, by name."""
        return dict(model.named_parameters())

    def begin(self, trainer: Trainer) -> None:
        self.count = 0
        self.average = {}
        self.live = self.averaged(trainer.model)

    @torch.no_grad()
    def step(self, trainer: Trainer) -> None:
        share = self.share(trainer)
        if share == 0:
            return
        now = [_precise(tensor) for tensor in self.live.values()]
        if self.count:
            torch._foreach_lerp_(list(self.average.values()), now, share)
        else:
            self.average = {name: tensor.clone() for name, tensor in zip(self.live, now, strict=True)}
        self.count += 1

    @contextlib.contextmanager
    def judging(self, trainer: Trainer) -> Iterator[None]:
        if self.count == 0:
            yield
            return
        held = [*self.live.values(), *_statistics(trainer.model).values()]
        before = [tensor.detach().clone() for tensor in held]
        try:
            self.put(trainer)
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(held, before)

    @torch.no_grad()
    def put(self, trainer: Trainer) -> None:
        """Writes the average into the model."""
        torch._foreach_copy_(list(self.live.values()), list(self.average.values()))

    def end(self, trainer: Trainer) -> None:
        if self.count and trainer.status in USED:
            self.put(trainer)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "average": dict(self.average)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]
        live = self.live.items() if self.count else ()
        self.average = {name: _precise(tensor).detach().clone().copy_(state["average"][name]) for name, tensor in live}


class EMA(Averaging):
    """Exponential moving average of the weights: follows them slowly, and so evens out the noise of the steps.

    Formula: a ← d·a + (1 − d)·w after every step, with d = min(decay, (1 + t) / (10 + t)), t counting the steps before
    (a starts as the first w).
    Shapes: those of the weights; one more copy of them in memory.
    Defaults: decay 0.999, about the last thousand steps. In the first steps d is smaller (warm-up), so that the
    weights of the beginning are soon forgotten: at any time about the last tenth of the steps counts at least.
    Batch normalisation: running means and variances are averaged with the weights, at the same pace.
    Raises: InputError unless 0 ≤ decay < 1.
    Use: almost always harmless; with it the learning rate need not fall so far.
    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the warm-up is that of
    TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, decay: float = 0.999):
        super().__init__()
        if not 0 <= decay < 1:
            raise InputError(f"decay must be at least 0 and below 1 (0.999: about the last 1000 steps), got {decay}")
        self.decay = decay

    def share(self, trainer: Trainer) -> float:
        return 1 - min(self.decay, (1 + self.count) / (10 + self.count))

    def averaged(self, model: nn.Module) -> dict[str, Tensor]:
        statistics = {name: tensor for name, tensor in _statistics(model).items() if tensor.is_floating_point()}
        return super().averaged(model) | statistics


class SWA(Averaging):
    """Stochastic weight averaging: all weights of the last part of training count the same.

    Formula: a ← a + (w − a) / (n + 1) after every step of the last epochs, n counting the weights in a.
    Shapes: those of the weights; one more copy of them in memory.
    Defaults: start 0.75, the share of the epochs that pass before (rounded down to whole epochs).
    Batch normalisation: the averaged network has activations that none of the averaged ones had, so its running means
    and variances are computed anew in one pass over the training batches, before each validation and at the end
    (every batch counts the same; dropout is off as in use; frozen layers keep theirs).
    Raises: InputError unless 0 ≤ start < 1, and for training batches that can be used only once.
    Use: with a learning rate that stays high to the end (a constant schedule), so that there is something to average;
    it then finds flatter minima.
    Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
    """

    def __init__(self, start: float = 0.75):
        super().__init__()
        if not 0 <= start < 1:
            raise InputError(f"start must be at least 0 and below 1 (0.75: the last quarter), got {start}")
        self.start = start
        self.after = 0  # epochs that pass before
        self.known: tuple[int, list[Tensor]] = (0, [])  # statistics of the average of so many weights

    def begin(self, trainer: Trainer) -> None:
        super().begin(trainer)
        self.known = (0, [])
        self.after = trainer.epoch + int(self.start * (trainer.epochs - trainer.epoch))
        if isinstance(trainer.train, Iterator) and _moving(trainer.model):
            kind = type(trainer.train).__name__
            raise InputError(
                f"SWA passes over the training batches once more for batch normalisation, but a {kind} can be used "
                "once: give a DataLoader"
            )

    def share(self, trainer: Trainer) -> float:
        return 1 / (self.count + 1) if trainer.epoch > self.after else 0.0

    @torch.no_grad()
    def put(self, trainer: Trainer) -> None:
        super().put(trainer)
        statistics = list(_statistics(trainer.model).values())
        count, known = self.known
        if count == self.count and known:
            torch._foreach_copy_(statistics, known)
        elif statistics:
            recompute_statistics(trainer)
            self.known = (self.count, [tensor.clone() for tensor in statistics])

    def state_dict(self) -> dict[str, Any]:
        count, statistics = self.known
        return {**super().state_dict(), "after": self.after, "known": count, "statistics": statistics}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.after = state["after"]
        self.known = (state["known"], state["statistics"])


def recompute_statistics(trainer: Trainer) -> None:
    """Running means and variances of batch normalisation, from one pass of the model over the training batches.

    Every batch counts the same. Layers in evaluation mode (frozen) and layers that the pass doesn't reach keep theirs.
    """
    layers = _moving(trainer.model)
    before = [(layer.momentum, {name: t.clone() for name, t in layer.named_buffers()}) for layer in layers]
    try:
        with aside(trainer.train), looking(trainer.model), trainer.engine.autocast(trainer.device):
            for layer in layers:
                layer.train()
                layer.reset_running_stats()
                layer.momentum = None  # the mean of all batches
            for batch in trainer.batches(trainer.train) if layers else ():
                trainer.objective.evaluate(trainer.model, batch)
    finally:
        for layer, (momentum, statistics) in zip(layers, before, strict=True):
            layer.momentum = momentum
            if layer.num_batches_tracked == 0:
                layer.load_state_dict(statistics, strict=False)


def _moving(model: nn.Module) -> list[Any]:
    """The layers whose running statistics follow the batches (those of a frozen one don't)."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None and m.training]


def _statistics(model: nn.Module) -> dict[str, Tensor]:
    """What batch normalisation keeps of the batches it saw, by name."""
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    return {f"{name}.{key}": tensor for name, module in layers for key, tensor in module.named_buffers()}


def _precise(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


AVERAGING: Registry[Averaging] = Registry(
    "averaging",
    {"ema": EMA, "swa": SWA},
    aliases={
        "exponential_moving_average": "ema",
        "polyak": "ema",
        "polyak_averaging": "ema",
        "stochastic_weight_averaging": "swa",
    },
)
