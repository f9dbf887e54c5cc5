"""Focal loss, for yes/no questions and for one class out of several."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from osler.nn.loss import Loss, check_length, class_indices, numbers, of_several_classes, reduced
from osler.nn.options import fraction, nonnegative


class Focal(Loss):
    """Cross-entropy that turns away from what is already right, for very unequal classes.

    Formula: l = −α_t (1 − p_t)^γ ln p_t, p_t the probability given to the truth; γ = 0 is cross-entropy. From logits
    only: the probability form is unstable.
    Shapes: yes/no questions as in `binary_cross_entropy` (prediction and target equal, target 0/1), or one of several
    classes as in `sparse_categorical_cross_entropy` (prediction (N, C, …), target integers (N, …)); weight (N,).
    Options: `gamma` ≥ 0; `alpha`, for yes/no questions the weight of 1 (0 gets 1 − alpha; 0.25 in the paper), for
    classes C weights; the mean does not divide by α.
    Use: a rare class among a great many easy samples, as in object detection.
    Source: Lin et al., "Focal loss for dense object detection", 2017.

        >>> round(Focal(gamma=2.0)(torch.tensor([[0.0]]), torch.tensor([[1]])).item(), 4)  # ¼ ln 2
        0.1733
    """

    alpha: Tensor | None

    def __init__(self, gamma: float = 2.0, alpha: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.gamma = nonnegative("gamma", gamma)
        self.register_buffer("alpha", numbers("alpha", fraction("alpha", alpha) if isinstance(alpha, float) else alpha))

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if of_several_classes(prediction, target):
            target = class_indices(prediction, target)
            if self.alpha is not None:
                check_length("alpha", self.alpha, prediction.shape[1], "classes")
            return prediction, target
        if self.alpha is not None:
            check_length("alpha", self.alpha, 1, "kind of 0/1 targets (the weight of 1)")
        return super().checked(prediction, target)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        each = self._classes if of_several_classes(prediction, target) else self._questions
        return reduced(each(prediction, target), reduction)

    def _questions(self, z: Tensor, y: Tensor) -> Tensor:
        log_p, log_q = F.logsigmoid(z), F.logsigmoid(-z)
        ones, zeros = -y * self._modulated(log_p, log_q), (y - 1) * self._modulated(log_q, log_p)
        if self.alpha is None:
            return ones + zeros
        alpha = self.alpha.to(z.dtype)
        return alpha * ones + (1 - alpha) * zeros

    def _classes(self, z: Tensor, y: Tensor) -> Tensor:
        total = z.logsumexp(1)
        log_p = z.gather(1, y.unsqueeze(1)).squeeze(1) - total
        log_q = z.scatter(1, y.unsqueeze(1), -torch.inf).logsumexp(1) - total
        losses = -self._modulated(log_p, log_q)
        return losses if self.alpha is None else losses * self.alpha.to(z.dtype)[y]

    def _modulated(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        # (1 − p)^γ by way of ln(1 − p): a power of 0 has no finite gradient for γ < 1.
        return (self.gamma * log_q).exp() * log_p

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}"
