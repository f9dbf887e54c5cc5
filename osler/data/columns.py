"""Kinds of table columns: what each one is, and how it becomes numbers a network can read.

A column is fitted on training rows only. Fitted columns are plain numbers and names (JSON), so that a run needs no
pickle to be used again.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

DATE_FORMATS = ("ISO8601", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
MANY_VALUES = 20  # up to here a text column is always a category …
REPETITION = 0.3  # … beyond it when its distinct values are at most this share of its rows
TEXT_WORDS = 6  # more words on average, hardly ever repeated: prose
CATEGORIES_KEPT = 100
SKEWED = 3.0  # beyond this skewness a column without negative values is read on a log scale


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
        known = values[~np.isnan(values)]
        median = float(np.median(known))
        centred = known - known.mean()
        skewness = (centred**3).mean() / max(float((centred**2).mean()), 1e-300) ** 1.5
        log = bool(known.min() >= 0 and skewness > SKEWED)
        filled = _log(np.where(np.isnan(values), median, values)) if log else np.where(np.isnan(values), median, values)
        return cls(str(series.name), median, float(filled.mean()), float(filled.std()), log, len(known) < len(values))

    def encode(self, series: pd.Series[Any]) -> Floats:
        values = as_numbers(series)
        missing = np.isnan(values)
        values = np.where(missing, self.median, values)
        scaled = ((_log(values) if self.log else values) - self.mean) / (self.std or 1.0)
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
        names, counts = np.unique([t for t in texts if t is not None], return_counts=True)
        enough = 5 if len(texts) >= 500 else 2
        order = sorted(range(len(names)), key=lambda i: (-counts[i], names[i]))[:CATEGORIES_KEPT]
        kept = sorted(str(names[i]) for i in order if counts[i] >= enough)
        return cls(str(series.name), kept, len(kept) < len(names), any(t is None for t in texts))

    def encode(self, series: pd.Series[Any]) -> Floats:
        width = len(self.values) + self.rare + self.indicator
        place: dict[str | None, int] = {value: i for i, value in enumerate(self.values)}
        if self.indicator:
            place[None] = width - 1
        unseen = len(self.values) if self.rare else width
        columns = np.array([place.get(t, width if t is None else unseen) for t in as_texts(series)], dtype=np.int64)
        # One column too many catches what has no column of its own.
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
        days = _days(as_dates(series, form))
        return cls(str(series.name), form, float(np.nanmean(days)), float(np.nanstd(days)))

    def encode(self, series: pd.Series[Any]) -> Floats:
        dates = as_dates(series, self.format)
        elapsed = (_days(dates) - self.mean) / (self.std or 1.0)
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


def fit_column(series: pd.Series[Any], notes: list[str]) -> Column | None:
    """The fitted column, of the kind that its values show; None for one that nothing can be learned from (said).

    Raises InputError for prose, which a network for tables cannot read.
    """
    name = str(series.name)
    known = series.dropna()
    if known.nunique() <= 1 and len(known) in (0, len(series)):
        value = f"always {known.iloc[0]!r}" if len(known) else "empty in every training row"
        notes.append(f"column {name!r} left out: it is {value}")
        return None
    if _is_numeric(series):
        if _is_row_number(name, known):
            notes.append(f"column {name!r} left out: it numbers the rows (an identifier says nothing about new rows)")
            return None
        return Number.fit(series)
    if date_format(series) is not None:
        return Date.fit(series)
    texts = [t for t in as_texts(known) if t is not None]
    distinct = len(set(texts))
    if distinct <= MANY_VALUES or distinct <= REPETITION * len(texts):
        return Category.fit(series)
    if _mostly_numbers(series, notes):
        return Number.fit(series)
    words = float(np.mean([len(t.split()) for t in texts]))
    if words > TEXT_WORDS:
        raise InputError(
            f"column {name!r} holds free text ({words:.0f} words a row on average): a network for tables reads "
            f"numbers, categories and dates; leave it out with --drop {name!r}"
        )
    different = f"{distinct} different values in {len(texts)} training rows"
    if len(known) < len(series):
        notes.append(f"column {name!r}: {different}, like an identifier; only whether it is known is used")
        return Presence.fit(series)
    notes.append(f"column {name!r} left out: {different}, like an identifier")
    return None


def as_numbers(series: pd.Series[Any]) -> NDArray[np.float64]:
    """The values as float64; what is no finite number becomes NaN."""
    import pandas as pd

    values = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def as_texts(series: pd.Series[Any]) -> list[str | None]:
    """The values as stripped texts, None where missing; whole numbers without a trailing .0."""
    whole = series.dtype.kind == "f" and bool((series.dropna() % 1 == 0).all())
    return [
        None if missing else str(int(value)) if whole else str(value).strip()
        for value, missing in zip(series.tolist(), series.isna().tolist(), strict=True)
    ]


def as_dates(series: pd.Series[Any], form: str) -> pd.Series[Any]:
    import pandas as pd

    dates = pd.to_datetime(series, format=form, errors="coerce", utc=True)
    return dates.dt.tz_localize(None)


def date_format(series: pd.Series[Any]) -> str | None:
    """The format in which (nearly) every known value is a date; None if there is none."""
    if series.dtype.kind == "M":
        return DATE_FORMATS[0]
    if _is_numeric(series):
        return None
    known = series.dropna()
    sample = [str(value) for value in known.head(100)]
    if not all(re.match(r"\s*\d{1,4}[-./]\d{1,2}", value) for value in sample):
        return None
    return next((f for f in DATE_FORMATS if as_dates(known, f).notna().mean() > 0.99), None)


def _days(dates: pd.Series[Any]) -> NDArray[np.float64]:
    seconds = (dates - np.datetime64("1970-01-01")).dt.total_seconds()
    return seconds.to_numpy(dtype=np.float64, na_value=np.nan) / 86400


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # Symmetric, so that a negative number in new data has a place too.
    return np.sign(values) * np.log1p(np.abs(values))


def _is_numeric(series: pd.Series[Any]) -> bool:
    return series.dtype.kind in "iuf"


def _is_row_number(name: str, known: pd.Series[Any]) -> bool:
    """1, 2, 3 … in the order of the rows or not, or different everywhere under a name that ends in "id"."""
    if len(known) < MANY_VALUES or known.nunique() < len(known) or bool((known % 1 != 0).any()):
        return False
    if re.search(r"(^|[_\s-])(id|index)$|(?<=[a-z])I[dD]$|^I[dD]$", name):
        return True
    # Training rows are a part of all rows: gaps are to be expected, a start far from 0 is not.
    return bool(known.min() <= 0.05 * known.max() and known.min() >= 0 and known.max() <= 3 * len(known))


def _mostly_numbers(series: pd.Series[Any], notes: list[str]) -> bool:
    """Numbers with a few slips of the pen among them: the slips count as missing, said."""
    known = series.dropna()
    slips = known[np.isnan(as_numbers(known))]
    if len(slips) > 0.05 * len(known):
        return False
    notes.append(
        f"column {series.name!r}: {len(slips)} values are no numbers ({slips.iloc[0]!r} …) and count as missing"
    )
    return True
