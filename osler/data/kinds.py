"""Which kind of column this is: decided from the training rows, and said wherever it is not plain to see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

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
EXACT = 2**53  # whole numbers beyond it measure nothing


def fit_column(series: pd.Series[Any], notes: list[str]) -> Column | None:
    """The fitted column, of the kind that its values show; None for one that nothing can be learned from (said).

    Raises InputError for prose, and for cells that hold several values, which a network for tables cannot read.
    """
    import pandas as pd

    name = str(series.name)
    known = series.dropna()
    refuse_collections(known, f"column {name!r}", f"leave it out with --drop {name!r}")
    if series.dtype.kind in "iuf":
        return _number(series, notes)
    texts = [text for text in as_texts(known) if text is not None]
    distinct = len(set(texts))
    if distinct == 0 or (distinct == 1 and len(known) == len(series)):
        notes.append(f"column {name!r} left out: " + (f"always {texts[0]!r}" if texts else "empty in training rows"))
        return None
    form = date_format(series)
    if form is not None:
        if form != DATE_FORMATS[0]:
            notes.append(f"column {name!r}: dates written as {form}")
        return Date.fit(series)
    # A few values may be written as numbers ("1", "2"), and yet the column was declared to hold categories.
    declared = isinstance(series.dtype, pd.CategoricalDtype) or series.dtype.kind == "b"
    slips = float(np.isnan(as_numbers(known)).mean())
    if not declared and (slips == 0 or (slips <= SLIPS and distinct > MANY_VALUES)):
        return _number(series, notes)
    if distinct <= REPETITION * len(texts) or (distinct <= MANY_VALUES and distinct < len(texts)):
        return Category.fit(series)
    words = float(np.mean([len(text.split()) for text in texts]))
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


def _number(series: pd.Series[Any], notes: list[str]) -> Number | None:
    name = str(series.name)
    values = as_numbers(series)
    finite = values[~np.isnan(values)]
    if not len(finite):
        notes.append(f"column {name!r} left out: no number in the training rows")
        return None
    if _is_row_number(name, series):
        notes.append(f"column {name!r} left out: it numbers the rows (an identifier says nothing about new rows)")
        return None
    if len(finite) == len(values) and finite.min() == finite.max():
        notes.append(f"column {name!r} left out: always {finite[0]:g}")
        return None
    odd = series[np.isnan(values) & series.notna().to_numpy()]
    if len(odd):
        example = as_texts(odd)[0]
        share = f"{len(odd)} of {len(series)} values"
        notes.append(f"column {name!r}: {share} are no finite numbers ({example!r} …) and count as missing")
    return Number.fit(series)


def _is_row_number(name: str, series: pd.Series[Any]) -> bool:
    """1, 2, 3 … in the order of the rows or not; or different everywhere, under a name that ends in "id" or too big."""
    known = series.dropna()
    values = as_numbers(known)
    integers = series.dtype.kind in "iu"
    if len(known) < MANY_VALUES or known.nunique() < len(known) or not (integers or (values % 1 == 0).all()):
        return False
    low, high = float(values.min()), float(values.max())
    if (integers and high > EXACT) or re.search(r"(?i:(^|[_\s-])(id|index)$)|(?<=[a-z])I[dD]$", name):
        return True
    # Training rows are a part of all rows: gaps are to be expected, a start far from 0 is not.
    return bool(0 <= low <= 0.05 * high and high <= 3 * len(known))
