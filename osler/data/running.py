"""What is learned of a column that comes in pieces, in bounded memory: the evidence for its kind, and its numbers.

Exact to rounding, as if the column were in memory: counts, ranges, means, deviations, medians, classes. Learned from a
part, and only where there is more than fits: the date formats that are tried are those that fit the first 1,000 known
values; of more than 65,536 different values their number is estimated (to about 0.4 %); of more than 100,000 the rare
ones are forgotten now and then, so that counts of rare values may be too low.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.columns import HUGE, SKEWED, Category, Date, Number, on_log_scale
from osler.data.scaling import Moments
from osler.data.values import DATE_FORMATS, as_dates, as_numbers, as_texts, in_days, likely_formats, type_kind

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

HASHES = 2**16
TEXTS = 100_000
SAMPLE = 100_000
# The rank of a sample's quantile is off by 0.16 % (one deviation): a median lies outside once in a hundred million.
MARGIN = 0.009
DATES = 1000


class Distinct:
    """How many different values there were: exact up to `HASHES`, then from the smallest hashes (Bar-Yossef, 2002)."""

    def __init__(self) -> None:
        self.smallest = np.zeros(0, dtype=np.uint64)
        self.full = False

    def add(self, hashes: NDArray[np.uint64]) -> None:
        if self.full:
            hashes = hashes[hashes < self.smallest[-1]]
        if len(hashes):
            merged = np.unique(np.concatenate([self.smallest, hashes]))
            self.full |= len(merged) > HASHES
            self.smallest = merged[:HASHES]

    @property
    def count(self) -> int:
        if not self.full:
            return len(self.smallest)
        return round((HASHES - 1) / (float(self.smallest[-1]) / 2.0**64))


class Sample:
    """A uniform sample of numbers that come in pieces: those with the smallest random keys."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.values = np.zeros(0)
        self.keys = np.zeros(0)

    def add(self, values: Doubles) -> None:
        keys = self.random.random(len(values))
        if len(self.keys) >= SAMPLE:
            few = keys < self.keys.max()
            keys, values = keys[few], values[few]
        keys, values = np.concatenate([self.keys, keys]), np.concatenate([self.values, values])
        if len(keys) > SAMPLE:
            smallest = np.argpartition(keys, SAMPLE)[:SAMPLE]
            keys, values = keys[smallest], values[smallest]
        self.keys, self.values = keys, values

    def bracket(self) -> tuple[float, float]:
        """Between these the median of many more numbers of the same kind lies; all of them if there is no more."""
        if len(self.values) < SAMPLE:
            return -np.inf, np.inf
        low, high = np.quantile(self.values, [0.5 - MARGIN, 0.5 + MARGIN], method="nearest")
        return float(low), float(high)


class Median:
    """The exact median: numbers below the bracket are counted, those in it kept (each different one once)."""

    def __init__(self, bracket: tuple[float, float]):
        self.low, self.high = bracket
        self.below = 0
        self.values = np.zeros(0)
        self.counts = np.zeros(0, dtype=np.int64)
        self.waiting: list[Doubles] = []

    def add(self, values: Doubles) -> None:
        self.below += int((values < self.low).sum())
        self.waiting.append(values[(values >= self.low) & (values <= self.high)])
        if sum(map(len, self.waiting)) > len(self.values) + 2**17:
            self._merge()

    def _merge(self) -> None:
        values, places = np.unique(np.concatenate([self.values, *self.waiting]), return_inverse=True)
        weights = np.concatenate([self.counts, np.ones(sum(map(len, self.waiting)), dtype=np.int64)])
        self.counts = np.bincount(places, weights=weights, minlength=len(values)).astype(np.int64)
        self.values, self.waiting = values, []

    def of(self, count: int, unit: float) -> float:
        """Of so many numbers in all, computed in units of a power of two. The bracket's middle if it missed."""
        self._merge()
        upto = self.below + np.cumsum(self.counts)
        ranks = [(count - 1) // 2, count // 2]
        if not len(upto) or ranks[0] < self.below or ranks[1] >= upto[-1]:
            return self.low / 2 + self.high / 2
        middle = self.values[np.searchsorted(upto, ranks, side="right")] / unit
        return float(middle.mean() * unit)


class First:
    """The first look at a column, over all rows: what the second one has to look for."""

    def __init__(self, name: str, seed: int):
        self.name = name
        self.rows = self.known = self.finite = 0
        self.kinds: set[str] = set()  # of the types that pieces had
        self.sample = Sample(seed)
        self.head: list[Any] = []

    def add(self, series: pd.Series[Any]) -> None:
        known = series.dropna()
        self.rows, self.known = self.rows + len(series), self.known + len(known)
        if not len(known):
            return
        self.kinds.add(type_kind(series))
        if series.dtype.kind == "M":
            return
        if series.dtype.kind not in "iufb" and len(self.head) < DATES:
            self.head += known.head(DATES - len(self.head)).tolist()
        values = as_numbers(known)
        values = values[~np.isnan(values)]
        self.finite += len(values)
        self.sample.add(values)

    @property
    def kind(self) -> str:
        """The type of the whole column: "integer", "number", "truth", "category", "date" or "text"."""
        if self.kinds <= {"integer", "number"}:
            return "integer" if self.kinds == {"integer"} and self.known == self.rows else "number"
        return next(iter(self.kinds)) if len(self.kinds) == 1 else "text"

    @property
    def formats(self) -> list[str]:
        """Date formats that its values may have."""
        import pandas as pd

        if self.kind == "date":
            return [DATE_FORMATS[0]]
        may = self.kind in ("text", "category") and self.head
        return likely_formats(pd.Series(self.head, dtype=object)) if may else []


class Second:
    """The second look, over the training rows only: the evidence that a column's kind is decided from, and its fit."""

    def __init__(self, first: First):
        self.name = first.name
        self.numeric = first.kind in ("integer", "number")
        self.integers = first.kind == "integer"
        self.declared = first.kind in ("category", "truth")
        self.rows = self.known = self.finite = 0
        self.numbers, self.logs = Moments(), Moments()
        self.median = Median(first.sample.bracket())
        self.seen = Distinct()
        self.unlike = True  # no value came twice, as far as was seen
        self.whole = True
        self.texts: Counter[str] = Counter()
        self.forgotten = False
        self.word_count = 0
        self.example = self.odd_example = ""
        # Numbers are looked for among texts if most of them are.
        self.as_numbers = first.finite >= 0.8 * first.known
        self.dates = {form: Moments() for form in first.formats}

    def add(self, series: pd.Series[Any]) -> None:
        """Takes in training rows."""
        known = series.dropna()
        self.rows, self.known = self.rows + len(series), self.known + len(known)
        if not len(known):
            return
        if self.numeric:
            self._add_numbers(as_numbers(known), np.ones(len(known), dtype=np.int64), known)
        elif series.dtype.kind == "M" and len(self.dates) == 1:
            self._add_dates(known, np.ones(len(known), dtype=np.int64))
            self.seen.add(_hashes(in_days(known)))
        else:
            self._add_texts(known)

    def _add_texts(self, known: pd.Series[Any]) -> None:
        import pandas as pd

        # Each different value is looked at only once.
        counted = known.value_counts(sort=False)
        counted = counted[counted > 0]
        values, counts = pd.Series(counted.index), counted.to_numpy(dtype=np.int64)
        texts = [str(text) for text in as_texts(values)]
        self.example = self.example or texts[0]
        for text, count in zip(texts, counts.tolist(), strict=True):
            self.texts[text] += count
            self.word_count += len(text.split()) * count
        if len(self.texts) > TEXTS:
            self.texts = Counter(dict(self.texts.most_common(TEXTS // 2)))
            self.forgotten = True
        self.seen.add(pd.util.hash_array(np.array(texts, dtype=object)))
        self._add_dates(values, counts)
        if self.as_numbers:
            self._add_numbers(as_numbers(values), counts, values)

    def _add_dates(self, values: pd.Series[Any], counts: NDArray[Any]) -> None:
        for form, moments in self.dates.items():
            days = in_days(as_dates(values, form))
            moments.add(np.repeat(days, counts)[~np.isnan(np.repeat(days, counts))])

    def _add_numbers(self, values: Doubles, counts: NDArray[Any], cells: pd.Series[Any]) -> None:
        odd = np.isnan(values)
        if odd.any():
            self.odd_example = self.odd_example or str(as_texts(cells[odd].head(1))[0])
        self.whole &= bool((values % 1 == 0).all())
        values = np.repeat(values, counts)[~np.repeat(odd, counts)]
        self.finite += len(values)
        if self.whole and self.unlike and self.numeric:
            exact = cells.to_numpy() if isinstance(cells.dtype, np.dtype) else values
            self.unlike = len(np.unique(exact)) == len(exact)
            self.seen.add(_hashes(exact))
        elif self.whole and self.unlike:
            self.unlike = bool((counts == 1).all())
        self.numbers.add(values)
        self.logs.add(on_log_scale(values))
        self.median.add(values)

    @property
    def distinct(self) -> int:
        return self.seen.count

    @property
    def date_format(self) -> str | None:
        best = max(self.dates, key=lambda form: self.dates[form].count, default=None)
        return best if best and self.dates[best].count > 0.99 * self.known else None

    @property
    def slips(self) -> float:
        return 1 - self.finite / self.known

    @property
    def words(self) -> float:
        return self.word_count / self.known

    @property
    def low(self) -> float:
        return self.numbers.low

    @property
    def high(self) -> float:
        return self.numbers.high

    @property
    def whole_and_unique(self) -> bool:
        # Estimated where there is much: a few values that come twice in different pieces are not seen.
        enough = self.known if not self.seen.full else 0.98 * self.known
        return self.whole and self.unlike and self.seen.count >= enough

    def number(self) -> Number:
        moments = self.numbers
        median = self.median.of(moments.count, moments.unit)
        far = max(abs(moments.low), abs(moments.high)) > HUGE
        log = far or (moments.low >= 0 and moments.skewness > SKEWED)
        filled = self.logs if log else moments
        missing = self.rows - self.finite
        if missing:
            fill = on_log_scale(np.array([median])) if log else np.array([median])
            filled = filled.with_copies(float(fill[0]), missing)
        return Number(self.name, median, filled.mean, filled.std, bool(log), missing > 0)

    def category(self) -> Category:
        fitted = Category.of_counts(self.name, self.texts, self.rows)
        # What was forgotten was rare, and is not missing.
        rare = fitted.rare or self.forgotten
        return Category(self.name, fitted.values, rare, self.known < self.rows)

    def date(self) -> Date:
        form = self.date_format or DATE_FORMATS[0]
        return Date(self.name, form, self.dates[form].mean, self.dates[form].std)

    def span(self) -> tuple[Any, Any, float]:
        """The smallest and the largest value and their mean, for people: dates of a date, numbers of a number."""
        import pandas as pd

        if (form := self.date_format) is not None:
            low, high = (pd.Timestamp(day * 86400, unit="s") for day in (self.dates[form].low, self.dates[form].high))
            return low, high, math.nan
        return self.low, self.high, self.numbers.mean


def _hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    import pandas as pd

    hashes: NDArray[np.uint64] = pd.util.hash_array(values)
    return hashes
