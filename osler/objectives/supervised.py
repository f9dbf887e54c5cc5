"""Learning from inputs with known targets: what classification and regression share."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from osler.metrics import metric
from osler.objectives.objective import Outcome, Turn, forward
from osler.records import Batch, Task

if TYPE_CHECKING:
    from torchmetrics import Metric


class Supervised:
    """One turn a step: the network's outputs against the targets, by a criterion `loss(prediction, target, weight)`."""

    def __init__(self, task: Task, criterion: nn.Module, metrics: Sequence[str] = ()):
        self.task = task
        self.criterion = criterion
        self.metric_names = tuple(metrics)

    def turns(self) -> Sequence[Turn]:
        return [Turn(self.evaluate, lambda model: model.parameters())]

    def evaluate(self, model: nn.Module, batch: Batch) -> Outcome:
        outputs = forward(model, batch.inputs)
        return Outcome(self.criterion(outputs, self.targets(batch.targets), batch.weights), outputs)

    def targets(self, targets: Tensor) -> Tensor:
        """The targets as the criterion takes them."""
        return targets

    def metrics(self) -> Mapping[str, Metric]:
        return {name: metric(name, kind=self.task.kind, outputs=self.task.outputs) for name in self.metric_names}

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample (N,)."""
        targets = self.targets(targets)
        if hasattr(self.criterion, "reduction"):
            single: Any = copy.copy(self.criterion)
            single.reduction = "none"
            losses: Tensor = single(outputs, targets)
            return losses.reshape(len(outputs), -1).mean(dim=1)
        return torch.stack([self.criterion(outputs[i : i + 1], targets[i : i + 1]) for i in range(len(outputs))])

    def check(self, model: nn.Module, batch: Batch) -> None:
        raise NotImplementedError

    def measured(self, outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        raise NotImplementedError
