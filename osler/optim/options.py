"""Checks of the numbers that a user gives to an optimizer, a schedule or a clip."""

import math

from osler.errors import InputError


def positive(name: str, value: float) -> float:
    """The value itself; InputError unless it is a finite number above 0."""
    if not _is_number(value) or value <= 0:
        raise InputError(f"{name} must be a finite number above 0, got {value!r}")
    return value


def nonnegative(name: str, value: float) -> float:
    """The value itself; InputError unless it is a finite number of at least 0."""
    if not _is_number(value) or value < 0:
        raise InputError(f"{name} must be a finite number of at least 0, got {value!r}")
    return value


def below_one(name: str, value: float) -> float:
    """The value itself; InputError unless it lies in [0, 1)."""
    if not _is_number(value) or not 0 <= value < 1:
        raise InputError(f"{name} must be at least 0 and below 1, got {value!r}")
    return value


def count(name: str, value: int) -> int:
    """The value itself; InputError unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
