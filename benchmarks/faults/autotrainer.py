"""AutoTrainer (Zhang, Zhai, Ma & Shen, ICSE 2021): its five training problems.

Thresholds and the order of the checks are those of the paper and of the program published with it
(github.com/shiningrain/AUTOTRAINER, utils/monitor.py), which looks every third epoch and stops at the first problem.
It is made for classifiers; for regressions R² stands in for the accuracy.
"""

from __future__ import annotations

import math
from itertools import pairwise

from benchmarks.faults.records import Epoch, Record

BETA_1, BETA_2, BETA_3 = 1e-3, 1e-4, 70.0  # first over last gradient; first gradient; first over last gradient
GAMMA = 0.7  # share of gradients that are 0
ZETA, ETA = 0.03, 0.2  # swing of the accuracy; share of epochs that swing
DELTA = 0.01  # largest gain in accuracy of an epoch
THETA = 0.7  # accuracy that satisfies
EVERY = 3  # epochs between looks
JUDGED = 0.3  # share of the planned epochs before the course of training is judged
LARGEST = 1e5  # validation loss
LAYERS = ("dense", "conv", "lstm", "gru", "multiheadattention")  # of which gradients are compared


def oscillates(accuracies: list[float]) -> bool:
    """The k-th peak and the k-th valley are ZETA apart, for as many k as a share ETA of the epochs."""
    triples = list(zip(accuracies, accuracies[1:], accuracies[2:], strict=False))
    peaks = [b for a, b, c in triples if b >= a and b >= c]
    valleys = [b for a, b, c in triples if b <= a and b <= c]
    return sum(p - v >= ZETA for p, v in zip(peaks, valleys, strict=False)) >= ETA * len(accuracies)


def gain(accuracies: list[float]) -> float:
    return max((b - a for a, b in pairwise(accuracies)), default=0.0)


def gradients(epoch: Epoch) -> tuple[bool, bool, bool]:
    """Whether they vanish, explode, and are mostly 0."""
    weights = [w for w in epoch.weights if not w.bias and w.kind in LAYERS]
    first, last = weights[0].gradient_norm, weights[-1].gradient_norm
    ratio = first / last if last else math.inf if first else math.nan
    zeros = sum(w.gradient_zeros * w.size for w in epoch.weights) / sum(w.size for w in epoch.weights)
    return ratio < BETA_1 and first < BETA_2, ratio > BETA_3, zeros >= GAMMA


def problem(r: Record) -> str:
    """The first one: "relu", "explode", "vanish", "slow" or "oscillates"; "" where there is none."""
    vanished = exploded = dead = unstable = False  # what was seen at an earlier look counts
    for i in range(0, len(r.epochs), EVERY):
        epochs = r.epochs[: i + 1]
        here = epochs[-1]
        held = [e.validation_loss for e in epochs if e.validation_loss is not None]
        numbers = [w.gradient_norm for w in here.weights] + [w.norm for w in here.weights]
        broken = any(not math.isfinite(v) for v in [*(e.loss for e in epochs), *held, *numbers])
        if broken or (held and held[-1] >= LARGEST):
            return "explode"
        v, x, d = gradients(here)
        vanished, exploded, dead = vanished or v, exploded or x, dead or d
        if len(epochs) < JUDGED * r.planned:
            continue
        train = [e.score for e in epochs if e.score is not None]
        test = [e.validation_score for e in epochs if e.validation_score is not None] or train
        unstable = unstable or oscillates(train)
        slow = gain(test) < DELTA and gain(train) < DELTA
        if slow or max(test) < THETA or max(train) < THETA:
            for seen, name in ((dead, "relu"), (exploded, "explode"), (vanished, "vanish"), (slow, "slow")):
                if seen:
                    return name
        elif unstable:
            return "oscillates"
    return ""


# What each is called in the catalogue; causes are added where the paper names them.
NAMES = {
    "relu": {"dying-relu"},
    "explode": {"exploding-gradient", "nonfinite", "loss-diverges"},
    "vanish": {"vanishing-gradient", "saturation"},
    "slow": {"learning-rate-low", "too-few-epochs", "underfitting", "loss-plateau"},
    "oscillates": {"loss-oscillates", "learning-rate-high"},
    "": set(),
}


def judge(record: Record) -> list[str]:
    return sorted(NAMES[problem(record)])
