"""Metrics of classification. They take probabilities, and keep counts of them only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from osler.errors import InputError, unknown_name
from osler.metrics.tasks import CLASSIFICATION, TOKENS, fits, probability, whole
from osler.records import TaskKind

if TYPE_CHECKING:
    from torchmetrics import Metric

Average = Literal["micro", "macro", "weighted"]


def accuracy(kind: TaskKind, outputs: int, threshold: float = 0.5) -> Metric:
    """The part of the predictions that are right.

    Formula: right / all. multiclass: the most probable class is the prediction; multilabel: over all labels;
    segmentation: over all known pixels; language and
    translation: over all tokens but the padding, 0, the likeliest is the prediction.
    Defaults: threshold 0.5 (binary, multilabel: a probability above it is a yes).
    Raises: InputError for regression.
    Source: as old as counting; for multilabel it is one minus the Hamming loss (Schapire and Singer, 2000).
    """
    fits("accuracy", kind, *CLASSIFICATION, "segmentation", *TOKENS)
    if kind in TOKENS:
        from osler.metrics.streaming import TokenAccuracy

        return TokenAccuracy()
    if kind == "segmentation":
        from osler.metrics.streaming import Overlap

        return Overlap(outputs, "accuracy")
    return _torchs("Accuracy", "accuracy", kind, outputs, threshold=threshold, average="micro")


def top_k_accuracy(kind: TaskKind, outputs: int, k: int = 5) -> Metric:
    """The part of the predictions whose k most probable classes contain the right one.

    Formula: (number of samples whose class is among the k most probable) / N.
    Defaults: k 5. Raises: InputError unless the task is multiclass and 1 ≤ k ≤ classes.
    Source: Russakovsky et al., "ImageNet large scale visual recognition challenge", 2015 (top-5 error).
    """
    fits("top_k_accuracy", kind, "multiclass")
    if whole("k", k) > outputs:
        raise InputError(f"k of top_k_accuracy must be between 1 and the number of classes, {outputs}, got {k!r}")
    return _torchs("Accuracy", "top_k_accuracy", kind, outputs, top_k=k, average="micro")


def precision(kind: TaskKind, outputs: int, average: Average | None = None, threshold: float = 0.5) -> Metric:
    """How many of the yeses are right.

    Formula: TP / (TP + FP); 0 where there is no yes. average over classes or labels: "macro" each class counts the
    same, "weighted" as often as it occurs, "micro" over all decisions. A class that neither occurs nor is predicted
    does not count.
    Defaults: average "macro" (binary has none: it is the positive class's), threshold 0.5.
    Raises: InputError for regression, or an average of a binary task.
    Source: Kent et al., "Machine literature searching VIII", 1955.
    """
    return _averaged("Precision", "precision", kind, outputs, average, threshold)


def recall(kind: TaskKind, outputs: int, average: Average | None = None, threshold: float = 0.5) -> Metric:
    """How many of those that should be found are found.

    Formula: TP / (TP + FN); 0 where there is nothing to find. average as for `precision`.
    Defaults: average "macro" (binary has none: it is the positive class's), threshold 0.5.
    Raises: InputError for regression, or an average of a binary task.
    Source: Kent et al., "Machine literature searching VIII", 1955.
    """
    return _averaged("Recall", "recall", kind, outputs, average, threshold)


def f1(kind: TaskKind, outputs: int, average: Average | None = None, threshold: float = 0.5) -> Metric:
    """The harmonic mean of precision and recall: high only if both are.

    Formula: 2TP / (2TP + FP + FN); 0 where there is neither a yes nor anything to find. average as for `precision`.
    Defaults: average "macro" (binary has none: it is the positive class's), threshold 0.5.
    Raises: InputError for regression, or an average of a binary task.
    Source: van Rijsbergen, "Information retrieval", 1979.
    """
    return _averaged("F1Score", "f1", kind, outputs, average, threshold)


def balanced_accuracy(kind: TaskKind, outputs: int, threshold: float = 0.5) -> Metric:
    """Accuracy in which each class counts the same, however rare it is.

    Formula: mean over the classes that occur of TPᵢ / (TPᵢ + FNᵢ).
    Defaults: threshold 0.5 (binary). Raises: InputError for multilabel and regression.
    Source: Brodersen et al., "The balanced accuracy and its posterior distribution", 2010.
    """
    fits("balanced_accuracy", kind, "binary", "multiclass")
    from osler.metrics.streaming import BalancedAccuracy

    return BalancedAccuracy(kind, outputs, probability("threshold", threshold))


def roc_auc(kind: TaskKind, outputs: int, thresholds: int = 5000) -> Metric:
    """The chance that a positive gets a higher probability than a negative: 0.5 is guessing.

    Formula: P(p₊ > p₋) + ½P(p₊ = p₋), the area under the ROC curve; one class against the rest, mean over classes or
    labels. Probabilities between the same two of the thresholds count as equal (constant memory), which changes
    it by less than 0.002 even if all probabilities lie within 0.01. Where a class has no positives or no negatives it
    is not defined: such a class does not count, and without any other the value is nan.
    Defaults: thresholds 5000. Raises: InputError for regression.
    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982.
    """
    return _area("roc_auc", "roc", kind, outputs, thresholds)


def pr_auc(kind: TaskKind, outputs: int, thresholds: int = 5000) -> Metric:
    """Average precision, the area under the precision-recall curve: for rare positives.

    Formula: Σₖ (Rₖ − Rₖ₋₁)·Pₖ over falling thresholds, P precision and R recall; one class against the rest, mean over
    classes or labels. Thresholds and undefined values as for `roc_auc`; probabilities that all lie within 0.01 are told
    apart so coarsely that the value can be 0.02 too low.
    Defaults: thresholds 5000. Raises: InputError for regression.
    Source: Davis and Goadrich, "The relationship between precision-recall and ROC curves", 2006.
    """
    return _area("pr_auc", "pr", kind, outputs, thresholds)


def confusion_matrix(kind: TaskKind, outputs: int, threshold: float = 0.5) -> Metric:
    """How often each true class (row) is taken for each class (column).

    Formula: Mᵢⱼ = number of samples of class i predicted as j.
    Shapes: (2, 2) binary, (C, C) multiclass, (L, 2, 2) multilabel; counts.
    Defaults: threshold 0.5 (binary, multilabel). Raises: InputError for regression.
    Source: Provost and Kohavi, "Glossary of terms", 1998.
    """
    return _torchs("ConfusionMatrix", "confusion_matrix", kind, outputs, threshold=threshold)


def calibration_error(kind: TaskKind, outputs: int, bins: int = 15) -> Metric:
    """How far the probabilities are, on average, from how often things happen (expected calibration error).

    Formula: Σ_b n_b/N · |mean of hits in b − mean probability in b|, over bins b of equal width. multiclass: the
    probability of the predicted class, a hit is a right prediction; else the probability of a yes, a hit is a yes.
    Defaults: bins 15. Raises: InputError for regression, or bins below 1.
    Source: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015.
    """
    fits("calibration_error", kind, *CLASSIFICATION)
    whole("bins", bins)
    from osler.metrics.streaming import CalibrationError

    return CalibrationError(kind, bins)


def _torchs(maker: str, name: str, kind: TaskKind, outputs: int, **options: Any) -> Metric:
    """torchmetrics' metric of classification, without its checks of values (they wait for the device)."""
    fits(name, kind, *CLASSIFICATION)
    if "threshold" in options:
        options["threshold"] = probability("threshold", options["threshold"])
    import torchmetrics

    make = getattr(torchmetrics, maker)
    return make(task=kind, num_classes=outputs, num_labels=outputs, validate_args=False, **options)


def _averaged(maker: str, name: str, kind: TaskKind, outputs: int, average: Average | None, threshold: float) -> Metric:
    fits(name, kind, *CLASSIFICATION)
    if average is not None and average not in get_args(Average):
        raise unknown_name("average", average, get_args(Average))
    if average is not None and kind == "binary":
        raise InputError(f"binary {name} is that of the positive class and takes no average, got {average!r}")
    return _torchs(maker, name, kind, outputs, average=average or "macro", threshold=threshold)


def _area(name: str, area: Literal["roc", "pr"], kind: TaskKind, outputs: int, thresholds: int) -> Metric:
    fits(name, kind, *CLASSIFICATION)
    whole("thresholds", thresholds, least=2)
    from osler.metrics.streaming import RankingArea

    return RankingArea(kind, outputs, area, thresholds)
