from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osler.data.prepare import prepare
from osler.data.sources import open_source
from osler.errors import InputError

RANDOM = np.random.default_rng(0)


def test_parts_and_what_was_said(ready: Callable, table: Callable) -> None:
    prepared, notes = ready(table(), "t")
    assert {name: len(part) for name, part in prepared.parts.items()} == {"train": 39, "validation": 9, "test": 12}
    assert notes == ["split at random, every class in its share: 39 train, 9 validation, 12 test"]
    again, _ = ready(table(), "t")
    assert torch.equal(prepared.parts["train"].inputs, again.parts["train"].inputs)
    other, _ = ready(table(), "t", seed=1)
    assert not torch.equal(prepared.parts["train"].inputs, other.parts["train"].inputs)


def test_rows_without_a_target_are_dropped_and_counted(ready: Callable, table: Callable) -> None:
    frame = table(t=["u", None, "v"] * 20)
    prepared, notes = ready(frame, "t")
    assert notes[0] == "20 of 60 rows dropped: their target is missing"
    kept = sorted(int(row) for part in prepared.raw.values() for row in part.rows)
    assert kept == [i for i in range(60) if i % 3 != 1]


def test_given_parts_without_their_targets(tmp_path: Any, ready: Callable, table: Callable) -> None:
    table().to_csv(tmp_path / "train.csv", index=False)
    table(t=[None] * 60).to_csv(tmp_path / "test.csv", index=False)
    prepared, notes = ready(tmp_path, "t")
    assert "60 of 60 rows of the test part dropped: their target is missing" in notes
    assert len(prepared.parts["test"]) == 12
    assert notes[-1].startswith("split at random, every class in its share (train as given): 39 train")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.floats(-1e300, 1e300) | st.just(np.inf) | st.none(),
    text=st.text(min_size=1, max_size=9) | st.none(),
    target=st.floats(-5, 5),
    seed=st.integers(0, 5),
)
def test_nothing_is_learned_from_held_out_rows(
    table: Callable, number: float | None, text: str | None, target: float, seed: int
) -> None:
    frame = table(
        day=pd.date_range("2021", periods=60).strftime("%Y-%m-%d"),
        slips=pd.Series([f"{i / 7:.3f}" for i in range(60)], dtype=object),
        y=RANDOM.normal(size=60),
    )

    def fitted(frame: pd.DataFrame) -> tuple[Any, list[int]]:
        prepared = prepare(open_source(frame, "y"), [], seed=seed)
        record = prepared.preprocess.to_json()
        record["targets"]["task"].pop("why")
        return record, [int(row) for name in ("validation", "test") for row in prepared.raw[name].rows]

    before, held = fitted(frame)
    other = frame.copy()
    other["a"] = other["a"].astype(object)
    for column, value in {"a": number, "b": text, "t": text, "day": text, "slips": text, "y": target}.items():
        other.loc[held, column] = value
    after, same = fitted(other)
    assert same == held
    assert after == before


@pytest.mark.parametrize("scale", [True, False])
def test_what_was_given_stays_as_it_is(ready: Callable, table: Callable, scale: bool) -> None:
    frame = table(
        d=pd.date_range("2021", periods=60, tz="UTC"), g=["p", "q", "r"] * 20, w=1.0, c=pd.Categorical(["k", " "] * 30)
    )
    frame.index = RANDOM.permutation(60)
    frame.columns = pd.Index([*frame.columns[:-1], 7])
    before = frame.copy(deep=True)
    ready(frame, "t", group="g", weight="w", drop=["b"], scale=scale)
    pd.testing.assert_frame_equal(frame, before)
    for x in (RANDOM.normal(size=(60, 3)), RANDOM.integers(0, 9, (60, 3)), np.ones((60, 4, 4), np.uint8)):
        y = RANDOM.normal(size=60)
        x_before, y_before = x.copy(), y.copy()
        prepared, _ = ready((x, y), scale=scale)
        for part in prepared.parts.values():
            part.inputs.add_(1)
            part.targets.add_(1)
        np.testing.assert_array_equal(x, x_before)
        np.testing.assert_array_equal(y, y_before)


def test_dropped_columns_are_gone(ready: Callable, table: Callable) -> None:
    prose = [" ".join(f"word{i * j}" for j in range(9)) for i in range(60)]
    prepared, _ = ready(table(story=prose), "t", drop=["story", "b", "story"])
    assert prepared.preprocess.inputs.features == ["a"]


ODD_TABLES: dict[str, Any] = {
    "mixed objects": {"m": pd.Series([1, "a", 2.5, None, True] * 12, dtype=object)},
    "nullable integers": {"m": pd.array([1, None] * 30, dtype="Int64")},
    "nullable truths": {"m": pd.array([True, False, None] * 20, dtype="boolean")},
    "arrow": {"m": pd.array([1.5, None, 2.5] * 20, dtype="double[pyarrow]")},
    "categories": {"m": pd.Categorical(RANDOM.choice([1, 2, 3], 60))},
    "time zones": {"m": pd.date_range("2020", periods=60, tz="Europe/Berlin")},
    "mixed zones": {"m": ["2020-01-01T00:00:00+01:00", "2020-02-01T00:00:00Z"] * 30},
    "periods": {"m": pd.period_range("2020", periods=60, freq="D")},
    "durations": {"m": pd.to_timedelta(RANDOM.integers(0, 99, 60), unit="h")},
    "intervals": {"m": pd.cut(RANDOM.normal(size=60), 4)},
    "huge integers": {"m": 2**60 + np.arange(60)},
    "integers beyond 64 bits": {"m": [2**70 + i for i in range(60)]},
    "largest floats": {"m": [1.7e308, -1.7e308] * 30},
    "smallest floats": {"m": [5e-324, 0.0] * 30},
    "infinities": {"m": [np.inf, -np.inf, 1.0] * 20},
    "complex": {"m": RANDOM.normal(size=60) + 1j},
    "bytes": {"m": [b"a", b"b"] * 30},
    "blanks": {"m": ["", "a", "  "] * 20},
    "mostly missing": {"m": [None] * 59 + [1.0]},
    "once known text": {"m": [None] * 59 + ["k"]},
}


@pytest.mark.parametrize("name", ODD_TABLES)
def test_odd_columns_become_finite_numbers(ready: Callable, table: Callable, name: str) -> None:
    prepared, _ = ready(table(**ODD_TABLES[name]), "t")
    for part in prepared.parts.values():
        assert torch.isfinite(part.inputs).all()
        assert part.inputs.dtype == torch.float32


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"m": np.nan}, {}, "nothing but missing values in column 'm': leave it out with --drop 'm'"),
        (
            {"m": None, "n": None},
            {},
            "nothing but missing values in column 'm', 'n': leave it out with --drop 'm' --drop 'n'",
        ),
        ({"t": "u"}, {}, "target 't' is 'u' in all 60 rows: at least two classes are needed"),
        ({"t": 1.5}, {}, "target 't' is always 1.5: there is nothing to learn"),
        ({"t": None}, {}, "target 't': empty in all 60 rows"),
        ({"t": [f"u{i}" for i in range(60)]}, {}, "target 't' has 60 classes in 60 rows: at least two rows per class"),
        ({}, {"drop": ["bb"]}, "unknown column for drop 'bb'; did you mean 'b'?"),
        ({}, {"drop": ["a", "b"]}, "no column is left to learn from (the table has only targets)"),
        ({"w": -1.0}, {"weight": "w"}, "weight column 'w' holds '-1' in row 0: every row needs a number >= 0"),
        ({"w": [1.0] * 59 + [None]}, {"weight": "w"}, "weight column 'w' holds None in row 59"),
        ({"w": "a"}, {"weight": "w"}, "weight column 'w' holds 'a' in row 0"),
        ({"w": 0}, {"weight": "w"}, "weight column 'w' is 0 in every row: nothing would count"),
        ({}, {"weight": "w"}, "unknown column for weight 'w'"),
        ({}, {"task": "regression"}, "target 't' holds 'no' (and the like, in 60 rows), but a regression target needs"),
        ({}, {"task": "clasification"}, "unknown task 'clasification'; did you mean 'classification'?"),
        ({"m": [[1]] * 60}, {}, "column 'm' holds a list in a cell, but a cell is one value: leave it out with --drop"),
        (
            {"d": range(60), "t": ["u"] * 50 + ["v"] * 10},
            {"time": "d"},
            "after the split all 39 training rows are of class 'u': split another way",
        ),
    ],
)
def test_bad_tables_get_one_clear_line(
    ready: Callable, table: Callable, columns: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        ready(table(**columns), "t", **options)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_class_without_training_rows_is_said(ready: Callable, table: Callable) -> None:
    _, notes = ready(table(d=range(60), t=["u", "v"] * 25 + ["w"] * 10), "t", time="d")
    assert "no training row has the class 'w': it cannot be learned" in notes


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("target", [["u", "v", "u"], [0.5, 1.5, 2.5]])
def test_a_handful_of_rows_gets_one_clear_line(ready: Callable, count: int, target: list[Any]) -> None:
    with pytest.raises(InputError, match=r"no rows|at least|nothing to learn|no column is left"):
        ready(pd.DataFrame({"a": [1.0, 2.0, 3.0], "t": target})[:count], "t")


def test_four_rows_are_enough(ready: Callable) -> None:
    prepared, _ = ready(pd.DataFrame({"a": [1.0, 2, 3, 4], "t": list("uvuv")}), "t")
    assert sorted(prepared.parts["train"].targets.tolist()) == [[0], [1]]
    assert [len(prepared.parts[name]) for name in ("validation", "test")] == [1, 1]


NAMES = st.sampled_from(["a", "b", "target", "", "ä", 0, 1, None, ("x", 1)])
CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.dates(), st.lists(st.none())
)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), names=st.lists(NAMES, min_size=1, max_size=4), rows=st.integers(0, 9))
def test_any_table_works_or_gets_one_clear_line(data: st.DataObject, names: list[Any], rows: int) -> None:
    kinds = st.sampled_from([CELLS, st.floats(), st.integers(0, 2), st.sampled_from(["p", "q"])])
    columns = [data.draw(st.lists(data.draw(kinds), min_size=rows, max_size=rows)) for _ in names]
    frame = pd.DataFrame({i: pd.Series(cells, dtype=object) for i, cells in enumerate(columns)})
    frame.columns = pd.Index(names, dtype=object, tupleize_cols=False)
    try:
        prepared = prepare(open_source(frame, data.draw(st.sampled_from([None, -1, "a", "b", "0,1"]))), [])
    except InputError:
        return
    for part in prepared.parts.values():
        assert torch.isfinite(part.inputs).all()
        assert torch.isfinite(part.targets.float()).all()
