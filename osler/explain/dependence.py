"""Partial dependence: what is predicted on average when one column has the same value in all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.errors import InputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CATEGORIES = 12


@dataclass(frozen=True)
class Dependence:
    """The mean prediction over all rows, for each value of a column."""

    column: str
    values: tuple[Any, ...]  # numbers in ascending order, or the most frequent values
    predictions: tuple[float, ...]
    numeric: bool


def partial_dependence(
    predict: Callable[[pd.DataFrame], NDArray[Any]],
    table: pd.DataFrame,
    column: str,
    *,
    values: Sequence[Any] | None = None,
    points: int = 20,
) -> Dependence:
    """The mean of `predict` (table → one number a row) when `column` is set to a value in all rows, for several values.

    `values`: by default `points` numbers from the 5th to the 95th percentile; of a column that holds no numbers, or few
    different ones, the 12 most frequent values. It averages over rows that may not exist (a child with a driving
    licence). Raises InputError for an unknown column or one without values.

    Source: Friedman, Greedy function approximation (2001).

        >>> import pandas as pd
        >>> table = pd.DataFrame({"a": [0.0, 1.0], "b": [1.0, 3.0]})
        >>> partial_dependence(lambda t: 2 * t["a"] + t["b"], table, "a", values=[0.0, 5.0]).predictions
        (2.0, 12.0)
    """
    import pandas as pd

    if column not in table.columns:
        raise unknown_name("column", column, map(str, table.columns))
    known = table[column].dropna()
    if values is None and known.empty:
        raise InputError(f"column {column!r} holds no values")
    numeric = pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known)
    if values is None:
        if known.nunique() <= CATEGORIES or not numeric:
            values = known.value_counts().index[:CATEGORIES].tolist()
            values = sorted(values) if numeric else values
        else:
            values = np.unique(np.linspace(known.quantile(0.05), known.quantile(0.95), points)).tolist()
    means = [float(np.mean(predict(table.assign(**{column: value})))) for value in values]
    return Dependence(column, tuple(values), tuple(means), numeric)
