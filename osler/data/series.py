"""A time series: rows at equal steps, and windows of it without copies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.parts import Part
from osler.data.timeaxis import Step, time_text

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Series:
    """Rows at equal steps in time, without gaps: `values` (T, F), of which the first `targets` columns are forecast."""

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    times: NDArray[Any]  # (T,): datetime64 (UTC), or numbers
    step: Step
    targets: int
    time: str | None = None  # the column that the times were in

    def __len__(self) -> int:
        return len(self.values)

    def end(self, rows: int) -> dict[str, Any]:
        """Its last rows as JSON, from which forecasts go on."""
        last = self.between(len(self) - rows, len(self))
        dated = last.times.dtype.kind == "M"
        return {
            "times": last.times.astype(str).tolist() if dated else last.times.tolist(),
            "values": last.values.tolist(),
        }

    def between(self, first: int, last: int) -> Series:
        """Some of its rows."""
        return replace(self, values=self.values[first:last], times=self.times[first:last])


@dataclass(frozen=True)
class Windows:
    """Stretches of a series: `window` rows to look at and the `horizon` rows after them, from each of `starts` on."""

    series: Series
    window: int
    horizon: int
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: NDArray[np.int64]) -> Windows:
        return replace(self, starts=self.starts[which])

    @property
    def ahead(self) -> NDArray[np.float64]:
        """(N, horizon, targets): what comes after each window, in the data's units; nothing is copied."""
        rows = self.series.values[self.window :, : self.series.targets]
        every = np.lib.stride_tricks.sliding_window_view(rows, self.horizon, axis=0).transpose(0, 2, 1)
        return every[consecutive(self.starts)]

    def part(self) -> Part:
        """As a part of a source; a row is called by the first time that is forecast."""
        firsts = self.starts + self.window
        names = tuple(time_text(time) for time in self.series.times[firsts])
        return Part(self, self.ahead, names)


def consecutive(starts: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """The same places as a slice, where they follow one another: a view, no copy."""
    if len(starts) and (np.diff(starts) == 1).all():
        return slice(int(starts[0]), int(starts[-1]) + 1)
    return starts
