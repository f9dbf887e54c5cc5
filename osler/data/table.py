"""A table's columns, fitted on training rows and applied to any others: the preprocessing that a run keeps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.columns import Category, Column, Date, Number, from_json, to_json
from osler.data.kinds import fit_column
from osler.data.memory import check_fits
from osler.data.scaling import mean_and_deviation
from osler.data.values import as_dates, as_numbers, as_texts
from osler.errors import InputError, nearest

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class TableEncoder:
    """Turns a DataFrame into one float32 matrix (rows, features); columns are found by name, in any order."""

    columns: list[Column]
    left_out: list[str]

    @classmethod
    def fit(cls, frame: pd.DataFrame, notes: list[str]) -> TableEncoder:
        """Decides the kind of every column and learns its numbers from these (training) rows."""
        said: list[str] = []
        fitted = {str(name): fit_column(frame[name], said) for name in frame.columns}
        return cls.of(fitted, said, notes)

    @classmethod
    def of(cls, fitted: dict[str, Column | None], said: list[str], notes: list[str]) -> TableEncoder:
        """Of fitted columns, and what was said about them. Raises InputError if none is left."""
        columns = [column for column in fitted.values() if column is not None]
        if not columns:
            raise InputError(f"no column is left to learn from ({'; '.join(said) or 'the table has only targets'})")
        notes.extend(said)
        return cls(columns, [name for name, column in fitted.items() if column is None])

    def encode(self, frame: pd.DataFrame, notes: list[str] | None) -> NDArray[np.float32]:
        """The matrix. Raises InputError for missing columns; counts in `notes` the values it could not understand.

        `notes` None: nobody asks, nothing is counted.
        """
        known = [str(name) for name in frame.columns]
        absent = [column.name for column in self.columns if column.name not in known]
        if absent:
            hints = [
                f"{name!r}" + (f" (is it {near[0]!r}?)" if (near := nearest(name, known, 1)) else "") for name in absent
            ]
            raise InputError(f"the data lacks {len(absent)} of the columns trained on: {', '.join(hints)}")
        check_fits(
            len(frame) * len(self.features) * 4, f"a table of {len(frame)} rows and {len(self.features)} features"
        )
        if notes is not None:
            surprises = Surprises(self.columns)
            surprises.add(frame)
            surprises.tell(notes)
        return np.concatenate([column.encode(frame[column.name]) for column in self.columns], axis=1)

    @property
    def features(self) -> list[str]:
        """The name of every column of the matrix."""
        return [feature for column in self.columns for feature in column.features()]

    def describe(self, frame: pd.DataFrame) -> list[dict[str, Any]]:
        """One record per column for people: name, kind, missing values, a short summary."""
        return [_describe(column, frame[column.name]) for column in self.columns]

    def to_json(self) -> dict[str, Any]:
        return {"kind": "table", "columns": [to_json(column) for column in self.columns], "left_out": self.left_out}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> TableEncoder:
        return cls([from_json(column) for column in record["columns"]], record["left_out"])


class Surprises:
    """Counts the values that mean nothing to fitted columns, in one frame or several."""

    def __init__(self, columns: list[Column]):
        self.columns = columns
        self.rows = 0
        self.odd: Counter[str] = Counter()
        self.gaps: Counter[str] = Counter()
        self.examples: dict[str, str | None] = {}

    def add(self, frame: pd.DataFrame) -> None:
        self.rows += len(frame)
        for column in self.columns:
            series = frame[column.name]
            known = series.dropna()
            odd = known[_odd(column, known)]
            if len(odd):
                self.examples.setdefault(column.name, as_texts(odd.head(1))[0])
            self.odd[column.name] += len(odd)
            self.gaps[column.name] += len(series) - len(known)

    def tell(self, notes: list[str]) -> None:
        for column in self.columns:
            name, odd, gaps = column.name, self.odd[column.name], self.gaps[column.name]
            if isinstance(column, Number) and gaps and not odd and not column.indicator:
                notes.append(f"column {name!r}: {gaps} values missing, never so in training: median")
            if odd:
                said = _SURPRISES[column.kind]
                notes.append(f"column {name!r}: {odd} of {self.rows} values {said} ({self.examples[name]!r} …)")


_SURPRISES = {
    "category": "were never seen in training",
    "number": "are no finite numbers and count as missing",
    "date": "are no dates and count as missing",
}


def _odd(column: Column, known: pd.Series[Any]) -> list[bool] | NDArray[np.bool_]:
    """Which of these values mean nothing to the column."""
    if isinstance(column, Category) and not column.rare:
        seen = set(column.values)
        return [text not in seen for text in as_texts(known)]
    if isinstance(column, Number):
        return np.isnan(as_numbers(known))
    if isinstance(column, Date):
        return as_dates(known, column.format).isna().to_numpy()
    return np.zeros(len(known), dtype=bool)


def _describe(column: Column, series: pd.Series[Any]) -> dict[str, Any]:
    missing = int(series.isna().sum())
    if isinstance(column, Number):
        values = as_numbers(series)
        values = values[~np.isnan(values)]
        return described(column, missing, values.min(), values.max(), float(mean_and_deviation(values)[0][0]))
    if isinstance(column, Date):
        dates = as_dates(series, column.format)
        return described(column, missing, dates.min(), dates.max())
    return described(column, missing)


def described(column: Column, missing: int, low: Any = None, high: Any = None, mean: float = 0.0) -> dict[str, Any]:
    """The record of a column for people; the smallest and largest value of a number or a date, the mean of a number."""
    if isinstance(column, Number):
        summary = f"{low:.4g} … {high:.4g}, mean {mean:.4g}" + (", log scale" if column.log else "")
    elif isinstance(column, Category):
        shown = ", ".join(column.values[:4]) + (" …" if len(column.values) > 4 else "")
        summary = f"{len(column.values)} values: {shown}" + (", rare ones together" if column.rare else "")
    elif isinstance(column, Date):
        summary = f"{low:%Y-%m-%d} … {high:%Y-%m-%d}"
    else:
        summary = "whether it is known"
    return {"name": column.name, "kind": column.kind, "missing": missing, "summary": summary}
