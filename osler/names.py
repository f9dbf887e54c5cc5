"""Building blocks by name: what `osler.model("mlp", …)` and its like call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from osler.metrics import metric
from osler.models import MODELS
from osler.nn import ACTIVATIONS, LOSSES, initialize
from osler.optim import OPTIMIZERS, SCHEDULES


def model(name: str, *, inputs: tuple[int, ...], outputs: int, **options: Any) -> nn.Module:
    """A network by name for samples of shape `inputs` (without the batch axis) and so many outputs.

    >>> network = osler.model("lenet5", inputs=(1, 32, 32), outputs=10)
    >>> sum(p.numel() for p in network.parameters())
    61706
    """
    return MODELS.create(name, inputs=tuple(inputs), outputs=outputs, **options)


def activation(name: str, **options: Any) -> nn.Module:
    """An activation by name: `osler.activation("leaky_relu", slope=0.1)`."""
    return ACTIVATIONS.create(name, **options)


def loss(name: str, **options: Any) -> nn.Module:
    """A loss by name, called with (prediction, target) or (prediction, target, sample weights)."""
    return LOSSES.create(name, **options)


def optimizer(name: str, parameters: Iterable[Tensor] | Iterable[dict[str, Any]], **options: Any) -> Optimizer:
    """An optimizer by name: `osler.optimizer("momentum", model.parameters(), lr=0.1)`."""
    return OPTIMIZERS.create(name, parameters, **options)


def schedule(name: str, optimizer: Optimizer, steps: int, **options: Any) -> LRScheduler:
    """A learning-rate schedule by name over so many optimizer steps; call its `step()` after each of them."""
    return SCHEDULES.create(name, optimizer, steps, **options)


__all__ = ["activation", "initialize", "loss", "metric", "model", "optimizer", "schedule"]
