"""Standardisation: mean 0 and deviation 1 on the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Standardizer:
    """(x − mean) / std, learned per feature (the last axis) or per channel (the axis after the samples).

    A feature that never varies is only centred.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[Any], axes: tuple[int, ...] = (0,)) -> Standardizer:
        """Learns mean and deviation over `axes`, which stay as axes of size 1 (without the first, that of samples)."""
        mean = np.asarray(np.mean(values, axis=axes, keepdims=True, dtype=np.float64))[0]
        std = np.asarray(np.std(values, axis=axes, keepdims=True, dtype=np.float64))[0]
        return cls(mean, np.where(std > 0, std, 1.0))

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        return ((values - self.mean) / self.std).astype(np.float32)

    def invert(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return values * self.std + self.mean

    def to_json(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Standardizer:
        return cls(np.asarray(record["mean"], dtype=np.float64), np.asarray(record["std"], dtype=np.float64))
