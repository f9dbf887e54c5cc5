"""The picture of a range test."""

import numpy as np

from osler.show.range_test import range_plot, range_svg, range_text
from osler.training.learning_rate_range import RangeTest

RATES = tuple(float(rate) for rate in np.geomspace(1e-7, 10, 9))
LOSSES = (2.0, 2.0, 1.9, 1.5, 0.8, 0.5, 0.6, 2.0, 5.0)
FOUND = RangeTest(RATES, LOSSES, LOSSES, 1e-3, 1e-2, True)


def test_the_curve_is_over_powers_of_ten() -> None:
    (curve,) = range_plot(FOUND).panels
    assert np.allclose(curve.x, range(-7, 2))
    assert tuple(curve.y) == LOSSES


def test_text_and_picture_say_what_was_found() -> None:
    text = range_text(FOUND)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "−7" in text
    assert "try 0.01." in " ".join(text.split())
    svg = range_svg(FOUND)
    assert svg.startswith("<svg")
    assert "Learning rates" in svg
    assert "try 0.01." in svg
