"""Which kind of column this is: decided from the training rows, and said wherever it is not plain to see."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from osler.data.columns import Category, Column, Date, Number, Presence
from osler.data.values import DATE_FORMATS, as_numbers, as_texts, date_format, refuse_collections
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MANY_VALUES = 20  # up to here a text column is always a category if any value is repeated …
REPETITION = 0.3  # … beyond it when its distinct values are at most this share of its rows
SLIPS = 0.05  # up to this share of other things among them, numbers are numbers
TEXT_WORDS = 6  # more words on average, hardly ever repeated: prose
TITLE_WORDS = 2  # from so many on a column that stands alone is text
EXACT = 2**53  # whole numbers beyond it measure nothing


class Evidence(Protocol):
    """What a column's kind is decided from: seen at once (`Seen`), or in pieces."""

    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def known(self) -> int:
        """Rows with any value."""

    @property
    def numeric(self) -> bool:
        """Of a type of numbers."""

    @property
    def declared(self) -> bool:
        """Said to be categories or truth values by its type."""

    @property
    def distinct(self) -> int: ...
    @property
    def example(self) -> str: ...
    @property
    def date_format(self) -> str | None: ...
    @property
    def slips(self) -> float:
        """The share of known values that are no finite numbers."""

    @property
    def words(self) -> float:
        """Words a known value, on average."""

    @property
    def finite(self) -> int:
        """Rows with a finite number."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def odd_example(self) -> str:
        """A known value that is no finite number."""

    @property
    def integers(self) -> bool:
        """Of a type of whole numbers."""

    @property
    def whole_and_unique(self) -> bool:
        """All known values are whole numbers, and different."""

    def number(self) -> Number: ...
    def category(self) -> Category: ...
    def date(self) -> Date: ...


def fit_column(series: pd.Series[Any], notes: list[str]) -> Column | None:
    """The fitted column, of the kind that its values show; None for one that nothing can be learned from (said).

    Raises InputError for prose, and for cells that hold several values, which a network for tables cannot read.
    """
    refuse_cells_of_many(series)
    return choose(Seen(series), notes)


def refuse_cells_of_many(series: pd.Series[Any]) -> None:
    name = str(series.name)
    refuse_collections(series.dropna(), f"column {name!r}", f"leave it out with --drop {name!r}")


def reads_as_text(series: pd.Series[Any], asked: bool) -> bool:
    """Whether a table's only column is to be read as text: words, hardly ever repeated; any words where `asked`."""
    refuse_cells_of_many(series)
    column = Seen(series)
    if column.numeric or not column.distinct:
        return False
    if asked:
        return True
    if column.date_format is not None or (not column.declared and column.slips <= SLIPS):
        return False
    return not _repeated(column) and column.words >= TITLE_WORDS


def _repeated(column: Evidence) -> bool:
    few = column.distinct <= MANY_VALUES and column.distinct < column.known
    return few or column.distinct <= REPETITION * column.known


def choose(column: Evidence, notes: list[str]) -> Column | None:
    """What `fit_column` gives, from the evidence."""
    name = column.name
    if column.numeric:
        return _number(column, notes)
    if column.distinct == 0 or (column.distinct == 1 and column.known == column.rows):
        said = f"always {column.example!r}" if column.distinct else "empty in training rows"
        notes.append(f"column {name!r} left out: {said}")
        return None
    form = column.date_format
    if form is not None:
        if form != DATE_FORMATS[0]:
            notes.append(f"column {name!r}: dates written as {form}")
        return column.date()
    # A few values may be written as numbers ("1", "2"), and yet the column was declared to hold categories.
    if not column.declared and (column.slips == 0 or (column.slips <= SLIPS and column.distinct > MANY_VALUES)):
        return _number(column, notes)
    if _repeated(column):
        return column.category()
    if column.words > TEXT_WORDS:
        raise InputError(
            f"column {name!r} holds free text ({column.words:.0f} words a row on average): a network for tables reads "
            f"numbers, categories and dates; leave it out with --drop {name!r}, or the others: a text alone is read as "
            "text"
        )
    different = f"{column.distinct} different values in {column.known} training rows"
    if column.known < column.rows:
        notes.append(f"column {name!r}: {different}, like an identifier; only whether it is known is used")
        return Presence(name)
    notes.append(f"column {name!r} left out: {different}, like an identifier")
    return None


def _number(column: Evidence, notes: list[str]) -> Number | None:
    name = column.name
    if not column.finite:
        notes.append(f"column {name!r} left out: no number in the training rows")
        return None
    if _is_row_number(column):
        notes.append(f"column {name!r} left out: it numbers the rows (an identifier says nothing about new rows)")
        return None
    if column.finite == column.rows and column.low == column.high:
        notes.append(f"column {name!r} left out: always {column.low:g}")
        return None
    if odd := column.known - column.finite:
        share = f"{odd} of {column.rows} values"
        notes.append(f"column {name!r}: {share} are no finite numbers ({column.odd_example!r} …) and count as missing")
    return column.number()


def _is_row_number(column: Evidence) -> bool:
    """1, 2, 3 … in the order of the rows or not; or different everywhere, under a name that ends in "id" or too big."""
    if column.known < MANY_VALUES or not column.whole_and_unique:
        return False
    low, high = column.low, column.high
    if (column.integers and high > EXACT) or re.search(r"(?i:(^|[_\s-])(id|index)$)|(?<=[a-z])I[dD]$", column.name):
        return True
    # Training rows are a part of all rows: gaps are to be expected, a start far from 0 is not.
    return bool(0 <= low <= 0.05 * high and high <= 3 * column.known)


class Seen:
    """The evidence of a whole column in memory."""

    def __init__(self, series: pd.Series[Any]):
        import pandas as pd

        self.series = series
        self.name = str(series.name)
        self.rows = len(series)
        self.numeric = series.dtype.kind in "iuf"
        self.declared = isinstance(series.dtype, pd.CategoricalDtype) or series.dtype.kind == "b"
        self.integers = series.dtype.kind in "iu"

    @cached_property
    def _known(self) -> pd.Series[Any]:
        return self.series.dropna()

    @cached_property
    def _texts(self) -> list[str]:
        return [text for text in as_texts(self._known) if text is not None]

    @cached_property
    def _finite(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        values = as_numbers(self.series)
        return values[~np.isnan(values)]

    @property
    def known(self) -> int:
        return len(self._known)

    @cached_property
    def distinct(self) -> int:
        return len(set(self._texts))

    @property
    def example(self) -> str:
        return self._texts[0]

    @cached_property
    def date_format(self) -> str | None:
        return date_format(self.series)

    @cached_property
    def slips(self) -> float:
        return float(np.isnan(as_numbers(self._known)).mean())

    @property
    def words(self) -> float:
        return float(np.mean([len(text.split()) for text in self._texts]))

    @property
    def finite(self) -> int:
        return len(self._finite)

    @property
    def low(self) -> float:
        return float(self._finite.min())

    @property
    def high(self) -> float:
        return float(self._finite.max())

    @property
    def odd_example(self) -> str:
        odd = self.series[np.isnan(as_numbers(self.series)) & self.series.notna().to_numpy()]
        return str(as_texts(odd)[0])

    @property
    def whole_and_unique(self) -> bool:
        if self._known.nunique() < len(self._known):
            return False
        return self.integers or bool((as_numbers(self._known) % 1 == 0).all())

    def number(self) -> Number:
        return Number.fit(self.series)

    def category(self) -> Category:
        return Category.fit(self.series)

    def date(self) -> Date:
        return Date.fit(self.series)
