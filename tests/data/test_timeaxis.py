from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.data.timeaxis import Step, on_grid, time_text
from osler.errors import InputError


def days(*texts):
    return np.array(texts, dtype="datetime64[ns]")


def as_dates(times):
    return times.astype("datetime64[D]").tolist()


def test_the_step_is_what_people_would_say():
    hours = np.arange("2024-01-01", "2024-01-03", dtype="datetime64[h]").astype("datetime64[ns]")
    assert str(Step.of(hours)) == "every hour"
    assert str(Step.of(hours[::6])) == "every 6 hours"
    months = np.arange("2023-11", "2025-03", dtype="datetime64[M]").astype("datetime64[ns]")
    assert str(Step.of(months)) == "every month"
    assert str(Step.of(months[::3])) == "every 3 months"
    assert str(Step.of(months[::12])) == "every year"
    weekdays = np.arange("2024-01-01", "2024-01-20", dtype="datetime64[D]")
    weekdays = weekdays[np.is_busday(weekdays)].astype("datetime64[ns]")
    assert str(Step.of(weekdays)) == "every working day"
    assert str(Step.of(np.array([0.0, 0.5, 1.0]))) == "a step of 0.5"


def test_times_go_on_by_the_calendar():
    assert as_dates(Step("months", 1, month_end=True).after(np.datetime64("2024-01-31"), 3)) == [
        date(2024, 2, 29),
        date(2024, 3, 31),
        date(2024, 4, 30),
    ]
    assert as_dates(Step("months", 3).after(np.datetime64("2024-11-01"), 2)) == [date(2025, 2, 1), date(2025, 5, 1)]
    assert as_dates(Step("working days", 1).after(np.datetime64("2024-02-29"), 2)) == [
        date(2024, 3, 1),
        date(2024, 3, 4),
    ]
    ahead = Step("seconds", 3600).after(np.datetime64("2024-02-28T23:00"), 26)
    assert str(ahead[0])[:16] == "2024-02-29T00:00"
    assert str(ahead[-1])[:16] == "2024-03-01T01:00"
    assert Step("numbers", 2).after(10.0, 2).tolist() == [12.0, 14.0]


@given(st.integers(1, 24), st.integers(2, 60), st.booleans())
def test_months_ahead_are_found_again_as_the_same_step(count, rows, ends):
    first = np.datetime64("2000-01-31" if ends else "2000-01-15", "ns")
    step = Step("months", count, month_end=ends)
    times = np.concatenate([[first], step.after(first, rows)])
    assert Step.of(times) == step
    assert step.places(times, first).tolist() == list(range(rows + 1))


@pytest.mark.parametrize(
    ("step", "season"),
    [
        (Step("seconds", 3600), 24),
        (Step("seconds", 900), 96),
        (Step("seconds", 86400), 7),
        (Step("seconds", 7 * 86400), 52),
        (Step("seconds", 5000), None),
        (Step("months", 1), 12),
        (Step("months", 3), 4),
        (Step("months", 12), None),
        (Step("working days", 1), 5),
        (Step("numbers", 1), None),
    ],
)
def test_seasons_by_the_calendar(step, season):
    assert step.season == season


def test_the_calendar_on_circles():
    times = np.array(["2024-01-01T00:00", "2024-01-01T06:00"], dtype="datetime64[ns]")  # a Monday
    np.testing.assert_allclose(Step("seconds", 3600).calendar(times)[:, :2], [[0, 1], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(Step("months", 1).calendar(days("2024-07-01")), [[0, -1]], atol=1e-12)
    assert Step("numbers", 1).calendar(np.arange(3.0)).shape == (3, 0)


def test_order_repetition_and_gaps_are_counted():
    notes = []
    times = days("2024-01-02", "2024-01-01", "2024-01-03", "2024-01-06", *(f"2024-01-{d:02}" for d in range(7, 18)))
    times = np.append(times, times[-1])
    step, rows, places = on_grid(times, "'day'", notes)
    assert str(step) == "every day"
    assert rows[:4].tolist() == [1, 0, 2, 3]
    assert rows[-1] == len(times) - 1  # the last of those that come again
    assert places[:4].tolist() == [0, 1, 2, 5]
    assert "out of order in 1 places" in notes[0]
    assert "1 times come again, first 2024-01-17" in notes[1]
    assert "2 of 17 times are missing, first after 2024-01-03" in notes[2]


def test_clocks_that_jitter_are_taken_to_their_step_and_told():
    seconds = np.arange(50) * 60.0
    seconds[7] += 9
    notes = []
    _, _, places = on_grid((np.datetime64("2024-01-01", "ns") + (seconds * 1e9).astype("timedelta64[ns]")), "t", notes)
    assert places.tolist() == list(range(50))
    assert notes == ["t: 1 times lie between two steps: taken to the nearest"]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (np.array([0.0, 1.0]), "at least 3"),
        (np.repeat(np.arange(10.0), 2), "several series one below the other"),
        (np.array([0.0, 1, 2, 2.5, 3.3, 4.7, 5]), "bring them to equal steps"),
        (np.array([0.0, 1, 2, 100]), "too many to fill in"),
    ],
)
def test_what_is_no_series_is_refused(times, said):
    with pytest.raises(InputError, match=said):
        on_grid(times, "'t'", [])


def test_times_in_words():
    said = [time_text(np.datetime64(text, "ns")) for text in ("2024-01-01", "2024-01-01T05:00", "2024-01-01T05:00:09")]
    assert said == ["2024-01-01", "2024-01-01 05:00", "2024-01-01 05:00:09"]
    assert time_text(7.0) == "7"
