"""Which metrics fit which task, and checks of the numbers that a user gives them."""

from osler.errors import InputError
from osler.records import TaskKind

TOKENS: tuple[TaskKind, ...] = ("language", "translation")
CLASSIFICATION: tuple[TaskKind, ...] = ("binary", "multiclass", "multilabel")


def default_metrics(kind: TaskKind) -> tuple[str, ...]:
    """The names of the metrics that are shown for a kind of task when none was asked for."""
    return {
        "binary": ("accuracy", "f1", "roc_auc"),
        "multiclass": ("accuracy", "f1"),
        "multilabel": ("accuracy", "f1"),
        "regression": ("rmse", "mae", "r2"),
        "segmentation": ("accuracy", "iou"),
        "transcription": ("word_error_rate", "character_error_rate"),
        "forecasting": ("rmse", "mae"),
        "language": ("perplexity", "bits_per_character"),
        "translation": ("accuracy", "perplexity"),
    }[kind]


def fits(name: str, kind: TaskKind | None, *kinds: TaskKind) -> None:
    """InputError unless the metric of that name is for this kind of task."""
    if kind is None:
        raise InputError(f"metric {name!r} needs the kind of task, got none: give kind, one of {', '.join(kinds)}")
    if kind not in kinds:
        others = ", ".join(default_metrics(kind))
        raise InputError(f"metric {name!r} is for {' and '.join(kinds)} tasks, got {kind!r}: that has {others} …")


def whole(name: str, value: int, least: int = 1) -> int:
    """The value itself; InputError unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def probability(name: str, value: float) -> float:
    """The value itself; InputError unless it lies between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{name} must be a probability between 0 and 1, got {value!r}")
    return float(value)
