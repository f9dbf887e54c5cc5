import math

import torch

from osler.doctor.history import Series


def test_a_series_keeps_the_whole_course_in_bounded_memory() -> None:
    series = Series(kept=100)
    for i in range(5000):
        series.add(torch.tensor(float(i)) if i % 2 else float(i))
    values = series.read()
    assert series.count == 5000
    assert len(values) <= 400
    assert values == sorted(values)
    assert values[0] < 200
    assert values[-1] > 4800


def test_the_first_bad_value_is_remembered() -> None:
    series = Series()
    for i in range(300):
        series.add(math.nan if i >= 270 else 1.0)
    series.read()
    assert series.first_bad == 270
