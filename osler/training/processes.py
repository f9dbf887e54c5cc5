"""The processes that train one network together: one, or several that torchrun has started."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn


class Processes:
    """One process alone: what several have to agree on, it decides by itself."""

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

    def sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Each number summed over all processes."""
        return tensors

    def any(self, here: bool) -> bool:
        """Whether it is so in at least one process."""
        return here
