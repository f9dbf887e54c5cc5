"""Regression: one number per sample, or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from osler.metrics.tasks import default_metrics
from osler.nn.regression_losses import MeanSquaredError
from osler.objectives.supervised import Supervised, column
from osler.records import Batch, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Regression(Supervised):
    """The network gives (N, K) numbers, in units in which each target has mean 0 and deviation 1.

    Targets: (N, K), in the same units; (N,) will do for one. `mean` and `std` (one each per target) lead back to the
    targets' own units, in which metrics are given; the loss stays in standardised units. Without them nothing is
    standardised.

        >>> Regression.of(1).in_units(torch.tensor([[2.0]]))
        tensor([[2.]])
    """

    task: Task

    def __init__(
        self,
        task: Task,
        criterion: nn.Module,
        metrics: Sequence[str] = (),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        super().__init__(criterion, task, metrics)
        self.mean = torch.tensor(mean or [0.0] * task.outputs)
        self.std = torch.tensor(std or [1.0] * task.outputs)

    @classmethod
    def of(
        cls, outputs: int | Sequence[str] = 1, criterion: nn.Module | None = None, metrics: Sequence[str] | None = None
    ) -> Regression:
        """So many numbers (or these, by name) as they are; by default with squared error and the usual metrics."""
        names = tuple(f"target {i + 1}" for i in range(outputs)) if isinstance(outputs, int) else tuple(outputs)
        task = Task("regression", len(names), names)
        return cls(task, criterion or MeanSquaredError(), default_metrics("regression") if metrics is None else metrics)

    def targets(self, targets: Tensor, outputs: Tensor) -> Tensor:
        return column(targets, outputs)

    def in_units(self, values: Tensor) -> Tensor:
        """Standardised numbers in the targets' own units."""
        self.mean, self.std = self.mean.to(values.device), self.std.to(values.device)
        return values * self.std + self.mean

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        outputs = outputs.detach().float()
        return self.in_units(outputs), self.in_units(column(batch.targets, outputs))

    def told(self, outputs: Tensor, targets: Tensor) -> dict[str, NDArray[Any]]:
        """Numbers (N, K) in the targets' units."""
        pair = {"target": self.in_units(targets), "prediction": self.in_units(outputs.float())}
        return {key: value.cpu().numpy() for key, value in pair.items()}

    def in_words(self, value: Any) -> str:
        """Numbers in short."""
        return ", ".join(f"{number:.4g}" for number in value)

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        """`prediction`, or one `prediction name` for each of several targets."""
        names = ["prediction"] if self.task.outputs == 1 else [f"prediction {name}" for name in self.task.names]
        return dict(zip(names, self.in_units(outputs).numpy().T, strict=True))

    def wants(self) -> str:
        return "one number for each target"
