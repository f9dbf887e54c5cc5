"""The cells of a table's column as numbers, texts or points in time, however they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_DAYS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y")
DATE_FORMATS = ("ISO8601", *(day + time for day in _DAYS for time in ("", " %H:%M", " %H:%M:%S")))


def as_numbers(series: pd.Series[Any]) -> NDArray[np.float64]:
    """The values as float64; what is no finite real number becomes NaN."""
    import pandas as pd

    if series.dtype.kind in "iufb":
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    elif isinstance(series.dtype, pd.StringDtype):  # each different text is looked at only once
        codes, texts = pd.factorize(series)
        numbers = pd.to_numeric(pd.Series(texts).astype(object), errors="coerce").to_numpy()
        values = np.append(numbers, np.nan)[codes] if numbers.dtype.kind in "iufb" else np.full(len(series), np.nan)
    else:
        values = pd.to_numeric(series.astype(object), errors="coerce").to_numpy()
        if values.dtype.kind not in "iufb" or series.dtype.kind == "M":
            return np.full(len(series), np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def as_texts(series: pd.Series[Any]) -> list[str | None]:
    """The values as stripped texts, None where missing; 1 and 1.0 are the same."""
    cells = zip(series.tolist(), series.isna().tolist(), strict=True)
    return [None if missing else _text(value) for value, missing in cells]


def text_codes(series: pd.Series[Any]) -> tuple[NDArray[np.int64], list[str | None]]:
    """What `as_texts` gives, told once: (N,) places in a list of texts, among which None is for missing values."""
    import pandas as pd

    if series.dtype == object:  # where 1 and True are the same to pandas, but not as texts
        places: dict[str | None, int] = {}
        codes = [places.setdefault(text, len(places)) for text in as_texts(series)]
        return np.array(codes, dtype=np.int64), list(places)
    found, values = pd.factorize(series)
    texts: list[str | None] = [_text(value) for value in values.tolist()]
    return np.where(found < 0, len(texts), found).astype(np.int64), [*texts, None]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return str(value).strip()


def as_dates(series: pd.Series[Any], form: str) -> pd.Series[Any]:
    """The values as points in time (UTC); what is no date in this format becomes NaT."""
    import pandas as pd

    if series.dtype.kind == "M":
        return series
    # Numbers are no dates, and become texts that no format fits.
    texts = pd.Series(as_texts(series), dtype=object)
    return pd.to_datetime(texts, format=form, errors="coerce", utc=True).dt.tz_localize(None)


def date_format(series: pd.Series[Any]) -> str | None:
    """The format in which (nearly) every known value is a date; None if there is none."""
    if series.dtype.kind == "M":
        return DATE_FORMATS[0]
    known = series.dropna()
    likely = likely_formats(known) if series.dtype.kind == "O" else []
    best = max(likely, key=lambda form: _share_of_dates(known, form), default=None)
    return best if best and _share_of_dates(known, best) > 0.99 else None


def likely_formats(known: pd.Series[Any]) -> list[str]:
    """The formats in which most of the first thousand of these values are dates."""
    if not known.head(100).astype(str).str.match(r"\s*\d{1,4}[-./]\d{1,2}").mean() > 0.9:
        return []
    return [form for form in DATE_FORMATS if _share_of_dates(known.head(1000), form) > 0.9]


def _share_of_dates(known: pd.Series[Any], form: str) -> float:
    return float(as_dates(known, form).notna().mean())


def in_days(dates: pd.Series[Any]) -> NDArray[np.float64]:
    """Days since 1970, NaN where missing."""
    seconds = (dates - np.datetime64("1970-01-01")).dt.total_seconds()
    return seconds.to_numpy(dtype=np.float64, na_value=np.nan) / 86400


def type_kind(series: pd.Series[Any]) -> str:
    """The type of a tidy column that has known values."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return "category"
    kind = series.dtype.kind
    return {"i": "integer", "u": "integer", "f": "number", "b": "truth", "M": "date"}.get(kind, "text")


def refuse_collections(series: pd.Series[Any], what: str, cure: str) -> None:
    """Raises InputError for a column whose cells hold lists, dicts or arrays."""
    if series.dtype != object:
        return
    many = next((value for value in series if isinstance(value, list | tuple | dict | set | np.ndarray)), None)
    if many is not None:
        raise InputError(f"{what} holds a {type(many).__name__} in a cell, but a cell is one value: {cure}")
