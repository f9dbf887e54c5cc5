"""Classification: one of two classes, one of many, or several labels at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from osler.errors import InputError
from osler.metrics.tasks import default_metrics
from osler.nn.classification_losses import BinaryCrossEntropy, SparseCategoricalCrossEntropy
from osler.nn.focal_loss import Focal
from osler.nn.loss import Loss
from osler.nn.margin_losses import MarginLoss
from osler.objectives.supervised import Supervised, column
from osler.records import Batch, Task, TaskKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Our losses that take class indices for many classes; the others compare with one-hot targets. Any other module is
# given indices, as torch's cross-entropy takes them.
TAKE_CLASS_INDICES = (SparseCategoricalCrossEntropy, Focal, MarginLoss)


class Classification(Supervised):
    """The network gives logits: (N, 1) for two classes, (N, C) for many, (N, L) for L labels.

    Targets: 0/1 of shape (N, 1) or (N,) for two classes, class indices (N,) for many, 0/1 of shape (N, L) for labels.
    Soft ones, of mixed samples, lie between: shares of the classes (N, C), which take a cross-entropy of shares
    (`categorical_cross_entropy`); metrics judge by the larger share.
    Criteria that take probabilities (`nn.BCELoss`, `from_logits=False`) are for networks that end in them.

        >>> objective = Classification.multiclass(["setosa", "versicolor", "virginica"])
        >>> objective.predictions(torch.tensor([[0.0, 9.0, 0.0]]))
        tensor([1])
    """

    task: Task

    def __init__(self, task: Task, criterion: nn.Module, metrics: Sequence[str] = ()):
        super().__init__(criterion, task, metrics)
        self.from_logits = bool(getattr(criterion, "from_logits", not isinstance(criterion, nn.BCELoss)))

    @classmethod
    def binary(cls, criterion: nn.Module | None = None, metrics: Sequence[str] | None = None) -> Classification:
        """One of two classes, from one logit; by default with binary cross-entropy and the usual metrics."""
        return cls._of("binary", ["0", "1"], criterion or BinaryCrossEntropy(), metrics)

    @classmethod
    def multiclass(
        cls, classes: int | Sequence[str], criterion: nn.Module | None = None, metrics: Sequence[str] | None = None
    ) -> Classification:
        """One of several classes (their number, or their names), from one logit each; by default cross-entropy."""
        return cls._of("multiclass", classes, criterion or SparseCategoricalCrossEntropy(), metrics)

    @classmethod
    def multilabel(
        cls, labels: int | Sequence[str], criterion: nn.Module | None = None, metrics: Sequence[str] | None = None
    ) -> Classification:
        """Several yes/no labels at once, from one logit each; by default with binary cross-entropy."""
        return cls._of("multilabel", labels, criterion or BinaryCrossEntropy(), metrics)

    @classmethod
    def _of(
        cls, kind: TaskKind, classes: int | Sequence[str], criterion: nn.Module, metrics: Sequence[str] | None
    ) -> Classification:
        names = tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
        if len(names) < 2:
            raise InputError(f"{kind} needs at least two classes or labels, but got {classes!r}; use binary for one")
        task = Task(kind, 1 if kind == "binary" else len(names), ("target",), names)
        return cls(task, criterion, default_metrics(kind) if metrics is None else metrics)

    def targets(self, targets: Tensor, outputs: Tensor) -> Tensor:
        if self.task.kind != "multiclass":
            return column(targets, outputs)
        if _are_soft(targets):
            return targets.to(outputs.dtype)
        if isinstance(self.criterion, Loss) and not isinstance(self.criterion, TAKE_CLASS_INDICES):
            return F.one_hot(targets.long(), self.task.outputs).to(outputs.dtype)
        return targets.long()

    def probabilities(self, outputs: Tensor) -> Tensor:
        """Of class 1, of each class, or of each label; same shape as the outputs."""
        if not self.from_logits:
            return outputs
        return outputs.softmax(dim=1) if self.task.kind == "multiclass" else outputs.sigmoid()

    def predictions(self, outputs: Tensor) -> Tensor:
        """Class indices (N,), or zeros and ones (N, L) for several labels."""
        if self.task.kind == "multiclass":
            return outputs.argmax(dim=1)
        chosen = (outputs > (0.0 if self.from_logits else 0.5)).long()
        return chosen if self.task.kind == "multilabel" else chosen[:, 0]

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        probabilities, targets = self.probabilities(outputs.detach().float()), batch.targets
        if self.task.kind == "multiclass":
            return probabilities, targets.argmax(1) if _are_soft(targets) else targets.long()
        targets = (targets.round() if targets.is_floating_point() else targets).long()
        return (probabilities[:, 0], targets.reshape(-1)) if self.task.kind == "binary" else (probabilities, targets)

    def told(self, outputs: Tensor, targets: Tensor) -> dict[str, NDArray[Any]]:
        """Class indices (N,), or labels (N, L), and the probability of what is predicted."""
        probabilities = self.probabilities(outputs.float())
        if self.task.kind == "multiclass":
            known, confidence = targets, probabilities.amax(dim=1)
        else:
            certain = torch.maximum(probabilities, 1 - probabilities)
            known = targets.long() if self.task.kind == "multilabel" else targets[:, 0].long()
            confidence = certain.amin(dim=1)
        pair = {"target": known, "prediction": self.predictions(outputs), "confidence": confidence}
        return {key: value.cpu().numpy() for key, value in pair.items()}

    def in_words(self, value: Any) -> str:
        """A class by its name, labels by theirs."""
        if self.task.kind == "multilabel":
            return ", ".join(name for name, on in zip(self.task.classes, value, strict=True) if on) or "none"
        return self.task.classes[int(value)]

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        """`prediction`, `probability` (of the predicted class) and one `p(class)` for each."""
        probabilities = self.probabilities(outputs).numpy()
        columns: dict[str, Any] = {"prediction": [self.in_words(value) for value in self.predictions(outputs).numpy()]}
        if self.task.kind == "binary":
            probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
        if self.task.kind != "multilabel":
            columns["probability"] = probabilities.max(axis=1)
        return columns | {f"p({name})": probabilities[:, i] for i, name in enumerate(self.task.classes)}

    def wants(self) -> str:
        return {
            "binary": "one logit per sample for two classes",
            "multiclass": f"one logit for each of the {self.task.outputs} classes",
            "multilabel": f"one logit for each of the {self.task.outputs} labels",
        }[self.task.kind]

    def check_targets(self, targets: Tensor, outputs: Tensor) -> None:
        if self.task.kind != "multiclass":
            return super().check_targets(targets, outputs)
        if _are_soft(targets) and targets.shape == outputs.shape and not isinstance(self.criterion, TAKE_CLASS_INDICES):
            return None
        if targets.shape != outputs.shape[:1] or targets.is_floating_point():
            raise InputError(
                f"targets of shape {tuple(targets.shape)} and type {targets.dtype}; "
                f"several classes need class indices, whole numbers of shape {tuple(outputs.shape[:1])}"
            )
        return None


def _are_soft(targets: Tensor) -> bool:
    """Whether these targets of several classes are shares (N, C), no indices."""
    return targets.ndim == 2 and targets.is_floating_point()
