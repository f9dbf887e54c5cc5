"""What every loss shares: checked shapes, sample weights, and the way many losses become one number."""

from typing import Any

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name

REDUCTIONS = ("mean", "sum", "none")


class Loss(nn.Module):
    """How wrong predictions are, as a module `loss(prediction, target, weight=None)`.

    `weight` (N,) says how much each sample counts. With l the single losses and w their weights (sample weight times
    class weight; 0 for ignored targets), reduction "mean" is Σwl/Σw, "sum" is Σwl, and "none" is wl, not reduced.
    The mean over nothing (every weight 0, every target ignored) is not a number, as in torch.

    A subclass writes `compute`, for torch's losses as a call of torch's function so that nothing is slower than there.
    """

    # Whether single losses count differently in the mean even without sample weights, and `compute` doesn't know it.
    uneven = False

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise unknown_name("reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        prediction, target = self.checked(prediction, target)
        if weight is None and not self.uneven:
            return self.compute(prediction, target, self.reduction)
        losses = self.compute(prediction, target, "none")
        return self.weighted(losses, self.counts(prediction, target, losses), weight)

    def weighted(self, losses: Tensor, counts: Tensor, weight: Tensor | None) -> Tensor:
        """The reduction of losses (N, …) that count for `counts` and whose samples weigh `weight` (N,)."""
        if weight is not None:
            weight = _beside(weight, losses)
            losses, counts = losses * weight, counts * weight
        if self.reduction == "mean":
            return losses.sum() / counts.sum()
        return reduced(losses, self.reduction)

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Prediction and target as `compute` takes them; InputError when they don't fit each other."""
        if prediction.shape != target.shape:
            raise shapes_differ(prediction, target)
        return same_dtype(prediction, target)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        """The loss without sample weights; with reduction "none" its axes begin with the samples."""
        raise NotImplementedError

    def counts(self, prediction: Tensor, target: Tensor, losses: Tensor) -> Tensor:
        """What each of the single losses counts for in the mean."""
        return torch.ones_like(losses)

    @torch.no_grad()
    def divisor(self, prediction: Tensor, target: Tensor) -> Tensor:
        """What the mean divides the sum of the single losses by."""
        prediction, target = self.checked(prediction, target)
        return self.counts(prediction, target, self.compute(prediction, target, "none")).sum()

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or all of the losses."""
    if reduction == "mean":
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses


def same_dtype(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider of their types, so that integer targets work and no precision is lost."""
    if prediction.dtype == target.dtype:
        return prediction, target
    common = torch.promote_types(prediction.dtype, target.dtype)
    return prediction.to(common), target.to(common)


def shapes_differ(prediction: Tensor, target: Tensor) -> InputError:
    """The error for shapes that torch would refuse or, worse, broadcast."""
    shapes = f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}"
    if prediction.numel() == target.numel() and prediction.shape[:1] == target.shape[:1]:
        cure = f"reshape the target with target.reshape({tuple(prediction.shape)})"
    else:
        cure = "give one target for every predicted number"
    return InputError(f"{shapes}; this loss needs equal shapes (nothing is broadcast): {cure}")


def check_several_classes(prediction: Tensor) -> None:
    """InputError unless axis 1 holds the scores of two classes or more."""
    if prediction.ndim < 2:
        raise InputError(
            f"prediction has shape {tuple(prediction.shape)}; this loss needs (N, C, …), a score for each of C classes"
        )
    if prediction.shape[1] < 2:
        raise InputError(
            f"prediction has shape {tuple(prediction.shape)}; one score for each sample cannot tell classes apart: "
            "use 'binary_cross_entropy', or a network with one output for each class"
        )


def of_several_classes(prediction: Tensor, target: Tensor) -> bool:
    """Whether these are scores (N, C, …) and class indices (N, …), not scores and targets of yes/no questions."""
    return target.ndim == prediction.ndim - 1 > 0 and prediction.shape[1] > 1


def class_indices(prediction: Tensor, target: Tensor) -> Tensor:
    """Integer targets (N, …) for scores (N, C, …), as int64; InputError when they don't fit each other."""
    check_several_classes(prediction)
    wanted = prediction.shape[:1] + prediction.shape[2:]
    if target.shape != wanted:
        if target.shape == prediction.shape:
            cure = "use 'categorical_cross_entropy' for one-hot targets, or target.argmax(1)"
        elif target.numel() == wanted.numel():
            cure = f"reshape the target with target.reshape({tuple(wanted)})"
        else:
            cure = "give one class index for every row of scores"
        raise InputError(
            f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; "
            f"this loss needs class indices of shape {tuple(wanted)}: {cure}"
        )
    if target.dtype == torch.int64:
        return target
    if target.dtype.is_floating_point or target.dtype.is_complex:
        raise InputError(f"class indices must be integers, got {target.dtype}; use target.long()")
    return target.long()


def numbers(name: str, values: Any) -> Tensor | None:
    """Weights that a user gives as list, array or tensor, as a vector of their own; None stays None."""
    if values is None:
        return None
    vector = torch.as_tensor(values, dtype=torch.get_default_dtype()).detach().clone().reshape(-1)
    if not (vector.isfinite() & (vector >= 0)).all():
        raise InputError(f"{name} must be finite numbers of at least 0, got {vector.tolist()}")
    return vector


def check_length(name: str, values: Tensor, length: int, what: str) -> None:
    """InputError unless there is one value for each of `length` things."""
    if len(values) != length:
        raise InputError(f"{name} has {len(values)} numbers for {length} {what}; give one for each")


def _beside(weight: Tensor, losses: Tensor) -> Tensor:
    """Sample weights (N,) shaped to multiply losses (N, …)."""
    if weight.shape != losses.shape[:1]:
        raise InputError(
            f"sample weights have shape {tuple(weight.shape)}; "
            f"give one number for each sample, a tensor of shape {tuple(losses.shape[:1])}"
        )
    return weight.to(losses.dtype).reshape(-1, *[1] * (losses.ndim - 1))
