"""Rows chosen by a condition on one of their columns, as on a command line: take<5, speaker=theo,lucas."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.parts import Part
from osler.data.values import as_numbers, as_texts
from osler.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FORM = re.compile(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.+?)\s*")
COMPARE: dict[str, Callable[[Any, float], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matching(part: Part, condition: str, option: str) -> NDArray[np.bool_]:
    """Which rows fulfil a condition: `column<5` (<=, >, >=), or `column=a,b` (!=), one of several values or none.

    Raises InputError for what is no condition, for an unknown column, and for `<` of values that are no numbers.
    """
    found = FORM.fullmatch(condition)
    if found is None:
        raise InputError(
            f"{option} is a condition on a column, like take<5 or speaker=theo,lucas, but got {condition!r}"
        )
    name, sign, value = found.groups()
    series = part.column(name, option)
    if sign not in COMPARE:
        wanted = [text.strip() for text in value.split(",")]
        chosen = np.isin(np.array([str(text) for text in as_texts(series)], dtype=object), wanted)
        return ~chosen if sign == "!=" else chosen
    try:
        limit = float(value)
    except ValueError:
        raise InputError(f"{option}: {sign} compares numbers, but {condition!r} has {value!r}; = takes texts") from None
    numbers = as_numbers(series)
    if odd := int(np.isnan(numbers).sum()):
        raise InputError(f"{option}: {sign} compares numbers, but {odd} rows of column {name!r} hold none")
    chosen = np.asarray(COMPARE[sign](numbers, limit))
    return chosen


def set_apart(part: Part, condition: str, notes: list[str]) -> dict[str, Part]:
    """The rows that fulfil it as the part "test", and the others. Raises InputError where either would be empty."""
    chosen = matching(part, condition, "test")
    if chosen.all() or not chosen.any():
        which = "every row" if chosen.all() else "no row"
        raise InputError(f"test {condition!r} is true of {which} of {len(part)}: a part of them is held out to test on")
    notes.append(f"test: the rows with {condition}, {int(chosen.sum())} of {len(part)}")
    return {"train": part.take(np.flatnonzero(~chosen)), "test": part.take(np.flatnonzero(chosen))}
