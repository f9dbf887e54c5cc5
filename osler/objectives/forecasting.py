"""Forecasting: the next values of one series or several that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from osler.metrics.metrics import metric
from osler.metrics.tasks import default_metrics
from osler.nn.regression_losses import MeanSquaredError
from osler.objectives.regression import Regression
from osler.records import Batch, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torchmetrics import Metric


class Forecasting(Regression):
    """The network gives (N, H·K): the K series of the first step to come, then of the next …, in standardised units.

    Targets: (N, H, K). Losses are over all steps and series. A loss of Q quantiles takes (N, Q·H·K): the forecast of
    the first quantile, then of the next; metrics are then of the quantile next to the median. `mean` and `std` (one
    each per series) lead back to the series' own units, in which metrics are given.

        >>> Forecasting.ahead(2).shaped(torch.tensor([[1.0, 2.0]])).shape
        torch.Size([1, 2, 1])
    """

    def __init__(
        self,
        task: Task,
        criterion: nn.Module,
        metrics: Sequence[str] = (),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        series = len(task.names)
        super().__init__(task, criterion, metrics, mean or [0.0] * series, std or [1.0] * series)
        self.series = series
        self.horizon = task.outputs // series
        found = getattr(criterion, "quantile", None)
        self.quantiles: tuple[float, ...] = tuple(found) if isinstance(found, list) else ()

    @classmethod
    def ahead(
        cls,
        horizon: int,
        series: int | Sequence[str] = 1,
        criterion: nn.Module | None = None,
        metrics: Sequence[str] | None = None,
    ) -> Forecasting:
        """So many steps of so many series (or these, by name); by default with squared error and the usual metrics."""
        names = tuple(f"series {i + 1}" for i in range(series)) if isinstance(series, int) else tuple(series)
        usual = default_metrics("forecasting") if metrics is None else metrics
        task = Task("forecasting", horizon * len(names), names)
        return cls(task, criterion or MeanSquaredError(), usual)

    def shaped(self, outputs: Tensor) -> Tensor:
        """What the network gives as (N, H, K), or (N, Q, H, K)."""
        if not self.quantiles:
            return outputs.reshape(len(outputs), self.horizon, self.series)
        # Quantiles that cross are put in order (Chernozhukov, Fernández-Val and Galichon, 2010).
        return outputs.reshape(len(outputs), len(self.quantiles), self.horizon, self.series).sort(dim=1).values

    def loss(self, outputs: Any, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        return super().loss(self.shaped(outputs), targets, weights)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return super().losses(self.shaped(outputs), targets)

    def count(self, outputs: Any, batch: Batch) -> float | Tensor:
        return super().count(self.shaped(outputs), batch)

    def targets(self, targets: Tensor, outputs: Tensor) -> Tensor:
        return targets.to(outputs.dtype)

    def central(self, outputs: Tensor) -> Tensor:
        """The forecast (N, H, K): of several quantiles that next to the median."""
        shaped = self.shaped(outputs)
        if not self.quantiles:
            return shaped
        return shaped[:, min(range(len(self.quantiles)), key=lambda i: abs(self.quantiles[i] - 0.5))]

    def metrics(self) -> Mapping[str, Metric]:
        return {name: metric(name, kind="regression", outputs=self.series) for name in self.metric_names}

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        outputs = self.central(outputs.detach()).float()
        return tuple(self.in_units(values).flatten(0, 1) for values in (outputs, batch.targets))  # type: ignore[return-value]

    def told(self, outputs: Tensor, targets: Tensor) -> dict[str, NDArray[Any]]:
        """Numbers (N, H, K) in the series' units."""
        return super().told(self.central(outputs), targets)

    def in_words(self, value: Any) -> str:
        """The first of the numbers."""
        numbers = torch.as_tensor(value).flatten().tolist()
        return ", ".join(f"{number:.4g}" for number in numbers[:3]) + (" …" if len(numbers) > 3 else "")

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        """One forecast (1, …), a row each step: `prediction`, or one `prediction name` each; quantiles are named so."""
        names = [""] if self.series == 1 else [f" {name}" for name in self.task.names]
        found = {"prediction": self.central(outputs)}
        found |= {f"quantile {q:g}": self.shaped(outputs)[:, i] for i, q in enumerate(self.quantiles)}
        return {
            f"{what}{name}": self.in_units(values)[0, :, i].numpy()
            for what, values in found.items()
            for i, name in enumerate(names)
        }

    def check(self, model: nn.Module, batch: Batch) -> None:
        from osler.errors import InputError
        from osler.objectives.objective import forward

        if batch.targets is None:
            raise InputError("there is nothing to forecast: a batch is (what was, what came), but got what was only")
        outputs, width = forward(model, batch.inputs), self.task.outputs * max(len(self.quantiles), 1)
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        if not isinstance(outputs, Tensor) or len(outputs) != len(batch) or outputs[0].numel() != width:
            each = f"{len(self.quantiles)} quantiles of " if self.quantiles else ""
            raise InputError(
                f"the network gives {got} for a batch of {len(batch)}; it needs {(len(batch), width)}: {each}"
                f"{self.horizon} steps of {self.series} series"
            )
        wanted = (len(batch), self.horizon, self.series)
        if tuple(batch.targets.shape) != wanted:
            raise InputError(f"what comes is of shape {tuple(batch.targets.shape)}, but a forecast is {wanted}")
