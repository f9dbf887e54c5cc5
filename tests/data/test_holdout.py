from collections.abc import Callable
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.data.holdout import hold_out
from osler.data.parts import Part
from osler.data.task import infer_task
from osler.errors import InputError


def split(frame: pd.DataFrame, **options: object) -> dict[str, Part]:
    targets = frame[["t"]]
    part = Part(frame.drop(columns="t"), targets)
    settings = {"group": None, "time": None, "seed": 0, **options}
    return hold_out({"all": part}, infer_task(targets), [], **settings)


def rows_of(parts: dict[str, Part]) -> dict[str, list[int]]:
    return {name: [int(row) for row in part.rows] for name, part in parts.items()}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=12, max_size=120), st.integers(0, 99))
def test_parts_are_disjoint_complete_and_stratified(labels: list[str], seed: int) -> None:
    labels = [*labels, "a", "a", "b", "b", "c", "c"]
    frame = pd.DataFrame({"a": range(len(labels)), "t": labels})
    rows = rows_of(split(frame, seed=seed))
    assert sorted(chain(*rows.values())) == list(range(len(labels)))
    for name in "abc":
        held = sum(labels[row] == name for row in rows["test"])
        assert abs(held - 0.2 * labels.count(name)) <= 1
        assert any(labels[row] == name for row in rows["train"])
    assert rows == rows_of(split(frame, seed=seed))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["p", "q", "r", "s", None]), min_size=10, max_size=80), st.integers(0, 99))
def test_groups_stay_together(names: list[str | None], seed: int) -> None:
    names = [*names, "p", "q", "r"]
    frame = pd.DataFrame({"g": names, "t": np.arange(len(names)) / 7})
    parts = split(frame, group="g", seed=seed)
    sides = [{str(names[row]) for row in rows} for rows in rows_of(parts).values()]
    assert len(sides) == 3
    assert not sides[0] & sides[1]
    assert not sides[1] & sides[2]
    assert not sides[0] & sides[2]
    assert all("g" not in part.inputs.columns for part in parts.values())


@pytest.mark.parametrize(
    "days",
    [
        pd.date_range("2021-01-01", periods=40),
        pd.date_range("2021-01-01", periods=40).strftime("%d.%m.%Y"),
        np.arange(1900, 1940),
    ],
)
def test_later_rows_are_held_out(days: object) -> None:
    order = np.random.default_rng(0).permutation(40)
    frame = pd.DataFrame({"day": np.asarray(days)[order], "t": np.arange(40) / 7})
    rows = {name: order[numbers] for name, numbers in rows_of(split(frame, time="day")).items()}
    assert {name: len(numbers) for name, numbers in rows.items()} == {"train": 26, "validation": 6, "test": 8}
    assert max(rows["train"]) < min(rows["validation"])
    assert max(rows["validation"]) < min(rows["test"])


def test_given_parts_stay(ready: Callable, table: Callable) -> None:
    frame = table()
    part, other = Part(frame[["a", "b"]], frame[["t"]]), Part(frame[["a", "b"]][:7], frame[["t"]][:7])
    notes: list[str] = []
    task = infer_task(frame[["t"]])
    got = hold_out({"train": part, "test": other}, task, notes, group=None, time=None, seed=0)
    assert got["test"] is other
    assert len(got["train"]) + len(got["validation"]) == 60
    assert notes == [
        "split at random, every class in its share (train and test as given): 51 train, 9 validation, 7 test"
    ]


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ({"g": "one"}, {"group": "g"}, "group column 'g' holds 1 different groups in 60 rows: a split by groups needs"),
        ({"g": ["p", "q"] * 30}, {"group": "g"}, "group column 'g' holds 2 different groups in 60 rows"),
        ({"group_name": 1}, {"group": "group"}, "unknown column for group 'group'; did you mean 'group_name'?"),
        ({"d": 1}, {"group": "d", "time": "d"}, "a split goes by group or by time, not both, but got group 'd' and"),
        ({"d": "x"}, {"time": "d"}, "time column 'd' holds 'x' in row 0: every row needs a date or a number"),
        (
            {"d": [*pd.date_range("2021", periods=59), pd.NaT]},
            {"time": "d"},
            "time column 'd' holds None in row 59: every row needs a date or a number",
        ),
        ({"d": [np.inf] + [1] * 59}, {"time": "d"}, "time column 'd' holds 'inf' in row 0"),
        ({"d": 1}, {"time": "day"}, "unknown column for time 'day'"),
    ],
)
def test_columns_that_cannot_split(
    ready: Callable, table: Callable, column: dict[str, object], options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as error:
        ready(table(**column), "t", **options)
    assert str(error.value).startswith(message)


def test_rows_without_a_group_are_said(ready: Callable, table: Callable) -> None:
    _, notes = ready(table(g=["p", "q", "r", None] * 15), "t", group="g")
    assert "15 rows have no group in 'g': they stay together, as a group of their own" in notes


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_rows(ready: Callable, count: int) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "t": [0.5, 1.5]})[:count]
    with pytest.raises(InputError, match=r"2 rows are too few|always 0\.5"):
        ready(frame, "t")
