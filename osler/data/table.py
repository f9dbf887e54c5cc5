"""A table's columns, fitted on training rows and applied to any others: the preprocessing that a run keeps."""

from __future__ import annotations

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
        columns = [column for column in fitted.values() if column is not None]
        if not columns:
            raise InputError(f"no column is left to learn from ({'; '.join(said) or 'the table has only targets'})")
        notes.extend(said)
        return cls(columns, [name for name, column in fitted.items() if column is None])

    def encode(self, frame: pd.DataFrame, notes: list[str]) -> NDArray[np.float32]:
        """The matrix. Raises InputError for missing columns; counts in `notes` the values it could not understand."""
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
        for column in self.columns:
            _count_surprises(column, frame[column.name], notes)
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


def _count_surprises(column: Column, series: pd.Series[Any], notes: list[str]) -> None:
    """Says which values mean nothing to a fitted column."""
    known = series.dropna()
    if isinstance(column, Category):
        seen = set(column.values)
        odd = known[[text not in seen for text in as_texts(known)]]
        said = "" if column.rare else "were never seen in training"
    elif isinstance(column, Number):
        odd, said = known[np.isnan(as_numbers(known))], "are no finite numbers and count as missing"
        gaps = len(series) - len(known)
        if gaps and not len(odd) and not column.indicator:
            notes.append(f"column {column.name!r}: {gaps} values missing, never so in training: median")
    elif isinstance(column, Date):
        odd, said = known[as_dates(known, column.format).isna().to_numpy()], "are no dates and count as missing"
    else:
        return
    if len(odd) and said:
        example = as_texts(odd.head(1))[0]
        notes.append(f"column {column.name!r}: {len(odd)} of {len(series)} values {said} ({example!r} …)")


def _describe(column: Column, series: pd.Series[Any]) -> dict[str, Any]:
    if isinstance(column, Number):
        values = as_numbers(series)
        values = values[~np.isnan(values)]
        mean = float(mean_and_deviation(values)[0][0])
        summary = f"{values.min():.4g} … {values.max():.4g}, mean {mean:.4g}"
        summary += ", log scale" if column.log else ""
    elif isinstance(column, Category):
        shown = ", ".join(column.values[:4]) + (" …" if len(column.values) > 4 else "")
        summary = f"{len(column.values)} values: {shown}" + (", rare ones together" if column.rare else "")
    elif isinstance(column, Date):
        dates = as_dates(series, column.format)
        summary = f"{dates.min():%Y-%m-%d} … {dates.max():%Y-%m-%d}"
    else:
        summary = "whether it is known"
    return {"name": column.name, "kind": column.kind, "missing": int(series.isna().sum()), "summary": summary}
