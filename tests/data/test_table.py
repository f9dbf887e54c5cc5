import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.data import memory
from osler.data.frames import tidy
from osler.data.table import Surprises, TableEncoder
from osler.errors import InputError


@pytest.fixture
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.normal(40, 9, 50),
            "sex": random.choice(["f", "m"], 50),
            "day": pd.date_range("2021-01-01", periods=50),
            "code": [f"u{i}" for i in range(50)],
        }
    )


def test_columns_are_found_by_name_in_any_order(frame: pd.DataFrame) -> None:
    notes: list[str] = []
    encoder = TableEncoder.fit(frame, notes)
    assert encoder.left_out == ["code"]
    assert encoder.features[:3] == ["age", "sex = f", "sex = m"]
    matrix = encoder.encode(frame, notes)
    assert matrix.shape == (50, len(encoder.features))
    other = frame[["day", "sex", "age"]].assign(extra="never asked for")
    assert encoder.encode(other, notes).tobytes() == matrix.tobytes()
    assert notes == ["column 'code' left out: 50 different values in 50 training rows, like an identifier"]


def test_a_missing_column_is_named_with_the_nearest(frame: pd.DataFrame) -> None:
    encoder = TableEncoder.fit(frame, [])
    with pytest.raises(InputError) as error:
        encoder.encode(frame.rename(columns={"age": "Agee", "day": "q"}), [])
    assert str(error.value) == "the data lacks 2 of the columns trained on: 'age' (is it 'Agee'?), 'day'"


def test_values_without_a_meaning_are_counted(frame: pd.DataFrame) -> None:
    encoder = TableEncoder.fit(frame, [])
    notes: list[str] = []
    odd = pd.DataFrame({"age": ["old", None], "sex": ["x", "f"], "day": ["soon", "2021-01-01"]})
    encoded = encoder.encode(odd, notes)
    assert notes == [
        "column 'age': 1 of 2 values are no finite numbers and count as missing ('old' …)",
        "column 'sex': 1 of 2 values were never seen in training ('x' …)",
        "column 'day': 1 of 2 values are no dates and count as missing ('soon' …)",
    ]
    assert np.isfinite(encoded).all()
    assert encoded[0, 1:3].tolist() == [0, 0]
    notes.clear()
    encoder.encode(frame.assign(age=None), notes)
    assert notes == ["column 'age': 50 values missing, never so in training: median"]


def test_surprises_are_counted_over_several_frames(frame: pd.DataFrame) -> None:
    encoder = TableEncoder.fit(frame, [])
    surprises = Surprises(encoder.columns)
    for sexes in (["f"] * 50, ["x"] * 10 + ["m"] * 40, ["y"] * 50):
        surprises.add(frame.assign(sex=sexes))
    notes: list[str] = []
    surprises.tell(notes)
    assert notes == ["column 'sex': 60 of 150 values were never seen in training ('x' …)"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [({"a": [7] * 9}, "column 'a' left out: always 7"), ({}, "the table has only targets")],
)
def test_nothing_to_learn_from(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as error:
        TableEncoder.fit(pd.DataFrame(columns), [])
    assert str(error.value) == f"no column is left to learn from ({reason})"


def test_more_features_than_memory(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = TableEncoder.fit(frame, [])
    monkeypatch.setattr(memory, "memory_limit", lambda: 100)
    with pytest.raises(InputError, match="a table of 50 rows and 11 features needs about"):
        encoder.encode(frame, [])


def test_description(frame: pd.DataFrame) -> None:
    frame.loc[3, "age"] = np.nan
    described = TableEncoder.fit(frame, []).describe(frame)
    assert [(d["name"], d["kind"], d["missing"]) for d in described] == [
        ("age", "number", 1),
        ("sex", "category", 0),
        ("day", "date", 0),
    ]
    assert described[0]["summary"].endswith(f"mean {frame['age'].mean():.4g}")
    assert described[1]["summary"] == "2 values: f, m"
    assert described[2]["summary"] == "2021-01-01 … 2021-02-19"


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.dates(),
    st.sampled_from(["", "a", "b"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CELLS, min_size=2, max_size=12), st.lists(CELLS, min_size=1, max_size=6))
def test_any_cells_give_finite_numbers_or_a_plain_error(train: list[Any], new: list[Any]) -> None:
    def table(cells: list[Any]) -> pd.DataFrame:
        return tidy(pd.DataFrame({"x": pd.Series(cells, dtype=object), "y": range(len(cells))}), "it")

    notes: list[str] = []
    try:
        encoder = TableEncoder.fit(table(train), notes)
    except InputError:
        return
    record = json.loads(json.dumps(encoder.to_json(), ensure_ascii=False, allow_nan=False))
    again = TableEncoder.from_json(record)
    for cells in (train, new):
        encoded = encoder.encode(table(cells), notes)
        assert np.isfinite(encoded).all()
        assert again.encode(table(cells), []).tobytes() == encoded.tobytes()
    assert len(encoder.describe(table(train))) == len(encoder.columns)
