"""Metrics of segmentation: how well predicted masks lie on the true ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from osler.metrics.tasks import fits
from osler.records import TaskKind

if TYPE_CHECKING:
    from torchmetrics import Metric


def iou(kind: TaskKind, outputs: int) -> Metric:
    """Intersection over union (Jaccard index): what predicted and true area share, the mean over classes.

    Formula: mean_c TP_c / (TP_c + FP_c + FN_c), pixels counted over all data; a class that neither occurs nor is
    predicted does not count.
    Raises: InputError unless the task is segmentation.
    Source: Jaccard, 1901; as the measure of segmentation, Everingham et al., "The PASCAL VOC challenge", 2010.
    """
    fits("iou", kind, "segmentation")
    return _overlap(outputs, "iou")


def dice(kind: TaskKind, outputs: int) -> Metric:
    """Twice the shared area over the sum of both areas (Dice coefficient, the F1 of pixels), the mean over classes.

    Formula: mean_c 2TP_c / (2TP_c + FP_c + FN_c), pixels counted over all data; classes as for `iou`.
    Raises: InputError unless the task is segmentation.
    Source: Dice, "Measures of the amount of ecologic association between species", 1945.
    """
    fits("dice", kind, "segmentation")
    return _overlap(outputs, "dice")


def _overlap(classes: int, what: Literal["iou", "dice"]) -> Metric:
    from osler.metrics.streaming import Overlap

    return Overlap(classes, what)
