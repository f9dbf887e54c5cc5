import math

import pytest

from osler.show.panels import Curve


@pytest.mark.parametrize(
    ("values", "reach"),
    [
        ([1.0, 2.0], (0, 2)),
        ([-1.0, -0.5], (-1, 0)),
        ([0.85, 0.95], (0.85, 0.95)),  # 0 is far away
        ([0.1, 0.1], (0, 0.1)),
        ([0.0, 0.0], (0, 1)),
        ([math.nan, 3.0, math.inf], (0, 3)),
        ([math.nan], (0, 1)),
    ],
)
def test_reach_of_a_curve(values, reach):
    assert Curve("", "x", range(len(values)), values).reach() == reach
