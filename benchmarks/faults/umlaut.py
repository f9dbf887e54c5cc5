"""UMLAUT (Schoop, Huang & Hartmann, CHI 2021): its heuristics, as functions of a record.

Thresholds and severities are those of the paper and of the program published with it
(github.com/BerkeleyHCI/umlaut, heuristics.py and errors.py).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from benchmarks.faults.records import Record

ACTIVATED = {"relu", "tanh", "sigmoid", "gelu", "softmax"}
AFFINE = {"dense", "conv"}
LOGITS = {"cross-entropy", "bce-with-logits"}


def input_range(r: Record) -> bool:
    """Inputs below −1 or above 1."""
    return r.low < -1 or r.high > 1


def input_not_floating(r: Record) -> bool:
    return not r.floating


def input_shape(r: Record) -> bool:
    """A picture that isn't square, as its channels are expected."""
    return len(r.shape) == 4 and r.shape[2] != r.shape[3]


def nan_input(r: Record) -> bool:
    return r.missing


def nan_loss(r: Record) -> bool:
    return any(e.loss != e.loss for e in r.epochs)


def missing_activation(r: Record) -> bool:
    """An affine layer before the last one without an activation behind it.

    In Keras the activation is a setting of the layer. Here it is a module of its own: an affine layer must be followed
    by one before the next layer with weights, except before a last softmax.
    """
    if not r.epochs:
        return False
    kinds = [look.kind for look in r.epochs[0].layers if look.kind in ACTIVATED | AFFINE]
    return any(a in AFFINE and b in AFFINE for a, b in pairwise(kinds))


def missing_softmax(r: Record) -> bool:
    """A loss that takes probabilities, and no softmax.

    The published rule asks for a softmax layer unless the loss has `from_logits`, also of regressions; here it is asked
    of classifiers only, and torch's losses of scores count as `from_logits`.
    """
    kinds = [look.kind for look in r.epochs[0].layers] if r.epochs else []
    return r.classifies and r.loss not in LOGITS and bool(kinds) and kinds[-1] != "softmax"


def final_activation(r: Record) -> bool:
    """An activation between the last layer and the softmax, which may be that of the loss."""
    kinds = [look.kind for look in r.epochs[0].layers] if r.epochs else []
    return r.classifies and r.loss in LOGITS and bool(kinds) and kinds[-1] in ACTIVATED


def rate_high(r: Record) -> bool:
    """Above 0.01, whatever the optimizer."""
    return r.lr > 0.01


def rate_low(r: Record) -> bool:
    """Below 1e-7, whatever the optimizer."""
    return r.lr < 1e-7


def high_dropout(r: Record) -> bool:
    return any(p > 0.5 for p in r.dropouts)


def overfitting(r: Record) -> bool:
    """From one epoch to the next the validation loss rises while the training loss doesn't."""
    return any(
        a.validation_loss is not None
        and b.validation_loss is not None
        and b.validation_loss > a.validation_loss
        and b.loss <= a.loss
        for a, b in pairwise(r.epochs)
    )


def high_validation_accuracy(r: Record) -> bool:
    """From the fourth epoch on: above 95 %, or above that of training."""
    return any(
        e.validation_accuracy is not None
        and e.accuracy is not None
        and (e.validation_accuracy > 0.95 or e.validation_accuracy > e.accuracy)
        for e in r.epochs[3:]
    )


# What each is called in the catalogue, as generously as its message allows.
RULES: tuple[tuple[Callable[[Record], bool], set[str]], ...] = (
    (input_range, {"unscaled-input"}),
    (input_not_floating, {"integer-input"}),
    (input_shape, {"channel-order"}),
    (nan_input, {"nonfinite-data"}),
    (nan_loss, {"nonfinite", "learning-rate-high"}),
    (missing_activation, {"missing-nonlinearity"}),
    (missing_softmax, {"probabilities-to-nll", "output-activation-mismatch", "loss-task-mismatch", "logits-to-bce"}),
)
WARNINGS: tuple[tuple[Callable[[Record], bool], set[str]], ...] = (
    (final_activation, {"output-activation-mismatch", "double-softmax", "double-sigmoid"}),
    (rate_high, {"learning-rate-high"}),
    (rate_low, {"learning-rate-low"}),
    (high_dropout, {"excessive-dropout"}),
    (overfitting, {"overfitting"}),
    (high_validation_accuracy, {"too-good", "train-test-overlap", "split-mismatch", "label-noise"}),
)


def severe(record: Record) -> list[str]:
    """What it calls an error or critical."""
    return [name for rule, names in RULES if rule(record) for name in sorted(names)]


def judge(record: Record) -> list[str]:
    """Its warnings too."""
    return severe(record) + [name for rule, names in WARNINGS if rule(record) for name in sorted(names)]
