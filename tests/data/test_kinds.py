from typing import Any

import numpy as np
import pandas as pd
import pytest

from osler.data.columns import Category, Date, Number, Presence
from osler.data.frames import tidy
from osler.data.kinds import fit_column
from osler.errors import InputError

RANDOM = np.random.default_rng(0)


def fit(values: Any) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return fit_column(tidy(pd.DataFrame({"x": values}), "it")["x"], notes), notes


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RANDOM.normal(size=60), Number),
        (RANDOM.integers(0, 5, 60), Number),
        ([f"{i / 7:.3f}" for i in range(60)], Number),
        ([3.0, None] * 30, Number),
        (RANDOM.integers(0, 9, 60).astype(object), Number),
        (pd.array([None, *RANDOM.integers(0, 99, 59)], dtype="Int64"), Number),
        (RANDOM.choice(["a", "b"], 60), Category),
        ([True, False] * 30, Category),
        ([True, None, False] * 20, Category),
        (pd.Categorical(RANDOM.choice([1, 2], 60)), Category),
        ([1, "a", 2.5, None, True] * 12, Category),
        ([f"v{i % 60}" for i in range(300)], Category),
        (pd.date_range("2020", periods=60, tz="Asia/Tokyo"), Date),
        ([f"{1 + i % 28}.{1 + i % 12}.2020" for i in range(60)], Date),
        ([f"u{i}" if i % 3 else None for i in range(60)], Presence),
        ([f"u{i}" for i in range(60)], type(None)),
        (["k"] * 60, type(None)),
        ([7] * 60, type(None)),
        ([None] * 60, type(None)),
        ([np.inf, -np.inf] * 30, type(None)),
        (RANDOM.permutation(60), type(None)),
        (2**60 + np.arange(60), type(None)),
        ([{1: i}.__repr__() for i in range(60)], type(None)),
    ],
)
def test_kinds(values: Any, kind: type) -> None:
    assert type(fit(values)[0]) is kind


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([f"u{i}" for i in range(60)], "left out: 60 different values in 60 training rows, like an identifier"),
        (
            [f"u{i}" if i % 3 else None for i in range(60)],
            "40 different values in 40 training rows, like an identifier; only whether it is known is used",
        ),
        (["k"] * 60, "left out: always 'k'"),
        ([7] * 60, "left out: always 7"),
        ([None] * 60, "left out: empty in training rows"),
        ([np.inf] * 60, "left out: no number in the training rows"),
        (np.arange(60), "left out: it numbers the rows (an identifier says nothing about new rows)"),
        (
            [f"{i / 7:.2f}" for i in range(58)] + ["n/k", "oops"],
            "2 of 60 values are no finite numbers ('n/k' …) and count as missing",
        ),
        ([1.5, 2.5, np.inf], "1 of 3 values are no finite numbers ('inf' …) and count as missing"),
        ([f"{1 + i % 28}.{1 + i % 12}.2020" for i in range(60)], "dates written as %d.%m.%Y"),
    ],
)
def test_what_is_not_plain_to_see_is_said(values: Any, said: str) -> None:
    (note,) = fit(values)[1]
    assert note.removeprefix("column 'x'").lstrip(": ") == said


@pytest.mark.parametrize("name", ["id", "PassengerId", "CUSTOMER_ID", "row index", "ID"])
def test_identifiers_by_their_name(name: str) -> None:
    numbers = pd.Series(RANDOM.permutation(10**6)[:60] + 10**6, name=name)
    notes: list[str] = []
    assert fit_column(numbers, notes) is None
    assert isinstance(fit_column(numbers.rename("paid"), notes), Number)
    assert isinstance(fit_column(numbers.rename(name) // 10**5, notes), Number)  # repeated: no identifier


def test_prose_is_refused_with_the_cure() -> None:
    prose = [" ".join(f"word{i * j}" for j in range(9)) for i in range(1, 61)]
    with pytest.raises(InputError) as error:
        fit(prose)
    assert str(error.value) == (
        "column 'x' holds free text (9 words a row on average): a network for tables reads numbers, categories and "
        "dates; leave it out with --drop 'x', or the others: a text alone is read as text"
    )


def test_cells_of_several_values_are_refused_with_the_cure() -> None:
    with pytest.raises(InputError, match=r"column 'x' holds a list in a cell, .* leave it out with --drop 'x'"):
        fit([[1, 2]] * 60)
