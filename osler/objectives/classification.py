"""Classification: one of two classes, one of many, or several labels at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.classification_losses import SparseCategoricalCrossEntropy
from osler.nn.focal_loss import Focal
from osler.nn.margin_losses import MarginLoss
from osler.objectives.objective import forward
from osler.objectives.supervised import Supervised
from osler.records import Batch

# For many classes these take class indices; every other criterion compares with one-hot targets.
TAKE_CLASS_INDICES = (SparseCategoricalCrossEntropy, Focal, MarginLoss, nn.CrossEntropyLoss, nn.NLLLoss)


class Classification(Supervised):
    """The network gives logits: (N, 1) for two classes, (N, C) for many, (N, L) for L labels.

    Targets: 0/1 as float of the same shape for two classes and for labels, class indices (N,) for many.

        >>> task = Task("multiclass", 3, ("species",), ("a", "b", "c"))
        >>> objective = Classification(task, nn.CrossEntropyLoss())
        >>> objective.predictions(torch.tensor([[0.0, 9.0, 0.0]]))
        tensor([1])
    """

    def targets(self, targets: Tensor) -> Tensor:
        if self.task.kind != "multiclass" or isinstance(self.criterion, TAKE_CLASS_INDICES):
            return targets
        return F.one_hot(targets, self.task.outputs).to(torch.get_default_dtype())

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of class 1, of each class, or of each label; same shape as the logits."""
        return logits.softmax(dim=1) if self.task.kind == "multiclass" else logits.sigmoid()

    def predictions(self, logits: Tensor) -> Tensor:
        """Class indices (N,), or zeros and ones (N, L) for several labels."""
        if self.task.kind == "multiclass":
            return logits.argmax(dim=1)
        chosen = (logits > 0).long()
        return chosen if self.task.kind == "multilabel" else chosen[:, 0]

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        probabilities, targets = self.probabilities(outputs.detach().float()), batch.targets.long()
        if self.task.kind == "binary":
            return probabilities[:, 0], targets[:, 0]
        return probabilities, targets

    def check(self, model: nn.Module, batch: Batch) -> None:
        with torch.no_grad():
            logits = forward(model, batch.inputs)
        wanted = (len(batch), self.task.outputs)
        if not isinstance(logits, Tensor) or tuple(logits.shape) != wanted:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            what = {
                "binary": "one logit per sample for two classes",
                "multiclass": f"one logit for each of the {self.task.outputs} classes",
                "multilabel": f"one logit for each of the {self.task.outputs} labels",
            }[self.task.kind]
            raise InputError(f"the network gives {got} for a batch of {len(batch)}; it needs {wanted}: {what}")
