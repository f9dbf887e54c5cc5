"""DeepDiagnosis (Wardat, Cruz, Le & Rajan, ICSE 2022): its symptoms, and the advice its decision tree draws from them.

Thresholds and the order of the checks are those of the program published with the paper
(github.com/DeepDiagnosis/ICSE2022, callback/callbacks.py); it stops at the first symptom, and so does this.
"""

from __future__ import annotations

import math

from benchmarks.faults.records import Epoch, Record, Weight

DEAD = 0.7  # share of outputs that are not above 0
SATURATED = 0.5  # share of inputs of a sigmoid or tanh beyond ±5
VANISHED = 1e-7  # mean absolute gradient
PERIOD, LONG_PERIOD = 5, 20  # epochs over which a number must change
RATE = 1e-3  # usual size of an update relative to its weight; a hundredth and 100 times that are out of order
VARIANCE = (1e-5, 10.0)  # of a weight
WIDER = 10  # times the range of the targets


def same(values: list[float]) -> bool:
    return min(values) == max(values)


def wrong_number(value: float) -> bool:
    """NaN, infinite, or exactly 0 (which the mean gradient of a layer before a softmax may be by rounding)."""
    return not math.isfinite(value) or value == 0


def dense(epoch: Epoch) -> list[Weight]:
    """The published program looks at the weights of dense layers only."""
    return [w for w in epoch.weights if w.kind == "dense" and not w.bias]


def out_of_range(r: Record) -> bool:
    """Outputs of the first epoch that cannot be the targets.

    The published rule flags every last layer but softmax before a categorical cross-entropy, which in Keras takes
    probabilities; a linear layer before torch's losses of scores is as it should be, and not flagged.
    """
    last = r.epochs[0].layers[-1]
    if last.kind == "softmax":
        return False
    if last.kind == "relu" and r.loss in ("cross-entropy", "nll"):
        return True
    if last.kind not in ("relu", "sigmoid", "tanh"):
        if r.loss in ("cross-entropy", "bce-with-logits"):
            return False
        if r.loss == "nll":
            return True
        return abs(last.high - last.low) > WIDER * abs(r.target_high - r.target_low)
    low, high = {"relu": (0.0, math.inf), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}[last.kind]
    return r.target_low < low or r.target_high > high


def symptom(r: Record) -> tuple[str, int]:
    """The first one and the index of its epoch; "" where there is none."""
    for i, epoch in enumerate(r.epochs):
        periodic = (i + 1) % PERIOD == 0
        recent = r.epochs[i + 1 - PERIOD : i + 1]
        layers = epoch.layers
        for k, look in enumerate(layers):
            if i == 0 and k == len(layers) - 1 and out_of_range(r):
                return "out of range", i
            if wrong_number(look.mean):
                return "exploding tensor", i
            if i == r.planned - 1 and look.kind == "relu" and look.zeros >= DEAD:
                return "dead node", i
            if periodic and look.kind in ("sigmoid", "tanh") and look.flat > SATURATED:
                return "saturated activation", i
        if periodic:
            for k, look in enumerate(layers[:-1]):
                if look.kind != "flatten" and same([e.layers[k].mean for e in recent]):
                    return "unchanged tensor", i
        if not math.isfinite(epoch.loss):
            return "invalid loss", i
        if periodic and same([e.loss for e in recent]):
            return "loss not decreasing", i
        if epoch.accuracy is not None:
            if wrong_number(epoch.accuracy):
                return "invalid accuracy", i
            long = r.epochs[i + 1 - LONG_PERIOD : i + 1]
            if (i + 1) % LONG_PERIOD == 0 and same([e.accuracy or 0.0 for e in long]):
                return "accuracy not increasing", i
        for w in reversed(dense(epoch)):
            if wrong_number(w.gradient_mean):
                return "exploding gradient", i
            if w.gradient_size < VANISHED:
                return "vanishing gradient", i
            if wrong_number(w.mean):
                return "exploding weight", i
        if periodic:
            for k in range(len(dense(epoch))):
                if same([dense(e)[k].gradient_mean for e in recent]) or same([dense(e)[k].mean for e in recent]):
                    return "unchanged weight", i
    return "", -1


def cause(r: Record, epoch: Epoch) -> set[str]:
    """The branch of the decision tree that most symptoms share: poor weights, inputs, learning rate.

    The published program takes variance and update from the mean of a weight, a single number, so that its first
    question is never answered with yes; here they are of the whole weight, as the paper says.
    """
    weights = dense(epoch)
    if any(not VARIANCE[0] <= w.variance <= VARIANCE[1] for w in weights):
        return {"init-scale", "constant-init", "symmetric-init"}
    if r.low < -1 or r.high > 1:
        return {"unscaled-input"}
    for w in weights:
        update = r.lr * w.gradient_norm / w.norm if w.norm else math.inf
        if update > RATE * 100:
            return {"learning-rate-high"}
        if update < RATE / 100:
            return {"learning-rate-low"}
    return set()


RANGE = {"output-range", "output-activation-mismatch", "loss-task-mismatch", "probabilities-to-nll"}
# What each symptom is called in the catalogue; those with True go through `cause` too.
NAMES: dict[str, tuple[set[str], bool]] = {
    "out of range": (RANGE, False),
    "exploding tensor": ({"nonfinite", "exploding-gradient"}, True),
    "dead node": ({"dying-relu"}, True),
    "saturated activation": ({"saturation"}, True),
    "unchanged tensor": ({"dead-weights", "unchanged-parameter"}, True),
    "invalid loss": ({"nonfinite", "loss-diverges"}, True),
    "loss not decreasing": ({"loss-plateau"}, True),
    "invalid accuracy": ({"output-activation-mismatch", "constant-output"}, True),
    "accuracy not increasing": ({"loss-plateau", "underfitting"}, True),
    "exploding gradient": ({"nonfinite", "exploding-gradient", "loss-task-mismatch"}, True),
    "vanishing gradient": ({"vanishing-gradient"}, True),
    "exploding weight": ({"nonfinite", "constant-init"}, True),
    "unchanged weight": ({"dead-weights", "unchanged-parameter"}, True),
}


def judge(record: Record) -> list[str]:
    found, at = symptom(record)
    if not found:
        return []
    names, asks = NAMES[found]
    return sorted(names) + (sorted(cause(record, record.epochs[at])) if asks else [])
