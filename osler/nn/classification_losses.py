"""Cross-entropies: losses between scores and classes, from logits unless said otherwise."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from osler.errors import InputError
from osler.nn.loss import Loss, check_length, check_several_classes, class_indices, numbers
from osler.nn.options import fraction


def log_of(probabilities: Tensor) -> Tensor:
    """The logarithm of probabilities, finite at 0; as logits they give the same probabilities, made to sum to 1."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


def fitting(class_weights: Tensor | None, prediction: Tensor) -> Tensor | None:
    """Class weights as torch wants them: one for each of the scores along axis 1, and of their type."""
    if class_weights is None:
        return None
    check_length("class_weights", class_weights, prediction.shape[1], "classes")
    return class_weights.to(prediction.dtype)


class BinaryCrossEntropy(Loss):
    """Cross-entropy of yes/no questions: one score per question, each with its own sigmoid.

    Formula: l = −y ln σ(z) − (1 − y) ln(1 − σ(z)); computed from the logit z, finite for any size of it.
    Shapes: prediction (N, 1), or (N, L) for L labels at once, any further axes; target of the same shape, 0/1 or
    probabilities; weight (N,).
    Options: `pos_weight` (one number, or one per label) multiplies the loss of the ones, as in torch; `class_weights`
    (of 0 and of 1) weigh numerator and denominator of the mean; `label_smoothing` ε turns 1 into 1 − ε and 0 into ε
    (ε is the chance that a label is wrong); targets equal to `ignore_index` don't count; `from_logits=False` takes
    probabilities, which is less exact near 0 and 1.
    Use: two classes with one output, or several labels at once; the network ends without a sigmoid.
    Source: Good, "Rational decisions", 1952; smoothing, Goodfellow, Bengio and Courville, "Deep learning", 2016, 7.5.1.

        >>> BinaryCrossEntropy()(torch.tensor([[0.0], [1e4]]), torch.tensor([[1], [1]]))
        tensor(0.3466)
    """

    class_weights: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        class_weights: Any = None,
        pos_weight: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        from_logits: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("class_weights", numbers("class_weights", class_weights))
        self.register_buffer("pos_weight", numbers("pos_weight", pos_weight))
        if self.class_weights is not None:
            check_length("class_weights", self.class_weights, 2, "classes (0 and 1)")
        if self.pos_weight is not None and not from_logits:
            raise InputError("pos_weight needs logits; leave from_logits at True, or use class_weights")
        self.label_smoothing = fraction("label_smoothing", label_smoothing)
        self.ignore_index = ignore_index
        self.from_logits = from_logits
        self.uneven = self.class_weights is not None or ignore_index is not None

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        smooth = target
        if self.label_smoothing:
            smooth = target * (1 - 2 * self.label_smoothing) + self.label_smoothing
        if self.from_logits:
            pos_weight = self.pos_weight
            if pos_weight is not None and len(pos_weight) > 1:
                check_length("pos_weight", pos_weight, prediction.shape[-1], "labels")
            losses = F.binary_cross_entropy_with_logits(prediction, smooth, pos_weight=pos_weight, reduction=reduction)
        else:
            losses = F.binary_cross_entropy(prediction, smooth, reduction=reduction)
        return losses * self.counts(prediction, target, losses) if self.uneven else losses

    def counts(self, prediction: Tensor, target: Tensor, losses: Tensor) -> Tensor:
        counts = torch.ones_like(losses)
        if self.class_weights is not None:
            zero, one = self.class_weights.to(losses.dtype)
            counts = zero + (one - zero) * target
        return counts if self.ignore_index is None else counts * (target != self.ignore_index)


class SparseCategoricalCrossEntropy(Loss):
    """Cross-entropy of one class out of several, given as an integer.

    Formula: l = −ln softmax(z)_y; computed from the logits z, finite for any size of them.
    Shapes: prediction (N, C) or (N, C, …), target integers 0 … C−1 of shape (N) or (N, …); weight (N,).
    Options: `class_weights` (C numbers); `label_smoothing` ε spreads ε evenly over all C classes, so the true one
    keeps 1 − ε + ε/C; targets equal to `ignore_index` (default −100, as in torch) don't count; `from_logits=False`
    takes probabilities along axis 1 instead, which is less exact near 0 and 1.
    Use: one class out of several, the usual case; the network ends without a softmax.
    Source: Bridle, 1990; smoothing, Szegedy et al., "Rethinking the Inception architecture", 2016.

        >>> SparseCategoricalCrossEntropy()(torch.tensor([[0.0, 0.0], [5.0, -5.0]]), torch.tensor([1, 0]))
        tensor(0.3466)
    """

    class_weights: Tensor | None

    def __init__(
        self,
        class_weights: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        from_logits: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("class_weights", numbers("class_weights", class_weights))
        self.label_smoothing = fraction("label_smoothing", label_smoothing)
        self.ignore_index = ignore_index
        self.from_logits = from_logits

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        target = class_indices(prediction, target)
        return prediction if self.from_logits else log_of(prediction), target

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        weights = fitting(self.class_weights, prediction)
        try:
            return F.cross_entropy(
                prediction,
                target,
                weight=weights,
                ignore_index=self.ignore_index,
                reduction=reduction,
                label_smoothing=self.label_smoothing,
            )
        except IndexError as error:  # only the processor's kernel reports it; a check of our own would synchronise
            classes = prediction.shape[1]
            raise InputError(f"class indices must be 0 … {classes - 1} for {classes} scores: {error}") from error

    def counts(self, prediction: Tensor, target: Tensor, losses: Tensor) -> Tensor:
        counted = target != self.ignore_index
        if self.class_weights is None:
            return counted.to(losses.dtype)
        return self.class_weights.to(losses.dtype)[target.where(counted, 0)] * counted


class CategoricalCrossEntropy(Loss):
    """Cross-entropy between two distributions over classes: targets are one-hot rows or probabilities.

    Formula: l = −Σ_c y_c ln softmax(z)_c; computed from the logits z, finite for any size of them.
    Shapes: prediction (N, C) or (N, C, …), target of the same shape with classes along axis 1; weight (N,).
    Options: `class_weights` (C numbers; the mean divides by the targets' weights, so one-hot targets give what integer
    ones give); `label_smoothing` ε turns y into (1 − ε)y + ε/C; `from_logits=False` takes probabilities instead, which
    is less exact near 0 and 1.
    Use: one class out of several with one-hot or soft targets; the network ends without a softmax.
    Source: Bridle, 1990; smoothing, Szegedy et al., "Rethinking the Inception architecture", 2016.

        >>> CategoricalCrossEntropy()(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
        tensor(0.6931)
    """

    class_weights: Tensor | None

    def __init__(
        self,
        class_weights: Any = None,
        label_smoothing: float = 0.0,
        from_logits: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("class_weights", numbers("class_weights", class_weights))
        self.label_smoothing = fraction("label_smoothing", label_smoothing)
        self.from_logits = from_logits
        self.uneven = self.class_weights is not None

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if target.ndim == prediction.ndim - 1:
            raise InputError(
                f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; this loss needs "
                "one-hot targets: use 'sparse_categorical_cross_entropy' for class indices"
            )
        prediction, target = super().checked(prediction, target)
        check_several_classes(prediction)
        return prediction if self.from_logits else log_of(prediction), target

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        weights = fitting(self.class_weights, prediction)
        return F.cross_entropy(
            prediction, target, weight=weights, reduction=reduction, label_smoothing=self.label_smoothing
        )

    def counts(self, prediction: Tensor, target: Tensor, losses: Tensor) -> Tensor:
        if self.class_weights is None:
            return torch.ones_like(losses)
        return target.movedim(1, -1) @ self.class_weights.to(target.dtype)
