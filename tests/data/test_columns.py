import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from osler.data.columns import Category, Column, Date, Number, Presence, from_json, to_json


def series(values: Any) -> pd.Series:
    return pd.Series(values, name="x")


def test_numbers_equal_scikit_learn() -> None:
    train = np.random.default_rng(0).normal(3, 2, 50)
    train[[4, 9]] = np.nan
    new = np.array([0.0, np.nan, 7.5])
    oracle = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(train[:, None])
    column = Number.fit(series(train))
    got = column.encode(series(new))
    np.testing.assert_allclose(got[:, 0], oracle.transform(new[:, None])[:, 0], rtol=1e-6)
    assert got[:, 1].tolist() == [0, 1, 0]
    assert column.features() == ["x", "x is missing"]
    assert got.dtype == np.float32


def test_skewed_numbers_are_read_on_a_log_scale() -> None:
    train = np.exp(np.random.default_rng(0).normal(0, 3, 200))
    column = Number.fit(series(train))
    assert column.log
    oracle = StandardScaler().fit(np.log1p(train)[:, None])
    np.testing.assert_allclose(
        column.encode(series(train))[:, 0], oracle.transform(np.log1p(train)[:, None])[:, 0], atol=1e-6
    )
    assert np.isfinite(column.encode(series([-5.0, np.inf, 1e308]))).all()


@pytest.mark.parametrize("values", [[1.7e308, -1.7e308], [1e-320, 0.0], [3.0, np.nan], [1e300, 5.0, -2.0]])
def test_numbers_of_any_size_stay_finite(values: list[float]) -> None:
    column = Number.fit(series(values))
    assert np.isfinite(column.encode(series([*values, 0.0, 1.7e308, -np.inf]))).all()


@pytest.mark.parametrize("rare", [True, False])
def test_categories_equal_scikit_learn(rare: bool) -> None:
    train = ["b", "a", "b", "a", "c", "c", *(["once", "only"] if rare else [])]
    new = ["a", "never", "c", "b"]
    oracle = OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist", sparse_output=False)
    oracle.fit(np.array(train, dtype=object)[:, None])
    column = Category.fit(series(train))
    np.testing.assert_array_equal(column.encode(series(new)), oracle.transform(np.array(new, dtype=object)[:, None]))
    assert column.features() == ["x = a", "x = b", "x = c"] + ["x is rare"] * rare


def test_a_missing_category() -> None:
    gaps = Category.fit(series(["a", None, "a", "b", "b"]))
    assert gaps.features() == ["x = a", "x = b", "x is missing"]
    assert gaps.encode(series([None, "a"])).tolist() == [[0, 0, 1], [1, 0, 0]]
    whole = Category.fit(series(["a", "a", "b", "b"]))
    assert whole.encode(series([None, "b"])).tolist() == [[0, 0], [0, 1]]


def test_the_most_frequent_categories_are_kept() -> None:
    column = Category.fit(series([f"v{i:03d}" for i in range(120) for _ in range(2 + (i == 119))]))
    assert len(column.values) == 100
    assert "v119" in column.values
    assert column.rare


def test_categories_written_as_numbers_meet_their_numbers() -> None:
    column = Category.fit(series(["1", "1", "2", "2", "x", "x"]))
    assert column.encode(series([1.0, 2.0])).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_dates_by_hand() -> None:
    train = series(pd.to_datetime(["2021-01-01", "2021-01-03"]))
    column = Date.fit(train)
    got = column.encode(series(pd.to_datetime(["2021-04-06 06:00", None])))  # a Tuesday in the fourth month
    days, *circles, missing = got[0]
    assert days == pytest.approx((95.25 - 1) / 1)
    np.testing.assert_allclose(circles, [1, 0, np.sin(2 * np.pi / 7), np.cos(2 * np.pi / 7), 1, 0], atol=1e-6)
    assert missing == 0
    assert got[1].tolist() == [0] * 7 + [1]
    assert len(column.features()) == 8


def test_dates_keep_their_format() -> None:
    column = Date.fit(series(["1.2.2021", "25.12.2021", None]))
    late, other = column.encode(series(["26.12.2021", "2021-12-26"]))
    assert late[-1] == 0
    assert other[-1] == 1


def test_presence() -> None:
    column = Presence.fit(series(["a", None]))
    assert column.encode(series([None, "z"])).tolist() == [[0], [1]]
    assert column.features() == ["x is known"]


ANY_NUMBER = st.floats() | st.integers(-(2**62), 2**62).map(float) | st.none()
ANY_TEXT = st.text(max_size=4) | st.sampled_from(["a", "b", "ä\0", "1", "nan", "None"]) | st.none()


def check_round_trip(column: Column, new: pd.Series) -> None:
    again = from_json(json.loads(json.dumps(to_json(column), ensure_ascii=False, allow_nan=False)))
    assert again == column
    encoded = column.encode(new)
    assert again.encode(new).tobytes() == encoded.tobytes()
    assert encoded.dtype == np.float32
    assert encoded.shape == (len(new), len(column.features()))
    assert np.isfinite(encoded).all()


@given(train=st.lists(ANY_NUMBER, min_size=1, max_size=12), new=st.lists(ANY_NUMBER, max_size=6))
def test_numbers_from_json_are_the_same_to_the_bit(train: list[float | None], new: list[float | None]) -> None:
    train = [*train, 1.5]
    check_round_trip(Number.fit(series(np.array(train, float))), series(np.array(new, float)))


@given(train=st.lists(ANY_TEXT, min_size=1, max_size=12), new=st.lists(ANY_TEXT, max_size=6))
def test_categories_from_json_are_the_same_to_the_bit(train: list[str | None], new: list[str | None]) -> None:
    column = Category.fit(pd.Series(train, dtype=object, name="x"))
    check_round_trip(column, pd.Series(new, dtype=object))


@settings(deadline=None)
@given(st.lists(st.datetimes() | st.none(), min_size=1, max_size=6))
def test_dates_from_json_are_the_same_to_the_bit(days: list[Any]) -> None:
    dates = series(pd.to_datetime(pd.Series([*days, pd.Timestamp(2021, 1, 1)], dtype=object)))
    check_round_trip(Date.fit(dates), dates)
