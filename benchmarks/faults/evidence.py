"""Does a fault hurt, and how sure is a share? The statistics of the matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance
from typing import NamedTuple

from scipy import stats

LEVEL = 0.05  # as DeepCrime
EFFECT = 0.5  # Cohen's d, as DeepCrime
MARGIN = 0.03  # of accuracy or R²: a loss that matters in practice


class Harm(NamedTuple):
    """What a fault does to the quality of a program."""

    loss: float  # mean of the healthy minus mean of the sick
    p: float  # of Welch's one-sided test that the sick is worse
    d: float  # Cohen's

    @property
    def counts(self) -> bool:
        return self.loss >= MARGIN and self.p < LEVEL and self.d >= EFFECT


def harm(healthy: Sequence[float], sick: Sequence[float]) -> Harm:
    loss = fmean(healthy) - fmean(sick)
    a, b = variance(healthy) / len(healthy), variance(sick) / len(sick)
    freedom = len(healthy) + len(sick) - 2
    pooled = math.sqrt(((len(healthy) - 1) * variance(healthy) + (len(sick) - 1) * variance(sick)) / freedom)
    if a + b == 0:  # no spread at all
        return Harm(loss, 0.0 if loss > 0 else 1.0, math.copysign(math.inf, loss) if loss else 0.0)
    welch = (a + b) ** 2 / (a**2 / (len(healthy) - 1) + b**2 / (len(sick) - 1))
    return Harm(loss, float(stats.t.sf(loss / math.sqrt(a + b), welch)), loss / pooled)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    z, p = stats.norm.ppf(0.975), hits / total
    centre, half = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, float((centre - half) / scale)), min(1.0, float((centre + half) / scale))
