"""Permutation importance: what a score loses when a column's values are shuffled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from osler.errors import InputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Importance:
    """What the score loses without a column: mean and deviation over repeated shuffles."""

    column: str
    mean: float
    std: float


def permutation_importance(
    score: Callable[[pd.DataFrame], float],
    table: pd.DataFrame,
    columns: Sequence[str] | None = None,
    *,
    repeats: int = 10,
    seed: int = 0,
) -> list[Importance]:
    """What a score (the higher the better) of a table's rows loses when one column is shuffled, greatest loss first.

    `score`: of a table like `table`, whose rows stand in the same order. Two columns that say the same hide each
    other: shuffling one loses little. Raises InputError for an unknown column and fewer than 2 rows.

    Source: Breiman, Random forests (2001).

        >>> import pandas as pd
        >>> table = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 1.0, 0.0, 0.0]})
        >>> found = permutation_importance(lambda t: -float(((t["a"] - table["a"]) ** 2).mean()), table)
        >>> [importance.column for importance in found], found[1].mean
        (['a', 'b'], 0.0)
    """
    if len(table) < 2 or repeats < 1:
        raise InputError(f"permutation needs at least 2 rows and 1 repeat, but got {len(table)} and {repeats}")
    random = np.random.default_rng(seed)
    whole = score(table)
    found = []
    for column in table.columns if columns is None else columns:
        if column not in table.columns:
            raise unknown_name("column", column, map(str, table.columns))
        lost = []
        for _ in range(repeats):
            shuffled = table[column].iloc[random.permutation(len(table))].set_axis(table.index)
            lost.append(whole - score(table.assign(**{column: shuffled})))
        found.append(Importance(str(column), float(np.mean(lost)), float(np.std(lost))))
    return sorted(found, key=lambda importance: -importance.mean)
