"""Metrics by name: torchmetrics objects that are fed batch by batch and keep no data.

Those of classification take probabilities: binary (N,) or (N, 1) with 0/1 targets of the same shape, multiclass (N, C)
with class indices (N,), multilabel (N, L) with 0/1 targets (N, L). Those of regression take predictions and targets of
the same shape, (N,) or (N, outputs). Those of segmentation take class indices of pixels (M,), and targets that are
no class are left out. Those of language and translation take logits (M, V) and token ids (M,), of which 0 is left
out. Values are not checked, since that would wait for the device at each batch.

torchmetrics is imported when the first metric is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from osler.errors import InputError, unknown_name
from osler.metrics.classification import (
    accuracy,
    balanced_accuracy,
    calibration_error,
    confusion_matrix,
    f1,
    pr_auc,
    precision,
    recall,
    roc_auc,
    top_k_accuracy,
)
from osler.metrics.regression import mae, mape, mse, r2, rmse
from osler.metrics.segmentation import dice, iou
from osler.metrics.sequences import bits_per_character, bleu, character_error_rate, perplexity, word_error_rate
from osler.metrics.tasks import whole
from osler.records import TaskKind
from osler.registry import Registry

if TYPE_CHECKING:
    from torchmetrics import Metric

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "accuracy": accuracy,
        "top_k_accuracy": top_k_accuracy,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "balanced_accuracy": balanced_accuracy,
        "roc_auc": roc_auc,
        "pr_auc": pr_auc,
        "confusion_matrix": confusion_matrix,
        "calibration_error": calibration_error,
        "iou": iou,
        "dice": dice,
        "mse": mse,
        "rmse": rmse,
        "mae": mae,
        "mape": mape,
        "r2": r2,
        "bleu": bleu,
        "perplexity": perplexity,
        "bits_per_character": bits_per_character,
        "word_error_rate": word_error_rate,
        "character_error_rate": character_error_rate,
    },
    aliases={
        "acc": "accuracy",
        "top_k": "top_k_accuracy",
        "topk": "top_k_accuracy",
        "sensitivity": "recall",
        "f1_score": "f1",
        "auc": "roc_auc",
        "auroc": "roc_auc",
        "average_precision": "pr_auc",
        "auprc": "pr_auc",
        "ece": "calibration_error",
        "calibration": "calibration_error",
        "jaccard": "iou",
        "mean_iou": "iou",
        "miou": "iou",
        "mean_squared_error": "mse",
        "root_mean_squared_error": "rmse",
        "mean_absolute_error": "mae",
        "mean_absolute_percentage_error": "mape",
        "r_squared": "r2",
        "r2_score": "r2",
        "bpc": "bits_per_character",
        "wer": "word_error_rate",
        "cer": "character_error_rate",
    },
)

LOWER_IS_BETTER = {
    *("calibration_error", "mse", "rmse", "mae", "mape"),
    *("perplexity", "bits_per_character", "word_error_rate", "character_error_rate"),
}


def metric(name: str, kind: TaskKind | None = None, outputs: int = 1, **options: Any) -> Metric:
    """A new metric of that name for a kind of task with so many outputs (classes, labels, numbers).

    Metrics of sequences (bleu, perplexity, error rates) need neither. Raises InputError for an unknown name or option
    and for a metric that does not fit the task.

        >>> import torch
        >>> f1 = metric("f1", kind="binary")
        >>> f1.update(torch.tensor([0.9, 0.2, 0.7]), torch.tensor([1, 1, 0]))
        >>> f1.compute()
        tensor(0.5000)
    """
    if kind is not None and kind not in get_args(TaskKind):
        raise unknown_name("kind of task", kind, get_args(TaskKind))
    whole("outputs", outputs, least=2 if kind == "multiclass" else 1)
    return METRICS.create(name, kind, outputs, **options)


def better(name: str) -> Literal["higher", "lower"]:
    """Which way a metric improves; InputError for one that is no single number."""
    name = METRICS.resolve(name)
    if name == "confusion_matrix":
        raise InputError("a confusion_matrix is a table, neither better higher nor lower: choose by another metric")
    return "lower" if name in LOWER_IS_BETTER else "higher"
