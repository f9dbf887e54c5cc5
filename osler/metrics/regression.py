"""Metrics of regression. They take predictions and targets of the same shape, and keep sums only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osler.metrics.tasks import fits
from osler.records import TaskKind

if TYPE_CHECKING:
    from torchmetrics import Metric


def mse(kind: TaskKind, outputs: int) -> Metric:
    """Mean of the squared errors, over samples and outputs.

    Formula: mean (y − ŷ)², in the target's unit squared.
    Raises: InputError for classification.
    Source: Gauss, "Theoria motus", 1809.
    """
    return _regression("MeanSquaredError", "mse", kind)


def rmse(kind: TaskKind, outputs: int) -> Metric:
    """Root of the mean squared error, over samples and outputs: a typical error, large ones weighing more.

    Formula: √(mean (y − ŷ)²), in the target's unit.
    Raises: InputError for classification.
    Source: Gauss, "Theoria motus", 1809.
    """
    return _regression("MeanSquaredError", "rmse", kind, squared=False)


def mae(kind: TaskKind, outputs: int) -> Metric:
    """Mean of the absolute errors, over samples and outputs: a typical error, little moved by outliers.

    Formula: mean |y − ŷ|, in the target's unit.
    Raises: InputError for classification.
    Source: Laplace, "Mémoire sur la probabilité des causes par les évènements", 1774.
    """
    return _regression("MeanAbsoluteError", "mae", kind)


def mape(kind: TaskKind, outputs: int) -> Metric:
    """Mean of the errors relative to the target, as a fraction: 0.1 is ten percent.

    Formula: mean |y − ŷ| / max(|y|, 1.17e-6); huge where a target is 0.
    Raises: InputError for classification.
    Source: Makridakis, "Accuracy measures: theoretical and practical concerns", 1993.
    """
    return _regression("MeanAbsolutePercentageError", "mape", kind)


def r2(kind: TaskKind, outputs: int) -> Metric:
    """How much of the targets' variance is explained: 1 is perfect, 0 is no better than their mean.

    Formula: 1 − Σ(y − ŷ)² / Σ(y − ȳ)², mean over outputs. Constant targets give 1 if met exactly, else 0; fewer than
    two samples give nan.
    Raises: InputError for classification.
    Source: Wright, "Correlation and causation", 1921.
    """
    fits("r2", kind, "regression")
    from osler.metrics.streaming import R2

    return R2(outputs)


def _regression(maker: str, name: str, kind: TaskKind, **options: Any) -> Metric:
    fits(name, kind, "regression")
    import torchmetrics

    return getattr(torchmetrics, maker)(**options)
