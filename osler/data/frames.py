"""DataFrames as strangers bring them, made plain: what comes after has few kinds of cells to think of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.values import as_texts
from osler.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def tidy(frame: Any, where: str) -> pd.DataFrame:
    """A plain copy: rows counted from 0, columns named by distinct texts, cells numbers, truths, dates or texts.

    Float columns become float64, dates UTC without a zone, durations days, categories texts; blank texts are missing.
    The frame given stays as it is. Raises InputError for repeated names, no rows, or what is no pandas DataFrame.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{where}: a table is a file or a pandas DataFrame, but got {type(frame).__name__}")
    joined = isinstance(frame.columns, pd.MultiIndex)
    names = ["_".join(map(str, name)) if joined else str(name) for name in frame.columns]
    refuse_repeated(names, where)
    if not len(frame):
        raise InputError(f"{where}: the table has no rows")
    columns = {name: _tidy_column(frame.iloc[:, i].reset_index(drop=True)) for i, name in enumerate(names)}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)


def text_frame(texts: Sequence[str]) -> pd.DataFrame:
    """Texts as a table of one column, "text"."""
    import pandas as pd

    return pd.DataFrame({"text": pd.Series(list(texts), dtype=object)})


def refuse_repeated(names: Sequence[str], where: str) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{where}: column names must differ, but {', '.join(map(repr, repeated))} stands there twice")


def _tidy_column(series: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    dtype: Any = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series([text or None for text in as_texts(series)], dtype="category")
    if isinstance(dtype, pd.PeriodDtype):
        return series.astype("datetime64[ns]")
    if isinstance(dtype, pd.SparseDtype):
        series = pd.Series(np.asarray(series))
    elif isinstance(dtype, pd.StringDtype):  # each different text is looked at only once
        codes, texts = pd.factorize(series)
        stripped = pd.array([text.strip() or None for text in texts.tolist()], dtype=dtype)
        return pd.Series(stripped.take(codes, allow_fill=True))
    elif dtype.kind == "O":
        cells = [(cell.strip() or None) if isinstance(cell, str) else cell for cell in series.tolist()]
        series = pd.Series(cells, dtype=dtype)
        if pd.api.types.infer_dtype(series, skipna=True) == "boolean":
            return series.astype("boolean")
    kind = series.dtype.kind
    if kind == "M":
        return pd.to_datetime(series, utc=True).dt.tz_localize(None)
    if kind == "m":
        days: pd.Series[Any] = series.dt.total_seconds() / 86400
        return days
    if kind == "f":
        return pd.Series(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return series


def target_frame(targets: Any, names: Sequence[str]) -> pd.DataFrame:
    """Targets in any form (DataFrame, Series, array, tensor, list) as a tidy DataFrame.

    What has no names of its own gets `names`: one, or as many as there are columns.
    """
    import pandas as pd

    if hasattr(targets, "columns"):
        return tidy(targets, "the targets")
    if isinstance(targets, pd.Series):
        return tidy(targets.to_frame(names[0] if targets.name is None else targets.name), "the targets")
    values = as_array(targets, "the targets")
    if values.ndim == 2 and values.shape[1] > 1:
        count = values.shape[1]
        return tidy(
            pd.DataFrame(values, columns=list(names if len(names) == count else numbered(names[0], count))),
            "the targets",
        )
    if values.ndim == 0 or values.size != len(values):
        raise InputError(
            f"targets have one number or class per sample, or one row of them, but got shape {values.shape}"
        )
    return tidy(pd.DataFrame({names[0]: values.reshape(-1)}), "the targets")


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{i}" for i in range(count)]


def as_array(values: Any, what: str) -> np.ndarray[Any, Any]:
    """Arrays, tensors on any device and nested lists as a NumPy array; masked values are NaN."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().to_dense()
        # NumPy has no bfloat16.
        return np.asarray(values.float() if "bfloat16" in str(values.dtype) else values)
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"{what} are lists of different lengths: every sample needs the same shape") from error
