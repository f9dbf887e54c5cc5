"""Losses between numbers and numbers."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from osler.errors import InputError
from osler.nn.loss import Loss, reduced
from osler.nn.options import positive


class MeanSquaredError(Loss):
    """Mean squared error: large errors count most; the usual loss of a regression.

    Formula: l = (y − ŷ)². Its minimum is the conditional mean.
    Shapes: prediction ŷ and target y equal, any; weight (N,).
    Use: regression, the first choice; with outliers rather `huber` or `mae`.
    Source: Legendre, 1805, and Gauss, 1809 (least squares).

        >>> MeanSquaredError()(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(2.)
    """

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        return F.mse_loss(prediction, target, reduction=reduction)


class HalfMeanSquaredError(Loss):
    """Half the squared error (the quadratic loss), whose derivative is the plain error.

    Formula: l = ½(y − ŷ)²; ∂l/∂ŷ = ŷ − y.
    Shapes: prediction ŷ and target y equal, any; weight (N,).
    Use: calculations by hand and the delta rule; it trains like `mse` at half the learning rate.
    Source: Widrow and Hoff, "Adaptive switching circuits", 1960 (the delta rule).

        >>> HalfMeanSquaredError()(torch.tensor([10.0]), torch.tensor([6.0]))
        tensor(8.)
    """

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        return 0.5 * F.mse_loss(prediction, target, reduction=reduction)


class MeanAbsoluteError(Loss):
    """Mean absolute error: every error counts by its size, so outliers do little harm.

    Formula: l = |y − ŷ|; gradient 0 where they are equal. Its minimum is the conditional median.
    Shapes: prediction ŷ and target y equal, any; weight (N,).
    Use: regression with outliers, or where the median is wanted.
    Source: Laplace, 1774 (least absolute deviations).
    """

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        return F.l1_loss(prediction, target, reduction=reduction)


class MeanAbsolutePercentageError(Loss):
    """Mean absolute percentage error: the error in proportion to the target, as a fraction (0.1 is 10 %).

    Formula: l = |y − ŷ|/max(|y|, epsilon). Unsuitable where targets are near 0: they outweigh all others.
    Shapes: prediction ŷ and target y equal, any; weight (N,).
    Use: positive targets of very different sizes (sales, prices), where the relative error counts.
    Source: de Myttenaere et al., "Mean absolute percentage error for regression models", 2016.

        >>> MeanAbsolutePercentageError()(torch.tensor([90.0]), torch.tensor([100.0]))
        tensor(0.1000)
    """

    def __init__(self, epsilon: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.epsilon = positive("epsilon", epsilon)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        return reduced((target - prediction).abs() / target.abs().clamp(min=self.epsilon), reduction)


class Huber(Loss):
    """Squared near zero and absolute beyond delta: smooth, and robust against outliers.

    Formula: with e = y − ŷ, l = ½e² if |e| ≤ δ, else δ(|e| − ½δ); |∂l/∂ŷ| ≤ δ.
    Shapes: prediction ŷ and target y equal, any; weight (N,). δ = delta is in the units of the target.
    Use: regression with outliers; δ about as large as an error that is still usual.
    Source: Huber, "Robust estimation of a location parameter", 1964.

        >>> Huber(delta=1.0, reduction="none")(torch.tensor([0.5, 3.0]), torch.zeros(2))
        tensor([0.1250, 2.5000])
    """

    def __init__(self, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.delta = positive("delta", delta)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        return F.huber_loss(prediction, target, reduction=reduction, delta=self.delta)

    def extra_repr(self) -> str:
        return f"delta={self.delta}"


class PseudoHuber(Loss):
    """A Huber loss that is smooth everywhere: squared near zero, absolute far away.

    Formula: with e = y − ŷ, l = δ²(√(1 + (e/δ)²) − 1); |∂l/∂ŷ| < δ.
    Shapes: prediction ŷ and target y equal, any; weight (N,). δ = delta is in the units of the target.
    Use: as `huber`, where the second derivative must be smooth too.
    Source: Charbonnier et al., "Deterministic edge-preserving regularization in computed imaging", 1997.
    """

    def __init__(self, delta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.delta = positive("delta", delta)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        error = target - prediction
        # δ²(√(1 + a²) − 1) without the cancellation for small errors.
        return reduced(error.square() / (1 + (1 + (error / self.delta).square()).sqrt()), reduction)

    def extra_repr(self) -> str:
        return f"delta={self.delta}"


class LogCosh(Loss):
    """Log of the hyperbolic cosine of the error: like ½e² near zero, like |e| far away, smooth everywhere.

    Formula: l = ln cosh(ŷ − y); ∂l/∂ŷ = tanh(ŷ − y). Computed without overflow and, near zero, without cancellation.
    Shapes: prediction ŷ and target y equal, any; weight (N,).
    Use: as `huber`, without a δ to choose; standardise the targets.
    Source: Green, "Bayesian reconstructions from emission tomography data using a modified EM algorithm", 1990.

        >>> LogCosh()(torch.tensor([1e4]), torch.tensor([0.0])).item() == torch.tensor(1e4 - math.log(2)).item()
        True
    """

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        error = prediction - target
        size = error.abs()
        near = torch.log1p(2 * torch.sinh(0.5 * error.clamp(-1, 1)).square())
        far = size + F.softplus(-2 * size) - math.log(2)
        return reduced(torch.where(size < 1, near, far), reduction)


class Quantile(Loss):
    """Quantile (pinball) loss: its minimum is a quantile of the target instead of the mean.

    Formula: with e = y − ŷ, l = max(τe, (τ − 1)e), τ = quantile in (0, 1); τ = 0.5 is half the absolute error.
    Shapes: prediction ŷ and target y equal, any; weight (N,). With a list of Q quantiles ŷ is (N, Q, …) for y (N, …).
    Use: limits of what is to be expected (τ = 0.05 and 0.95), or where too low costs more than too high.
    Source: Koenker and Bassett, "Regression quantiles", 1978.

        >>> Quantile(quantile=0.9, reduction="none")(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor([0.9000, 0.1000])
    """

    def __init__(self, quantile: float | Sequence[float] = 0.5, reduction: str = "mean") -> None:
        super().__init__(reduction)
        several = isinstance(quantile, Sequence)
        quantiles = list(quantile) if isinstance(quantile, Sequence) else [quantile]
        if not quantiles or any(positive("quantile", q) >= 1 for q in quantiles):
            raise InputError(f"quantile must lie between 0 and 1 (0.9 for the 90th percentile), got {quantile!r}")
        if quantiles != sorted(set(quantiles)):
            raise InputError(f"several quantiles go from low to high, like [0.1, 0.5, 0.9], got {quantile!r}")
        self.quantile: float | list[float] = quantiles if several else quantiles[0]

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.quantile, list):
            wanted = (len(target), len(self.quantile), *target.shape[1:])
            if tuple(prediction.shape) != wanted:
                got = f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}"
                raise InputError(f"{got}; a forecast of each of {len(self.quantile)} quantiles has shape {wanted}")
            target = target.unsqueeze(1).expand_as(prediction)
        return super().checked(prediction, target)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        error = target - prediction
        quantile: float | Tensor
        if isinstance(self.quantile, list):
            quantile = error.new_tensor(self.quantile).reshape(-1, *[1] * (error.ndim - 2))
        else:
            quantile = self.quantile
        return reduced(torch.maximum(quantile * error, (quantile - 1) * error), reduction)

    def extra_repr(self) -> str:
        return f"quantile={self.quantile}"
