"""Learning from inputs with known targets: what classification and regression share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.metrics.metrics import METRICS, metric
from osler.nn.auxiliary import WithAuxiliary
from osler.nn.loss import Loss
from osler.objectives.objective import Outcome, Turn, forward
from osler.records import Batch, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torchmetrics import Metric

# A table, and what takes sequences.
NO_NUMBER_HERE = {
    "confusion_matrix",
    "bleu",
    "perplexity",
    "bits_per_character",
    "word_error_rate",
    "character_error_rate",
}


class Supervised:
    """One turn a step: the network's outputs against the targets, by a criterion (outputs, targets) → loss.

    `criterion`: any loss module, torch's or ours. Without a `task` nothing more is known of the targets: they go to
    the criterion as they are, and there are no metrics.

    Sample weights multiply the samples' losses, and the loss is the mean over the batch: given weights of mean 1, its
    scale and its sum over the data don't depend on how samples fall into batches.
    """

    refused: ClassVar[Set[str]] = NO_NUMBER_HERE  # metrics

    def __init__(self, criterion: nn.Module, task: Task | None = None, metrics: Sequence[str] = ()):
        for name in metrics:
            if METRICS.resolve(name) in self.refused:
                raise InputError(f"metric {name!r} gives no number to follow here; usual are accuracy, f1, rmse, r2")
        if getattr(criterion, "reduction", "mean") in ("none", "sum"):
            raise InputError(f"the loss has reduction {criterion.reduction!r}; a step follows the mean of its samples")
        self.criterion = criterion
        self.task = task
        self.metric_names = tuple(metrics)
        self.penalty: Callable[[nn.Module], Tensor] | None = None  # added to the loss while learning
        self._device = torch.device("cpu")

    def turns(self) -> Sequence[Turn]:
        return [Turn(self.learn, lambda model: model.parameters(), count=self.count)]

    def learn(self, model: nn.Module, batch: Batch) -> Outcome:
        """The outcome whose loss is followed downhill: that of `evaluate`, and the penalty."""
        outcome = self.evaluate(model, batch)
        return outcome if self.penalty is None else outcome._replace(loss=outcome.loss + self.penalty(model))

    def evaluate(self, model: nn.Module, batch: Batch) -> Outcome:
        outputs = forward(model, batch.inputs)
        loss = self.loss(outputs, batch.targets, batch.weights)
        return Outcome(loss, outputs.logits if isinstance(outputs, WithAuxiliary) else outputs)

    def loss(self, outputs: Any, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """The mean loss of the samples; that of auxiliary heads counts as much as their network says."""
        if isinstance(outputs, WithAuxiliary):
            heads = [self.loss(logits, targets, weights) for logits in outputs.auxiliary]
            return self.loss(outputs.logits, targets, weights) + outputs.weight * torch.stack(heads).sum()
        if weights is not None:
            return (self.losses(outputs, targets) * weights).mean()
        self._move_to(outputs)
        loss: Tensor = self.criterion(outputs, self.targets(targets, outputs))
        return loss

    def count(self, outputs: Any, batch: Batch) -> float | Tensor:
        """What the criterion's mean divides by: the samples, or what they count for."""
        if batch.weights is not None:
            return len(batch)
        targets = self.targets(batch.targets, outputs)
        if isinstance(self.criterion, Loss):
            return self.criterion.divisor(outputs, targets)
        if isinstance(self.criterion, nn.CrossEntropyLoss | nn.NLLLoss) and not targets.is_floating_point():
            counted = targets != self.criterion.ignore_index
            weights = self.criterion.weight
            return (counted if weights is None else weights[targets.where(counted, 0)] * counted).sum()
        return len(batch)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample (N,)."""
        self._move_to(outputs)
        targets = self.targets(targets, outputs)
        if not hasattr(self.criterion, "reduction"):
            return torch.stack([self.criterion(outputs[i : i + 1], targets[i : i + 1]) for i in range(len(outputs))])
        single: Any = copy.copy(self.criterion)
        single.reduction = "none"
        losses: Tensor = single(outputs, targets)
        return losses.reshape(len(outputs), -1).mean(dim=1)

    def targets(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """The targets as the criterion takes them beside these outputs."""
        return targets

    def metrics(self) -> Mapping[str, Metric]:
        if self.task is None:
            return {}
        return {name: metric(name, kind=self.task.kind, outputs=self.task.outputs) for name in self.metric_names}

    def measured(self, outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        return outputs.detach(), batch.targets

    def check(self, model: nn.Module, batch: Batch) -> None:
        if batch.targets is None:
            raise InputError("there are no targets to learn from: a batch is (inputs, targets), but got inputs only")
        if self.task is None:
            return
        outputs, wanted = forward(model, batch.inputs), (len(batch), self.task.outputs)
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        if got != wanted:
            raise InputError(f"the network gives {got} for a batch of {len(batch)}; it needs {wanted}: {self.wants()}")
        self.check_targets(batch.targets, outputs)

    def told(self, outputs: Tensor, targets: Tensor) -> dict[str, NDArray[Any]]:
        """For each sample, as `in_words` takes it: "target" and "prediction", and where there is one "confidence"."""
        raise NotImplementedError

    def in_words(self, value: Any) -> str:
        """A target or a prediction, for people."""
        raise NotImplementedError

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        """Predictions as columns of a table, for people."""
        raise NotImplementedError

    def wants(self) -> str:
        """What the network has to give, in words."""
        raise NotImplementedError

    def check_targets(self, targets: Tensor, outputs: Tensor) -> None:
        """Raises InputError for targets that are no numbers beside the outputs."""
        if column(targets, outputs).shape != outputs.shape:
            raise InputError(
                f"targets of shape {tuple(targets.shape)} don't fit outputs of shape {tuple(outputs.shape)}; "
                "this objective needs one target beside every output"
            )

    def _move_to(self, outputs: Tensor) -> None:
        """Class weights and the like go where the outputs are."""
        if outputs.device != self._device:
            self.criterion.to(outputs.device)
            self._device = outputs.device


def column(targets: Tensor, outputs: Tensor) -> Tensor:
    """Targets (N,) as the (N, 1) that stands beside outputs (N, 1), in their type; others keep their shape."""
    return (targets.unsqueeze(1) if targets.ndim == 1 else targets).to(outputs.dtype)
