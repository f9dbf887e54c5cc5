import math

import numpy as np
import pytest

from osler.optim.optimizers import OPTIMIZERS
from osler.show.descent import RATES, RAVINE, SADDLE, optimizer, walk


def test_gradient_descent_in_a_ravine_is_a_geometric_series():
    way = walk(RAVINE, "sgd", {"lr": 0.07})
    steps = np.arange(201)
    np.testing.assert_allclose(way.x, -4 * (1 - 0.07) ** steps, rtol=1e-9)
    np.testing.assert_allclose(way.y, (1 - 25 * 0.07) ** steps, rtol=1e-9)
    np.testing.assert_allclose(way.losses, (np.square(way.x) + 25 * np.square(way.y)) / 2)


def test_the_saddle_has_no_slope_in_its_middle_and_its_minima_are_zero():
    assert SADDLE.loss(0, 0) == 0.25
    assert [SADDLE.loss(*point) for point in SADDLE.minima] == [0, 0]
    h = 1e-6
    assert abs(SADDLE.loss(h, 0) - 0.25) < 1e-11
    assert SADDLE.loss(0, 0.1) < 0.25 < SADDLE.loss(0.1, 0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_gets_down(name):
    assert name in RATES
    plot = optimizer(name, {})
    for way in plot.panels:
        assert len(way.x) == len(way.y) == len(way.losses) == 201
        assert (way.x[0], way.y[0]) == way.surface.start
        assert way.losses[-1] < way.losses[0] / 2


def test_a_rate_that_is_too_high_is_said_to_diverge():
    plot = optimizer("sgd", {"lr": 0.5})  # beyond 2/25, where the ravine's walls throw it back ever higher
    ravine, saddle = plot.panels
    assert math.isinf(ravine.losses[-1])
    assert np.isfinite([*ravine.x, *ravine.y]).all()
    assert saddle.losses[-1] < 1e-9
    assert plot.table[1][-2] == "diverged"
    assert "0.5" in plot.note


def test_the_table_tells_the_losses_on_the_way():
    plot = optimizer("sgd", {})
    assert plot.table[0] == ("loss after", "0", "10", "50", "200", "steps")
    assert float(plot.table[1][2]) == pytest.approx(plot.panels[0].losses[10], rel=0.05)
