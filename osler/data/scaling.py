"""Standardisation: mean 0 and deviation 1 on the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

# So many deviations out a network cannot tell numbers apart any more, and larger ones would overflow its sums.
FAR = 1e6


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
