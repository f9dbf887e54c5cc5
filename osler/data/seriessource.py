"""A table with a column of times becomes a series: sorted, at equal steps, every gap counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.frames import tidy
from osler.data.parts import Part, Source
from osler.data.series import Series
from osler.data.sources import existing
from osler.data.tablefiles import read_table
from osler.data.tablesource import Target, target_names
from osler.data.timeaxis import on_grid, time_text
from osler.data.values import as_dates, as_numbers, as_texts, date_format
from osler.errors import InputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TIME_NAMES = {
    "date",
    "time",
    "datetime",
    "timestamp",
    "ds",
    "month",
    "year",
    "day",
    "week",
    "quarter",
    "period",
    "hour",
}


def open_series(
    source: object, target: Target = None, time: str | None = None, drop: Sequence[str] = (), needed: Sequence[str] = ()
) -> Source:
    """Reads a table of times and numbers as one series: the source of one part "all", whose inputs are a `Series`.

    `source`: a CSV, TSV or Parquet file, or a DataFrame or Series of pandas, whose index may have the times. `target`:
    the column(s) to forecast (default: all numbers). The others are looked at, too: their past helps. `time`: the
    column of the times; by default the one that is called so or holds dates. Without one the rows are taken to be in
    order. `needed`: columns that must be there, all others being left out (of a series to go on with).

    Rows are sorted; of repeated times the last row is taken; missing times and values are filled by the value before
    them (never by one to come); rows before all columns have begun are left out. All that is counted in the notes.
    Raises InputError for times that are not at equal steps and for columns that are no numbers but were asked for.
    """
    notes: list[str] = []
    if hasattr(source, "to_frame") or hasattr(source, "columns"):
        table, where = tidy(_framed(source), "a DataFrame"), "a DataFrame"
    else:
        path = existing(source) if isinstance(source, str | Path) else None
        if path is None or path.is_dir():
            raise InputError(f"a series to forecast is a table (CSV, TSV or Parquet) or a DataFrame, got {source!r}")
        table, where = tidy(read_table(path, notes, target_names(target)), str(path)), str(path)
    for name in drop:
        if name not in table.columns:
            raise unknown_name("column for drop", name, table.columns)
        table = table.drop(columns=name)
    column, times = _times(table, time, notes)
    known = np.isfinite(times) if times.dtype.kind == "f" else ~np.isnat(times)
    if unknown := int((~known).sum()):
        notes.append(f"{unknown} of {len(table)} rows have no time in {column!r}: left out")
    step, rows, places = on_grid(times[known], column or "the rows", notes)
    rows = np.flatnonzero(known)[rows]
    chosen, targets = _columns(table, column, target_names(target), needed, notes)
    read = np.stack([as_numbers(table[name]) for name in chosen], axis=1)
    values = np.full((int(places[-1]) + 1, len(chosen)), np.nan)
    values[places] = read[rows]
    first_time = times[rows[0]]
    grid = np.concatenate([[first_time], step.after(first_time, len(values) - 1)]).astype(times.dtype)
    values, begun = _filled(values, chosen, notes)
    series = Series(tuple(chosen), values, grid[begun:], step, targets, column)
    span = f"{time_text(series.times[0])} to {time_text(series.times[-1])}"
    notes.append(
        f"{len(series)} times, {series.step}, from {span}" if column else f"{len(series)} rows, in their order"
    )
    looked = f"; looked at too: {', '.join(chosen[targets:])}" if targets < len(chosen) else ""
    notes.append(f"to forecast: {', '.join(chosen[:targets])}{looked}")
    return Source("series", where, {"all": Part(series)}, notes)


def _framed(source: Any) -> pd.DataFrame:
    """A pandas Series or DataFrame, its index a column where it holds times."""
    import pandas as pd

    frame: pd.DataFrame = source if hasattr(source, "columns") else source.to_frame(source.name or "value")
    if isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex):
        return frame.rename_axis(index=str(frame.index.name or "time")).reset_index()
    return frame


def _times(table: pd.DataFrame, wanted: str | None, notes: list[str]) -> tuple[str | None, NDArray[Any]]:
    if wanted is not None:
        if wanted not in table.columns:
            raise unknown_name("column for time", wanted, table.columns)
        return wanted, _read_times(table[wanted], notes)
    dated = [name for name in table.columns if date_format(table[name])]
    named = [name for name in table.columns if name.lower() in TIME_NAMES]
    found = [name for name in dated if name in named] or dated
    if not found:  # years, or counted steps
        found = [name for name in named if not np.isnan(values := as_numbers(table[name])).any() and np.ptp(values) > 0]
        found = [name for name in found if len(set(as_texts(table[name]))) > len(table) / 2]
    if len(found) > 1:
        raise InputError(f"which column has the times? Say it with --time; these may: {', '.join(found)}")
    if not found:
        notes.append("no column of times was found: the rows are taken to be in order, at equal steps")
        return None, np.arange(len(table), dtype=np.float64)
    return found[0], _read_times(table[found[0]], notes)


def _read_times(column: pd.Series[Any], notes: list[str]) -> NDArray[Any]:
    form = date_format(column)
    if form is None:
        return as_numbers(column)
    if (
        column.dtype.kind != "M"
        and column.dropna().head(100).astype(str).str.contains(r"\d(?:Z|[+-]\d\d:?\d\d)$").any()
    ):
        notes.append(f"{column.name}: times with a zone are taken as UTC")
    times: NDArray[Any] = as_dates(column, form).to_numpy().astype("datetime64[ns]")
    return times


def _columns(
    table: pd.DataFrame, time: str | None, wanted: tuple[str, ...], needed: Sequence[str], notes: list[str]
) -> tuple[list[str], int]:
    """The columns of numbers, those to forecast first, and how many these are."""
    others = [name for name in table.columns if name != time]
    if needed:
        if absent := [name for name in needed if name not in others]:
            raise InputError(f"the series lacks the columns {', '.join(map(repr, absent))}; it has {', '.join(others)}")
        numbers = list(needed)
    else:
        numbers = [name for name in others if _is_numeric(table[name])]
        if left := [name for name in others if name not in numbers]:
            notes.append(f"no numbers, left out: {', '.join(left)}")
    targets = [_target(name, numbers, others) for name in wanted] or numbers
    if not targets:
        raise InputError("there is no column of numbers to forecast")
    if len(set(targets)) < len(targets):
        raise InputError(f"a target column is named twice: {', '.join(map(repr, targets))}")
    return [*targets, *(name for name in numbers if name not in targets)], len(targets)


def _target(name: str, numbers: list[str], all_columns: list[str]) -> str:
    if name in numbers:
        return name
    if name in all_columns:
        raise InputError(f"target {name!r} holds other things than numbers: only numbers can be forecast")
    raise unknown_name("target column", name, numbers)


def _is_numeric(column: pd.Series[Any]) -> bool:
    missing = column.isna().to_numpy()
    return not missing.all() and not np.isnan(as_numbers(column)[~missing]).any()


def _filled(values: NDArray[np.float64], columns: Sequence[str], notes: list[str]) -> tuple[NDArray[np.float64], int]:
    """Without gaps: what is missing is as it was before; and the row from which on every column has begun."""
    known = ~np.isnan(values)
    for i, name in enumerate(columns):
        if not known[:, i].any():
            raise InputError(f"column {name!r} holds nothing but missing values: leave it out with --drop {name!r}")
    begun = int(known.argmax(axis=0).max())
    if begun:
        late = columns[int(known.argmax(axis=0).argmax())]
        notes.append(f"the first {begun} rows are left out: {late!r} begins after them")
    known, values = known[begun:], values[begun:]
    if missing := int((~known).sum()):
        share = missing / known.size
        notes.append(
            f"{missing} missing values ({share:.1%}) are filled by the value before them, and count as measured"
        )
        latest = np.maximum.accumulate(np.where(known, np.arange(len(known))[:, None], 0), axis=0)
        values = np.take_along_axis(values, latest, axis=0)
    return values, begun
