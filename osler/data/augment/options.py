"""Checks of what users give as options of an augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from osler.errors import InputError, unknown_name


def number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """The value itself; InputError, which names the option as "flip: probability", unless it lies between the two."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or math.isinf(value):
        rule = f"a finite number from {low:g} on" if math.isinf(high) else f"between {low:g} and {high:g}"
        rule = "a finite number" if math.isinf(low) else rule
        raise InputError(f"{name} must be {rule}, but got {value!r}")
    return value


def interval(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> tuple[float, float]:
    """Two numbers in order; InputError unless both lie between low and high."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"{name} must be two numbers, the lowest and the highest, but got {value!r}")
    first, last = (number(name, end, low, high) for end in value)
    if first > last:
        raise InputError(f"{name} must be two numbers in order, but got {first:g} before {last:g}")
    return first, last


def whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """The value itself; InputError unless it is a whole number from low on (to high)."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        rule = f"{low} or more" if high is None else f"{low} to {high}"
        raise InputError(f"{name} must be a whole number, {rule}, but got {value!r}")
    return value


def one_of(name: str, value: object, known: Sequence[str]) -> str:
    """The value itself; InputError that names the nearest one unless it is known."""
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} must be {', '.join(map(repr, known))}; {unknown_name('one', value, known)}")
    return value
