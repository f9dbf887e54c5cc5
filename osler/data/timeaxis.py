"""When the rows of a series were measured: equal steps of months, working days, seconds or plain numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from osler.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Unit = Literal["months", "working days", "seconds", "numbers"]
MINUTE, HOUR, DAY = 60, 3600, 86400
BESIDE = 0.01  # of a step: times this near to their place are in it


@dataclass(frozen=True)
class Step:
    """How far apart the times of a series are.

    >>> Step("months", 1).after(np.datetime64("2024-11-01"), 2).astype("datetime64[D]").tolist()
    [datetime.date(2024, 12, 1), datetime.date(2025, 1, 1)]
    """

    unit: Unit
    count: float
    month_end: bool = False  # of months: each time is the last day of its month

    @classmethod
    def of(cls, times: NDArray[Any]) -> Step:
        """The most frequent distance of these different times, in order."""
        if times.dtype.kind != "M":
            return cls("numbers", _most_frequent(np.diff(times)))
        import pandas as pd

        stamps = pd.DatetimeIndex(times)
        distances = np.diff(times) / np.timedelta64(1, "s")
        if len(set(stamps - stamps.normalize())) == 1:  # one time of the day
            ends = bool(stamps.is_month_end.all())
            if (ends or len(set(stamps.day)) == 1) and distances.min() >= 28 * DAY:
                return cls("months", _most_frequent(np.diff(_months(times))), ends)
            if _most_frequent(distances) == DAY and len(times) > 5 and (stamps.day_of_week < 5).all():
                return cls("working days", 1)
        return cls("seconds", _most_frequent(distances))

    def places(self, times: NDArray[Any], first: Any) -> NDArray[np.float64]:
        """How many steps each time lies after the first; fractions where it lies between two."""
        if self.unit == "months":
            steps = (_months(times) - _months(np.array([first]))[0]) / self.count
        elif self.unit == "working days":
            steps = np.busday_count(np.datetime64(first, "D"), times.astype("datetime64[D]")) / self.count
        elif self.unit == "seconds":
            steps = (times - np.datetime64(first)) / np.timedelta64(1, "s") / self.count
        else:
            steps = (times - first) / self.count
        return np.asarray(steps, dtype=np.float64)

    def after(self, last: Any, count: int) -> NDArray[Any]:
        """The next times after one of the series, (count,)."""
        ahead = np.arange(1, count + 1)
        if self.unit == "numbers":
            return np.asarray(last + ahead * self.count)
        if self.unit == "seconds":
            return np.asarray(np.datetime64(last, "ns") + (ahead * self.count * 1e9).round().astype("timedelta64[ns]"))
        import pandas as pd

        start = pd.Timestamp(last)
        if self.unit == "working days":
            moved = [start + pd.offsets.BDay(int(i * self.count)) for i in ahead]
        else:
            moved = [start + pd.DateOffset(months=int(i * self.count)) for i in ahead]
            moved = [time + pd.offsets.MonthEnd(0) for time in moved] if self.month_end else moved
        return np.array(moved, dtype="datetime64[ns]")

    @property
    def season(self) -> int | None:
        """How many steps a season has by the calendar: a day of hours, a week of days, a year of months."""
        if self.unit == "numbers":
            return None
        if self.unit == "working days":
            return 5
        whole = 12 if self.unit == "months" else DAY if self.count < DAY else 7 * DAY if self.count < 7 * DAY else 0
        steps = 52 if self.unit == "seconds" and self.count == 7 * DAY else whole / self.count
        return int(steps) if steps >= 2 and steps == int(steps) else None

    def calendar(self, times: NDArray[Any]) -> NDArray[np.float64]:
        """What the calendar says of each time, (T, C) on circles: hour and weekday, weekday and month, or month."""
        names = self.calendar_names
        if not names:
            return np.zeros((len(times), 0))
        import pandas as pd

        stamps = pd.DatetimeIndex(times)
        turns = {
            "hour": (stamps.hour + stamps.minute / 60) / 24,
            "weekday": stamps.day_of_week / 7,
            "month": (stamps.month - 1) / 12,
        }
        angles = [2 * np.pi * np.asarray(turns[name], dtype=np.float64) for name in names]
        return np.stack([circle(angle) for angle in angles for circle in (np.sin, np.cos)], axis=1)

    @property
    def calendar_names(self) -> tuple[str, ...]:
        if self.unit == "months":
            return ("month",) if self.count < 12 else ()
        if self.unit == "working days":
            return ("weekday", "month")
        if self.unit == "numbers" or self.count < MINUTE:
            return ()
        if self.count < DAY:
            return ("hour", "weekday")
        return ("weekday", "month") if self.count < 7 * DAY else ("month",) if self.count < 300 * DAY else ()

    def __str__(self) -> str:
        count, unit = self.count, str(self.unit)
        if self.unit == "numbers":
            return f"a step of {count:g}"
        if self.unit == "months" and count % 12 == 0:
            count, unit = count / 12, "years"
        for name, seconds in (("days", DAY), ("hours", HOUR), ("minutes", MINUTE)):
            if self.unit == "seconds" and count % seconds == 0:
                count, unit = count / seconds, name
                break
        return f"every {unit[:-1]}" if count == 1 else f"every {count:g} {unit}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def on_grid(times: NDArray[Any], what: str, notes: list[str]) -> tuple[Step, NDArray[np.int64], NDArray[np.int64]]:
    """The step of times in any order, which rows to take, and at which place in time each of them belongs.

    Of repeated times the last row is taken. Whatever is out of order, repeated or missing is counted in `notes`. Raises
    InputError for times that are no series of equal steps.
    """
    if len(times) < 3:
        raise InputError(f"{len(times)} rows are no series: at least 3 are needed")
    order = np.argsort(times, kind="stable")
    if (moved := int((np.diff(times.astype("int64") if times.dtype.kind == "M" else times) < 0).sum())) > 0:
        notes.append(f"{what}: rows stood out of order in {moved} places: sorted by time")
    ordered = times[order]
    distinct = ordered[np.append(np.diff(ordered) != np.zeros(1, np.diff(ordered).dtype), True)]
    if len(distinct) < 3 or len(distinct) < 0.9 * len(times):
        raise InputError(
            f"{what} has {len(distinct)} different times in {len(times)} rows: are these several series one below the "
            "other? Give one of them, or one column for each"
        )
    step = Step.of(distinct)
    exact = step.places(ordered, distinct[0])
    nearest = np.rint(exact).astype(np.int64)
    if (off := int((np.abs(exact - nearest) > BESIDE).sum())) > 0.1 * len(times):
        at = str(ordered[np.abs(exact - nearest) > BESIDE][0])[:19]
        raise InputError(
            f"{what}: {off} of {len(times)} times are not {step} (the first {at}): bring them to equal steps first, "
            "for example by pandas' resample"
        )
    if off:
        notes.append(f"{what}: {off} times lie between two steps: taken to the nearest")
    last = np.append(np.diff(nearest) != 0, True)
    if repeated := int((~last).sum()):
        notes.append(
            f"{what}: {repeated} times come again, first {time_text(ordered[~last][0])}: the last row of each is taken"
        )
    places = nearest[last]
    total = int(places[-1]) + 1
    if missing := total - len(places):
        if missing > total / 2:
            raise InputError(f"{what}: of {total} times that are {step}, {missing} are missing: too many to fill in")
        before = int(np.flatnonzero(np.diff(places) > 1)[0])
        after = time_text(ordered[last][before])
        notes.append(f"{what}: {missing} of {total} times are missing, first after {after}")
    return step, order[last], places


def time_text(time: Any) -> str:
    """A time in words: a day alone where it is midnight, without seconds where they are 0."""
    if not isinstance(time, np.datetime64):
        return f"{time:g}"
    return str(time)[:19].removesuffix("T00:00:00").removesuffix(":00").replace("T", " ")


def _months(times: NDArray[Any]) -> NDArray[np.int64]:
    months: NDArray[np.int64] = times.astype("datetime64[M]").astype(np.int64)
    return months


def _most_frequent(distances: NDArray[Any]) -> float:
    values, counts = np.unique(np.asarray(distances, dtype=np.float64), return_counts=True)
    return float(values[counts.argmax()])
