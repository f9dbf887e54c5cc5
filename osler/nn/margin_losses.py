"""Losses on the margin: by how much the true class's score beats the others; no probabilities involved."""

import torch
from torch import Tensor

from osler.nn.loss import Loss, class_indices, of_several_classes, reduced


class MarginLoss(Loss):
    """A loss of yes/no scores with targets of the same shape, or of class scores (N, C, …) with integers (N, …).

    Targets of yes/no scores are 0/1 (−1/1 works as well): what is above 0 means yes.
    """

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if of_several_classes(prediction, target):
            return prediction, class_indices(prediction, target)
        return super().checked(prediction, target)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        return reduced(self.each(prediction, target), reduction)

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of every single score or sample."""
        raise NotImplementedError


def margins(prediction: Tensor, target: Tensor) -> Tensor:
    """The signed score y·z with y = ±1; with several classes the true one's score less the best of the others."""
    if target.ndim == prediction.ndim:
        return signs(prediction, target) * prediction
    index = target.unsqueeze(1)
    rivals = prediction.scatter(1, index, -torch.inf)
    return prediction.gather(1, index).squeeze(1) - rivals.max(dim=1).values


def signs(prediction: Tensor, target: Tensor) -> Tensor:
    """1 where the target says yes, −1 elsewhere, in the type of the prediction."""
    return 2 * (target > 0).to(prediction.dtype) - 1


class Hinge(MarginLoss):
    """Wants the truth to win by a margin of 1, and is content from there on: the loss of support vector machines.

    Formula: l = max(0, 1 − m), with the margin m = y·z, y = ±1; for several classes m = z_y − max_{j≠y} z_j.
    Shapes: scores and 0/1 targets equal, any; or scores (N, C, …) and integers (N, …); weight (N,).
    Use: classification where the decision counts and no probability is needed.
    Source: Cortes and Vapnik, "Support-vector networks", 1995; several classes, Crammer and Singer, "On the
    algorithmic implementation of multiclass kernel-based vector machines", 2001.

        >>> Hinge(reduction="none")(torch.tensor([2.0, 0.5]), torch.tensor([1, 0]))
        tensor([0.0000, 1.5000])
    """

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (1 - margins(prediction, target)).clamp(min=0)


class SquaredHinge(MarginLoss):
    """A hinge loss without a kink, which counts large mistakes more.

    Formula: l = max(0, 1 − m)², with the margin m = y·z, y = ±1; for several classes m = z_y − max_{j≠y} z_j.
    Shapes: scores and 0/1 targets equal, any; or scores (N, C, …) and integers (N, …); weight (N,).
    Use: as `hinge`, where a smooth loss is wanted and the labels are clean.
    Source: Lee and Mangasarian, "SSVM: a smooth support vector machine", 2001; several classes as in `hinge`.
    """

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (1 - margins(prediction, target)).clamp(min=0).square()


class Exponential(MarginLoss):
    """Grows exponentially with the mistake: the loss that AdaBoost minimises; very sensitive to wrong labels.

    Formula: l = e^(−m), with the margin m = y·z, y = ±1; for several classes m = (z_y − mean_{j≠y} z_j)/C.
    Beyond a mistake of 30 it goes on as its tangent, l = e³⁰(1 − m − 30), so that it and its gradient stay finite.
    Shapes: scores and 0/1 targets equal, any; or scores (N, C, …) and integers (N, …); weight (N,).
    Use: boosting, on clean labels; a single wrong one can outweigh all others.
    Source: Friedman, Hastie and Tibshirani, "Additive logistic regression", 2000; several classes, Zhu et al.,
    "Multi-class AdaBoost", 2009.

        >>> round(Exponential()(torch.tensor([[0.5]]), torch.tensor([[1]])).item(), 4)
        0.6065
    """

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        if target.ndim == prediction.ndim:
            mistake = -margins(prediction, target)
        else:
            classes = prediction.shape[1]
            true = prediction.gather(1, target.unsqueeze(1)).squeeze(1)
            mistake = ((prediction.sum(1) - true) / (classes - 1) - true) / classes
        capped = mistake.clamp(max=30)
        return capped.exp() * (1 + mistake - capped)


class Perceptron(MarginLoss):
    """The distance by which the truth loses: stochastic gradient descent on it is Rosenblatt's learning rule.

    Formula: l = max(0, −m), with the margin m = y·z, y = ±1; for several classes m = z_y − max_{j≠y} z_j.
    A margin of exactly 0 is a mistake: there ∂l/∂m = −1, so a perceptron that starts at zero learns.
    Shapes: scores and 0/1 targets equal, any; or scores (N, C, …) and integers (N, …); weight (N,).
    Use: Rosenblatt's perceptron; any line that separates contents it, while `hinge` wants a margin.
    Source: Rosenblatt, "The perceptron", 1958; several classes, Crammer and Singer, "Ultraconservative online
    algorithms for multiclass problems", 2003.

        >>> Perceptron(reduction="none")(torch.tensor([2.0, 0.5]), torch.tensor([1, 0]))
        tensor([0.0000, 0.5000])
    """

    def each(self, prediction: Tensor, target: Tensor) -> Tensor:
        margin = margins(prediction, target)
        return torch.where(margin <= 0, -margin, 0.0)
