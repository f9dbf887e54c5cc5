"""Threshold units: their derivative is zero, so gradient descent through them is refused, with a way out."""

from typing import Any

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.options import finite


def step(x: Tensor, threshold: float, bipolar: bool) -> Tensor:
    """1 where x ≥ threshold, else 0 (bipolar: −1); not-a-number stays so, in order not to hide it."""
    on = (x >= threshold).to(x.dtype)
    return torch.where(x.isnan(), x, 2 * on - 1 if bipolar else on)


class _RefuseGradient(torch.autograd.Function):
    """A step whose backward pass says why there is none (autograd itself would silently train nothing below it)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: float, bipolar: bool) -> Tensor:
        return step(x, threshold, bipolar)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise InputError(
            "a step activation cannot be trained by gradient descent: its derivative is 0 wherever it exists, so "
            "nothing below it would learn; use 'straight_through_step' (same output, surrogate gradient), a smooth "
            "activation such as 'sigmoid', or Rosenblatt's rule for a single layer"
        )


class Step(nn.Module):
    """A unit that switches at a threshold; see `binary_step` and `bipolar_step`."""

    def __init__(self, threshold: float = 0.0, *, bipolar: bool = False) -> None:
        super().__init__()
        self.threshold = finite("threshold", threshold)
        self.bipolar = bipolar

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            refusing: Tensor = _RefuseGradient.apply(x, self.threshold, self.bipolar)  # type: ignore[no-untyped-call]
            return refusing
        return step(x, self.threshold, self.bipolar)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, bipolar={self.bipolar}"


class StraightThroughStep(Step):
    """A step whose backward pass is that of clamp(x − threshold, −1, 1); see `straight_through_step`."""

    def forward(self, x: Tensor) -> Tensor:
        surrogate = (x - self.threshold).clamp(-1, 1)
        # The bracket is exactly 0, so the value is the step's and the gradient the surrogate's.
        return step(x.detach(), self.threshold, self.bipolar) + (surrogate - surrogate.detach())


def binary_step(threshold: float = 0.0) -> nn.Module:
    """Fires fully or not at all: 1 from the threshold q on, else 0.

    Formula: f(x) = 1 if x ≥ q else 0; f'(x) = 0 for x ≠ q. A backward pass through it raises InputError with the
    reason; `straight_through_step` has the same output and can be trained.
    Shapes: any, elementwise. Range: {0, 1}.
    Use: McCulloch-Pitts neurons, and the decision of a trained perceptron; not for gradient descent.
    Source: McCulloch and Pitts, "A logical calculus of the ideas immanent in nervous activity", 1943.

        >>> binary_step(threshold=0.5)(torch.tensor([0.4, 0.5, 0.6]))
        tensor([0., 1., 1.])
    """
    return Step(threshold)


def bipolar_step(threshold: float = 0.0) -> nn.Module:
    """Says yes or no: 1 from the threshold q on, else −1.

    Formula: f(x) = 1 if x ≥ q else −1; f'(x) = 0 for x ≠ q. A backward pass through it raises InputError with the
    reason; `straight_through_step(bipolar=True)` has the same output and can be trained.
    Shapes: any, elementwise. Range: {−1, 1}.
    Use: the decision of an Adaline, or of a perceptron with targets of −1 and 1; not for gradient descent.
    Source: Widrow and Hoff, "Adaptive switching circuits", 1960 (the quantizer of the Adaline).

        >>> bipolar_step()(torch.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.,  1.,  1.])
    """
    return Step(threshold, bipolar=True)


def straight_through_step(threshold: float = 0.0, bipolar: bool = False) -> nn.Module:
    """A step that can be trained: the gradient passes straight through where the input is near the threshold.

    Formula: f(x) = 1 if x ≥ q else 0 (bipolar: −1); backward it counts as clamp(x − q, −1, 1), so the gradient is
    passed on unchanged for |x − q| ≤ 1 and stopped beyond. This gradient is a stand-in, not a derivative of f.
    Shapes: any, elementwise. Range: {0, 1}, bipolar {−1, 1}.
    Use: hidden units or weights that must be binary, and yet be trained by gradient descent.
    Source: Bengio, Léonard and Courville, "Estimating or propagating gradients through stochastic neurons", 2013;
    the clipped form is that of Hubara et al., "Binarized neural networks", 2016.

        >>> x = torch.tensor([-3.0, -0.5, 0.5], requires_grad=True)
        >>> straight_through_step()(x).sum().backward()
        >>> x.grad
        tensor([0., 1., 1.])
    """
    return StraightThroughStep(threshold, bipolar=bipolar)
