import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from osler.data.values import as_dates, as_numbers, as_texts, date_format, in_days, refuse_collections, text_codes
from osler.errors import InputError


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        ([1, 2], [1, 2]),
        (["1", " 2.5 ", "n/k", None], [1, 2.5, np.nan, np.nan]),
        ([np.inf, -np.inf, "inf", 3], [np.nan, np.nan, np.nan, 3]),
        ([decimal.Decimal("1.5"), 2**70, True], [1.5, 2.0**70, 1]),
        ([1 + 2j, "1"], [np.nan, np.nan]),
        ([[1], (1, 2), {}], [np.nan] * 3),
        (pd.to_datetime(["2020-01-01", None]), [np.nan, np.nan]),
        (pd.array([1, None], dtype="Int64"), [1, np.nan]),
        (pd.array([True, None], dtype="boolean"), [1, np.nan]),
    ],
)
def test_numbers_of_any_cells(cells: object, numbers: list[float]) -> None:
    np.testing.assert_array_equal(as_numbers(pd.Series(cells)), numbers)


def test_texts_name_equal_values_alike() -> None:
    cells = pd.Series([1, 1.0, " 1 ", 1.5, True, None, np.nan, np.inf, 2**60 + 1], dtype=object)
    assert as_texts(cells) == ["1", "1", "1", "1.5", "True", None, None, "inf", str(2**60 + 1)]
    assert as_texts(pd.Series([1.0, 2.0, np.nan])) == ["1", "2", None]


@pytest.mark.parametrize(
    ("cells", "form", "first"),
    [
        (["2021-03-04", "2021-03-05"], "ISO8601", "2021-03-04"),
        (["2021-03-04T10:20:30", "2021-03-05T00:00:00"], "ISO8601", "2021-03-04 10:20:30"),
        (["2021-03-04T01:00:00+02:00"] * 2, "ISO8601", "2021-03-03 23:00"),
        (["4.3.2021", "25.12.2021"], "%d.%m.%Y", "2021-03-04"),
        (["04.03.2021 10:20", "25.12.2021 00:00"], "%d.%m.%Y %H:%M", "2021-03-04 10:20"),
        (["3/4/2021", "12/25/2021"], "%m/%d/%Y", "2021-03-04"),
        (["4/3/2021", "25/12/2021"], "%d/%m/%Y", "2021-03-04"),
        ([datetime.date(2021, 3, 4), datetime.date(2021, 3, 5)], "ISO8601", "2021-03-04"),
    ],
)
def test_dates_are_recognised_by_their_format(cells: list[object], form: str, first: str) -> None:
    series = pd.Series(cells, dtype=object)
    assert date_format(series) == form
    assert as_dates(series, form).iloc[0] == pd.Timestamp(first)


@pytest.mark.parametrize("cells", [["1.5", "2.5"], ["192.168.0.1"] * 3, ["1.2.3"], ["a"], [20210304], [True], []])
def test_what_is_no_date(cells: list[object]) -> None:
    assert date_format(pd.Series(cells)) is None
    assert as_dates(pd.Series(cells, dtype=object), "%d.%m.%Y").isna().all()


def test_one_slip_in_many_dates_is_no_date() -> None:
    series = pd.Series([f"2020-01-{1 + i % 28:02d}" for i in range(200)])
    series[5] = "soon"
    assert date_format(series) == "ISO8601"
    assert as_dates(series, "ISO8601").isna().sum() == 1


def test_days_since_1970() -> None:
    days = in_days(pd.Series(pd.to_datetime(["1970-01-02 12:00", None])))
    np.testing.assert_array_equal(days, [1.5, np.nan])


@pytest.mark.parametrize("cell", [[1], (1,), {"a": 1}, {1}, np.ones(2)])
def test_a_cell_is_one_value(cell: object) -> None:
    with pytest.raises(InputError, match=r"column 'm' holds a \w+ in a cell, .*: leave it out"):
        refuse_collections(pd.Series([1, cell], dtype=object), "column 'm'", "leave it out")
    refuse_collections(pd.Series([1, "a", None], dtype=object), "column 'm'", "")


@pytest.mark.parametrize(
    "series",
    [
        pd.Series(["b", " a ", None, "b"], dtype="str"),
        pd.Series(["b", 1, True, 1.0, None, "1"], dtype=object),
        pd.Series([1.0, np.nan, -0.0, 0.0, 2.5]),
        pd.Series([3, 1, 3]),
        pd.Series([True, None, False], dtype="boolean"),
        pd.Categorical(["x", None, "y", "x"]),
        pd.Series([], dtype="str"),
    ],
)
def test_codes_of_texts_are_the_texts(series: pd.Series) -> None:
    series = pd.Series(series)
    codes, texts = text_codes(series)
    assert [texts[code] for code in codes] == as_texts(series)
