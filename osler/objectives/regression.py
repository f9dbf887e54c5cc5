"""Regression: one number per sample, or several."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.objectives.objective import forward
from osler.objectives.supervised import Supervised
from osler.records import Batch, Task


class Regression(Supervised):
    """The network gives (N, K) numbers in units in which each target has mean 0 and deviation 1.

    `mean` and `std` (one each per target) lead back to the targets' own units, in which metrics are given; the loss
    stays in standardised units.
    """

    def __init__(
        self,
        task: Task,
        criterion: nn.Module,
        metrics: Sequence[str] = (),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        super().__init__(task, criterion, metrics)
        self.mean = torch.tensor(mean or [0.0] * task.outputs)
        self.std = torch.tensor(std or [1.0] * task.outputs)

    def in_units(self, values: Tensor) -> Tensor:
        """Standardised numbers in the targets' own units."""
        return values * self.std.to(values.device) + self.mean.to(values.device)

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.in_units(outputs.detach().float()), self.in_units(batch.targets)

    def check(self, model: nn.Module, batch: Batch) -> None:
        with torch.no_grad():
            outputs = forward(model, batch.inputs)
        wanted = (len(batch), self.task.outputs)
        if not isinstance(outputs, Tensor) or tuple(outputs.shape) != wanted:
            got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise InputError(f"the network gives {got} for a batch of {len(batch)}; it needs {wanted}, one per target")
