import numpy as np

from osler.data.series import Series, Windows, consecutive
from osler.data.timeaxis import Step


def counted(rows, columns=2, targets=1):
    values = np.arange(rows * columns, dtype=np.float64).reshape(rows, columns)
    return Series(tuple("abc"[:columns]), values, np.arange(float(rows)), Step("numbers", 1), targets)


def test_windows_and_what_comes_after_them():
    windows = Windows(counted(10), 3, 2, np.arange(2, 6))
    assert len(windows) == 4
    assert windows.ahead.shape == (4, 2, 1)
    assert windows.ahead[:, :, 0].tolist() == [[10, 12], [12, 14], [14, 16], [16, 18]]
    assert windows[np.array([3, 0])].ahead[:, :, 0].tolist() == [[16, 18], [10, 12]]
    part = windows.part()
    assert part.rows == ("5", "6", "7", "8")  # the first time that is forecast
    assert part.take(np.array([1])).targets[0, :, 0].tolist() == [12, 14]


def test_nothing_is_copied():
    series = counted(1000)
    ahead = Windows(series, 100, 50, np.arange(800)).ahead
    assert np.shares_memory(ahead, series.values)


def test_the_end_as_json():
    series = counted(5)
    assert series.end(2) == {"times": [3.0, 4.0], "values": [[6.0, 7.0], [8.0, 9.0]]}


def test_places_one_after_the_other_are_a_slice():
    assert consecutive(np.array([4, 5, 6])) == slice(4, 7)
    assert isinstance(consecutive(np.array([4, 6])), np.ndarray)
