"""How each kind of table column becomes numbers a network can read.

A column is fitted on training rows only. Fitted columns are plain numbers and names (JSON), so that a run needs no
pickle to be used again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from osler.data.scaling import magnitude, mean_and_deviation, standardized
from osler.data.values import DATE_FORMATS, as_dates, as_numbers, as_texts, date_format, in_days, text_codes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

CATEGORIES_KEPT = 100
SKEWED = 3.0  # beyond this skewness a column without negative values is read on a log scale
HUGE = 1e100  # and so is a column with larger numbers than this


@dataclass(frozen=True)
class Number:
    """A number: missing → median (and an indicator if training rows missed it), log scale if skewed, standardised."""

    kind: ClassVar[str] = "number"
    name: str
    median: float
    mean: float
    std: float
    log: bool
    indicator: bool

    @classmethod
    def fit(cls, series: pd.Series[Any]) -> Number:
        values = as_numbers(series)
        missing = np.isnan(values)
        known = values[~missing]
        unit = magnitude(known)
        median = float(np.median(known / unit) * unit[0])
        log = _needs_log(known)
        filled = np.where(missing, median, values)
        mean, std = mean_and_deviation(on_log_scale(filled) if log else filled)
        return cls(str(series.name), median, float(mean[0]), float(std[0]), log, bool(missing.any()))

    def encode(self, series: pd.Series[Any]) -> Floats:
        values = as_numbers(series)
        missing = np.isnan(values)
        values = np.where(missing, self.median, values)
        scaled = standardized(on_log_scale(values) if self.log else values, self.mean, self.std)
        return np.stack([scaled, missing] if self.indicator else [scaled], axis=1).astype(np.float32)

    def features(self) -> list[str]:
        return [self.name, f"{self.name} is missing"] if self.indicator else [self.name]


@dataclass(frozen=True)
class Category:
    """One of a few values: one column each, one for rare values if training had any, one for missing if it had any.

    A value never seen in training counts as rare; where training had none it sets no column at all.
    """

    kind: ClassVar[str] = "category"
    name: str
    values: list[str]
    rare: bool
    indicator: bool

    @classmethod
    def fit(cls, series: pd.Series[Any]) -> Category:
        texts = as_texts(series)
        counts = Counter(text for text in texts if text is not None)
        return cls.of_counts(str(series.name), counts, len(texts))

    @classmethod
    def of_counts(cls, name: str, counts: Mapping[str, int], rows: int) -> Category:
        """Fitted to so many rows, of which those that are in no count are missing."""
        enough = 5 if rows >= 500 else 2
        order = sorted(counts, key=lambda text: (-counts[text], text))[:CATEGORIES_KEPT]
        kept = sorted(text for text in order if counts[text] >= enough)
        return cls(name, kept, len(kept) < len(counts), sum(counts.values()) < rows)

    def encode(self, series: pd.Series[Any]) -> Floats:
        width = len(self.features())
        place: dict[str | None, int] = {value: i for i, value in enumerate(self.values)}
        # One column too many catches what has no column of its own.
        place[None] = width - 1 if self.indicator else width
        unseen = len(self.values) if self.rare else width
        codes, texts = text_codes(series)
        columns = np.array([place.get(text, unseen) for text in texts], dtype=np.int64)[codes]
        encoded = np.zeros((len(columns), width + 1), dtype=np.float32)
        encoded[np.arange(len(columns)), columns] = 1
        return encoded[:, :width]

    def features(self) -> list[str]:
        names = [f"{self.name} = {value}" for value in self.values]
        return names + [f"{self.name} is rare"] * self.rare + [f"{self.name} is missing"] * self.indicator


@dataclass(frozen=True)
class Date:
    """A point in time: days since the training mean (standardised), and month, weekday and hour on a circle."""

    kind: ClassVar[str] = "date"
    name: str
    format: str
    mean: float
    std: float

    @classmethod
    def fit(cls, series: pd.Series[Any]) -> Date:
        form = date_format(series) or DATE_FORMATS[0]
        days = in_days(as_dates(series, form))
        mean, std = mean_and_deviation(days[~np.isnan(days)])
        return cls(str(series.name), form, float(mean[0]), float(std[0]))

    def encode(self, series: pd.Series[Any]) -> Floats:
        dates = as_dates(series, self.format)
        elapsed = standardized(in_days(dates), self.mean, self.std)
        turns = [(dates.dt.month - 1) / 12, dates.dt.day_of_week / 7, (dates.dt.hour + dates.dt.minute / 60) / 24]
        circles = [f(2 * np.pi * turn.to_numpy(float)) for turn in turns for f in (np.sin, np.cos)]
        return np.nan_to_num(np.stack([elapsed, *circles, dates.isna().to_numpy(float)], axis=1).astype(np.float32))

    def features(self) -> list[str]:
        circles = [f"{self.name} {unit} {f}" for unit in ("month", "weekday", "hour") for f in ("sin", "cos")]
        return [self.name, *circles, f"{self.name} is missing"]


@dataclass(frozen=True)
class Presence:
    """Only whether there is a value: for columns with too many different values to learn from, but with gaps."""

    kind: ClassVar[str] = "presence"
    name: str

    @classmethod
    def fit(cls, series: pd.Series[Any]) -> Presence:
        return cls(str(series.name))

    def encode(self, series: pd.Series[Any]) -> Floats:
        return np.asarray(series.notna(), dtype=np.float32)[:, None]

    def features(self) -> list[str]:
        return [f"{self.name} is known"]


Column = Number | Category | Date | Presence
KINDS: dict[str, type[Column]] = {c.kind: c for c in (Number, Category, Date, Presence)}


def to_json(column: Column) -> dict[str, Any]:
    return {"kind": column.kind, **asdict(column)}


def from_json(record: dict[str, Any]) -> Column:
    record = dict(record)
    return KINDS[record.pop("kind")](**record)


def _needs_log(known: NDArray[np.float64]) -> bool:
    if np.abs(known).max() > HUGE:
        return True
    mean, std = mean_and_deviation(known)
    return bool(known.min() >= 0 and (((known - mean) / std) ** 3).mean() > SKEWED)


def on_log_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # Symmetric, so that a negative number in new data has a place too.
    return np.sign(values) * np.log1p(np.abs(values))
