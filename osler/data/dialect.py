"""How a stranger wrote a text table: what cuts its fields, whether its first line is a header, how decimals look."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Sequence

DELIMITERS = (",", ";", "\t", "|")
# What people write for "unknown", beside what pandas knows ("", NA, NaN, null, …).
MISSING = ["?", "n.a."]


def find_delimiter(text: str) -> str:
    """The character that cuts the first lines into the same number (> 1) of fields most often."""
    lines = list(itertools.islice((line for line in io.StringIO(text) if line.strip()), 50))

    def agreement(delimiter: str) -> tuple[int, int]:
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        except csv.Error:
            return 0, 0
        width, lines_agreeing = widths.most_common(1)[0]
        return (lines_agreeing if width > 1 else 0, width)

    return max(DELIMITERS, key=agreement)


def has_header(rows: Sequence[Sequence[str]], expected: Sequence[str] = ()) -> bool:
    """Whether the first of these rows holds names, not values.

    It does if one of the `expected` names is in it, or a text above nothing but numbers. It doesn't if a field of it is
    a number or comes again further down in its column.
    """
    first, *others = rows
    if any(name in first and not is_position(name, len(first)) for name in expected):
        return True
    numbers = [i for i, cell in enumerate(first) if _is_number(cell)]
    never_named = len(numbers) > 1 and all(first[i] == str(i) for i in numbers)  # 0,1,2 … stand for the names
    value_like = bool(numbers) and not never_named
    for i, cell in enumerate(first):
        below = [row[i] for row in others if row[i] and row[i] not in MISSING]
        if cell and not _is_number(cell) and cell not in MISSING and below and all(map(_is_number, below)):
            return True
        value_like |= cell in MISSING or cell in below
    return not value_like


def has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    """1,5 for 1.5: where the comma doesn't cut fields, and no number has a point."""
    cells = [cell for row in rows[1:] for cell in row]
    with_comma, with_point = (any(re.fullmatch(rf"[-+]?\d+{mark}\d+", cell) for cell in cells) for mark in (",", r"\."))
    return with_comma and not with_point


def is_position(name: str, width: int) -> bool:
    """Whether a column may be meant by its place: 0 is the first, -1 the last."""
    return re.fullmatch(r"-?\d{1,9}", name, re.ASCII) is not None and -width <= int(name) < width


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
