"""The fitted way from windows of a series to tensors: scaled by the rows to learn from, beside them the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from osler.data.scaling import Standardizer
from osler.data.series import Series, Windows, consecutive
from osler.data.timeaxis import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT = 12  # rows
LONGEST = 400  # steps of a season that is looked for


@dataclass(frozen=True)
class SeriesEncoder:
    """Windows (N, window, features): the columns, those to forecast first, then sines and cosines of the calendar.

    What comes after them is (N, horizon, targets). Both are views of one table in memory.
    """

    columns: tuple[str, ...]
    targets: int  # so many of the columns, the first, are forecast
    time: str | None
    step: Step
    window: int
    horizon: int
    season: int  # steps after which a season comes again; 1: none
    scaler: Standardizer | None

    @classmethod
    def fit(cls, train: Series, window: int, horizon: int, season: int, scale: bool) -> SeriesEncoder:
        """Learned from these rows alone."""
        scaler = Standardizer.fit(train.values) if scale else None
        return cls(train.columns, train.targets, train.time, train.step, window, horizon, season, scaler)

    @property
    def shape(self) -> tuple[int, int]:
        """Of one window."""
        return self.window, len(self.columns) + 2 * len(self.step.calendar_names)

    @property
    def target_scaler(self) -> Standardizer | None:
        """That of the columns that are forecast."""
        if self.scaler is None:
            return None
        return Standardizer(self.scaler.mean[: self.targets], self.scaler.std[: self.targets])

    def table(self, series: Series) -> NDArray[np.float32]:
        """The rows as networks see them, (T, features)."""
        values = series.values if self.scaler is None else self.scaler.apply(series.values)
        return np.concatenate([values, self.step.calendar(series.times)], axis=1).astype(np.float32)

    def encode(self, windows: Windows, notes: list[str] | None = None) -> Tensor:
        """(N, window, features)."""
        return self._views(windows)[0]

    def both(self, windows: Windows) -> tuple[Tensor, Tensor]:
        """(N, window, features), and (N, horizon, targets) of what comes after."""
        inputs, ahead = self._views(windows)
        assert ahead is not None
        return inputs, ahead

    def _views(self, windows: Windows) -> tuple[Tensor, Tensor | None]:
        first, last = int(windows.starts.min()), int(windows.starts.max()) + windows.window + windows.horizon
        table = torch.from_numpy(self.table(windows.series.between(first, last)))
        stretches = table.unfold(0, windows.window + windows.horizon, 1).transpose(1, 2)  # (N, window + horizon, F)
        which = consecutive(windows.starts - first)
        stretches = stretches[which if isinstance(which, slice) else torch.from_numpy(which)]
        ahead = stretches[:, windows.window :, : self.targets] if windows.horizon else None
        return stretches[:, : windows.window], ahead

    def transform(self) -> None:
        return None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "series",
            "columns": list(self.columns),
            "targets": self.targets,
            "time": self.time,
            "step": self.step.to_json(),
            "window": self.window,
            "horizon": self.horizon,
            "season": self.season,
            "scaler": self.scaler.to_json() if self.scaler else None,
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> SeriesEncoder:
        scaler = Standardizer.from_json(record["scaler"]) if record["scaler"] else None
        sizes = (record["window"], record["horizon"], record["season"])
        return cls(tuple(record["columns"]), record["targets"], record["time"], Step(**record["step"]), *sizes, scaler)


def find_season(train: Series) -> tuple[int, str]:
    """How many steps a season has, and why: by the calendar, else the lag at which the series is most like itself."""
    if by_calendar := train.step.season:
        return by_calendar, f"{train.step}: a season of {by_calendar} by the calendar"
    if len(train) < SHORT:
        return 1, "too short to have seasons"
    values = np.diff(train.values[:, : train.targets], axis=0)
    values = values - values.mean(axis=0)
    power = (values**2).sum(axis=0)
    values = values[:, power > 0] / np.sqrt(power[power > 0] * max((power > 0).sum(), 1))  # each column counts the same
    most = min(len(values) // 3, LONGEST)
    likeness = np.array([(values[lag:] * values[:-lag]).sum() for lag in range(1, most + 1)])
    peaks = [i for i in range(1, most - 1) if likeness[i - 1] < likeness[i] >= likeness[i + 1]]
    best = max(peaks, key=lambda i: likeness[i], default=0)
    # Of mere noise a correlation is beyond 4/√T once in 16,000 lags.
    if not peaks or likeness[best] < max(4 / np.sqrt(len(values)), 0.2):
        return 1, "no season: at no distance is the series much like itself"
    return best + 1, f"a season of {best + 1}, by autocorrelation ({likeness[best]:.2f})"
