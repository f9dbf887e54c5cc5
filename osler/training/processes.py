"""The processes that train one network together: one, or several that torchrun has started."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Processes:
    """One process alone: what several have to agree on, it decides by itself.

    Where there are several, all of them call the same methods in the same order, or they wait for each other for ever.
    """

    rank = 0
    count = 1

    def __init__(self, device: torch.device):
        self.device = device

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass shares gradients between the processes."""
        return model

    def alone(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Within it a backward pass keeps its gradients to itself."""
        return contextlib.nullcontext()

    def align(self, model: nn.Module) -> None:
        """Statistics that each process keeps by itself (of batch normalisation) become those of the first."""

    def sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Each number summed over all processes."""
        return tensors

    def largest(self, here: float) -> float:
        """The largest of the numbers that the processes give."""
        return here

    def news(self) -> Callable[[float], float]:
        """As `largest`, but of the call before: so nobody waits, and all still hear of it at the same step."""
        return lambda here: here

    def first(self, value: T) -> T:
        """What the first process gives."""
        return value

    def gather(self, value: T) -> list[T]:
        """What each of them gives, in the order of their ranks."""
        return [value]
