import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.data.seriessource import open_series
from osler.errors import InputError


def daily(rows=20, **columns):
    times = pd.date_range("2024-01-01", periods=rows).astype(str)
    return pd.DataFrame({"date": times, **(columns or {"x": np.arange(float(rows))})})


def of(table, *arguments, **options):
    source = open_series(table, *arguments, **options)
    return source.parts["all"].inputs, source.notes


def test_all_numbers_are_forecast_unless_some_are_asked_for():
    table = daily(a=np.arange(20.0), b=np.arange(20) % 3, name=["x"] * 20)
    series, notes = of(table)
    assert (series.columns, series.targets, series.time) == (("a", "b"), 2, "date")
    assert any("no numbers, left out: name" in note for note in notes)
    series, notes = of(table, "b")
    assert (series.columns, series.targets) == (("b", "a"), 1)
    assert any("to forecast: b; looked at too: a" in note for note in notes)
    series, _ = of(table, "b", drop=["a"])
    assert series.columns == ("b",)


def test_missing_times_and_values_are_as_before_and_counted():
    table = daily(12).drop(index=[4, 5])
    table.loc[9, "x"] = np.nan
    series, notes = of(table)
    assert series.values[:, 0].tolist() == [0, 1, 2, 3, 3, 3, 6, 7, 8, 8, 10, 11]
    assert any("2 of 12 times are missing, first after 2024-01-04" in note for note in notes)
    assert any("3 missing values" in note and "value before" in note for note in notes)


def test_rows_before_a_column_begins_are_left_out():
    table = daily(10, a=np.arange(10.0), b=[np.nan] * 3 + [1.0] * 7)
    series, notes = of(table)
    assert len(series) == 7
    assert str(series.times[0])[:10] == "2024-01-04"
    assert any("first 3 rows are left out: 'b' begins after them" in note for note in notes)


def test_the_order_of_rows_means_nothing():
    table = daily(30)
    mixed, notes = of(table.sample(frac=1, random_state=1))
    np.testing.assert_array_equal(mixed.values, of(table)[0].values)
    assert any("out of order" in note for note in notes)


def test_daylight_saving_times_with_a_zone_are_regular():
    zone = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
    series, notes = of(pd.DataFrame({"time": [t.isoformat() for t in zone], "x": np.arange(72.0)}))
    assert len(series) == 72
    assert not any("missing" in note or "again" in note for note in notes)
    assert any("zone are taken as UTC" in note for note in notes)


def test_clocks_without_a_zone_jump_and_that_is_counted():
    spring = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin").tz_localize(None)
    autumn = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin").tz_localize(None)
    _, notes = of(pd.DataFrame({"time": spring.astype(str), "x": np.arange(72.0)}))
    assert any("1 of 73 times are missing, first after 2024-03-31 01:00" in note for note in notes)
    series, notes = of(pd.DataFrame({"time": autumn.astype(str), "x": np.arange(72.0)}))
    assert any("1 times come again, first 2024-10-27 02:00" in note for note in notes)
    assert len(series) == 71


def test_months_years_and_no_times_at_all(tmp_path):
    months = [f"{1949 + i // 12}-{i % 12 + 1:02}" for i in range(30)]
    (tmp_path / "m.csv").write_text("Month,n\n" + "".join(f'"{m}",{i}\n' for i, m in enumerate(months)))
    assert str(of(tmp_path / "m.csv")[0].step) == "every month"
    series, _ = of(pd.DataFrame({"year": np.arange(1900, 1930), "n": np.arange(30.0)}))
    assert (series.time, str(series.step), series.columns) == ("year", "a step of 1", ("n",))
    series, notes = of(pd.DataFrame({"n": np.arange(30.0)}))
    assert series.time is None
    assert any("taken to be in order" in note for note in notes)


def test_times_in_the_index_of_pandas():
    index = pd.date_range("2024-01-01", periods=20, name="day")
    series, _ = of(pd.DataFrame({"x": np.arange(20.0)}, index=index))
    assert (series.time, series.columns) == ("day", ("x",))
    series, _ = of(pd.Series(np.arange(20.0), index=index.to_period("D").rename(None)))
    assert (series.time, series.columns, str(series.step)) == ("time", ("value",), "every day")


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (daily(), {"time": "dat"}, "did you mean 'date'"),
        (daily(), {"target": "y"}, "unknown target column 'y'"),
        (daily(x=["a"] * 20), {"target": "x"}, "only numbers can be forecast"),
        (daily(x=["a"] * 20), {}, "no column of numbers"),
        (daily(), {"target": ["x", "x"]}, "named twice"),
        (daily(), {"drop": ["z"]}, "column for drop"),
        (daily(b=daily()["date"], x=np.arange(20.0)).rename(columns={"date": "a"}), {}, "Say it with --time"),
        (daily(x=[np.nan] * 20, y=np.arange(20)), {"target": "x"}, "other things than numbers|missing values"),
        (pd.concat([daily(), daily()]), {}, "several series"),
        (daily(), {"needed": ["q"]}, "lacks the columns 'q'"),
    ],
)
def test_what_cannot_be_used_is_named(table, options, said):
    with pytest.raises(InputError, match=said):
        open_series(table, **options)


def test_only_tables_are_series(tmp_path):
    with pytest.raises(InputError, match="is a table"):
        open_series(tmp_path)
    with pytest.raises(InputError, match="is a table"):
        open_series("no such thing")


@given(st.lists(st.integers(0, 400), min_size=12, max_size=40))
def test_any_times_give_a_series_without_gaps_or_a_sentence(offsets):
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(offsets, unit="h")
    try:
        series, _ = of(pd.DataFrame({"time": times, "x": np.arange(float(len(offsets)))}))
    except InputError:
        return
    assert np.isfinite(series.values).all()
    assert len(series.times) == len(series.values)
    assert (np.diff(series.times.astype(np.int64)) > 0).all()
