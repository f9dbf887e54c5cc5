"""Checks of the numbers that a user gives as options of a building block."""

import math

from osler.errors import InputError


def finite(name: str, value: float) -> float:
    """The value itself; InputError unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} must be a finite number, got {value!r}")
    return value


def positive(name: str, value: float) -> float:
    """The value itself; InputError unless it is a finite number above 0."""
    if finite(name, value) <= 0:
        raise InputError(f"{name} must be above 0, got {value!r}")
    return value


def nonnegative(name: str, value: float) -> float:
    """The value itself; InputError unless it is a finite number of at least 0."""
    if finite(name, value) < 0:
        raise InputError(f"{name} must be at least 0, got {value!r}")
    return value


def fraction(name: str, value: float) -> float:
    """The value itself; InputError unless it lies between 0 and 1 (both included)."""
    if not 0 <= finite(name, value) <= 1:
        raise InputError(f"{name} must lie between 0 and 1, got {value!r}")
    return value


def whole(name: str, value: int, least: int = 1) -> int:
    """The value itself; InputError unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return value


def dropped(name: str, value: float) -> float:
    """The part that dropout leaves out, itself; InputError unless it is at least 0 and below 1."""
    if not 0 <= finite(name, value) < 1:
        raise InputError(f"{name} must be at least 0 and below 1, got {value!r}")
    return value
