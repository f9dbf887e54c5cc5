"""Standardisation: mean 0 and deviation 1 on the training rows."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

# So many deviations out a network cannot tell numbers apart any more, and larger ones would overflow its sums.
FAR = 1e6
TINY = 2.0**-1022


def magnitude(values: NDArray[Any], axes: tuple[int, ...] | None = None) -> Doubles:
    """The power of two next to the largest value: dividing by it is exact, and makes squares safe from overflow."""
    largest = np.maximum(np.max(values, axis=axes, keepdims=True), np.min(values, axis=axes, keepdims=True) * -1.0)
    unit: Doubles = np.ldexp(1.0, np.frexp(largest)[1] - 1)
    return unit


def mean_and_deviation(values: NDArray[Any], axes: tuple[int, ...] | None = None) -> tuple[Doubles, Doubles]:
    """Both over `axes`, which stay as axes of size 1; 1 in place of a deviation that is nothing but rounding."""
    unit = magnitude(values, axes)
    scaled = values / unit
    mean, std = (f(scaled, axis=axes, keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    varies = (np.ptp(scaled, axis=axes, keepdims=True) > 8 * np.finfo(np.float64).eps) & (std * unit > 0)
    return mean * unit, np.where(varies, std * unit, 1.0)


class Moments:
    """Count, range, mean, deviation and skewness of numbers that come in pieces, in one pass, exact to rounding.

    Pieces are combined by the formulas of Chan, Golub and LeVeque (1979) and Pébay (2008), in units of the largest
    number's power of two, so that cubes don't overflow, and counted from the first number, so that small deviations
    from a large mean (times in seconds) keep their digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self.low, self.high = np.inf, -np.inf
        self.unit = 0.0
        self.origin = 0.0
        # Of (x − origin) / unit: its mean, and sums of the powers of its distance from the mean.
        self._mean = self._squares = self._cubes = 0.0

    def add(self, values: NDArray[Any]) -> None:
        """Takes in (n,) finite numbers."""
        if not len(values):
            return
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.origin = self.origin if self.count else float(values[0])
        unit = float(magnitude(values)[0]) if values.any() else TINY  # zeros say nothing of the size of what comes
        if unit > self.unit:
            ratio = self.unit / unit
            self._mean, self._squares, self._cubes = (m * ratio**k for k, m in enumerate(self._sums(), 1))
            self.unit = unit
        scaled = values / self.unit - self.origin / self.unit
        mean = float(scaled.mean(dtype=np.float64))
        apart = scaled - mean
        squares = apart * apart
        self._merge(len(values), mean, float(squares.sum()), float((squares * apart).sum()))

    def with_copies(self, value: float, count: int) -> Moments:
        """Those of the same numbers and so many copies of one that lies between them."""
        both = copy.copy(self)
        both._merge(count, value / self.unit - self.origin / self.unit, 0.0, 0.0)
        return both

    def _merge(self, m: int, mean: float, squares: float, cubes: float) -> None:
        n, total, apart = self.count, self.count + m, mean - self._mean
        self._cubes += cubes + apart**3 * n * m * (n - m) / total**2
        self._cubes += 3 * apart * (n * squares - m * self._squares) / total
        self._squares += squares + apart**2 * n * m / total
        self._mean += apart * m / total
        self.count = total

    def _sums(self) -> tuple[float, float, float]:
        return self._mean, self._squares, self._cubes

    @property
    def mean(self) -> float:
        return (self._mean + self.origin / self.unit) * self.unit

    @property
    def std(self) -> float:
        """The deviation; 1 where it is nothing but rounding, as in `mean_and_deviation`."""
        std = math.sqrt(self._squares / self.count)
        varies = (self.high / self.unit - self.low / self.unit) > 8 * np.finfo(np.float64).eps and std * self.unit > 0
        return std * self.unit if varies else 1.0

    @property
    def skewness(self) -> float:
        """The mean of ((x − mean) / std)³."""
        return self._cubes / self.count / (self.std / self.unit) ** 3


def standardized(values: NDArray[Any], mean: Doubles | float, std: Doubles | float) -> Doubles:
    """(x − mean) / std, at most `FAR` deviations out."""
    with np.errstate(over="ignore"):
        return np.clip((values - mean) / std, -FAR, FAR)


@dataclass(frozen=True)
class Standardizer:
    """(x − mean) / std, learned per feature (the last axis) or per channel (the axis after the samples).

    A feature that never varies is only centred.
    """

    mean: Doubles
    std: Doubles

    @classmethod
    def fit(cls, values: NDArray[Any], axes: tuple[int, ...] = (0,)) -> Standardizer:
        """Learns mean and deviation over `axes`, which stay as axes of size 1 (without the first, that of samples)."""
        mean, std = mean_and_deviation(values, axes)
        return cls(mean[0], std[0])

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        return standardized(values, self.mean, self.std).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Standardizer:
        return cls(np.asarray(record["mean"], dtype=np.float64), np.asarray(record["std"], dtype=np.float64))
