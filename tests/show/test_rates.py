import math

import pytest

from osler.optim.schedules import SCHEDULES
from osler.show.rates import schedule


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_stays_between_nothing_and_its_peak(name):
    rate = schedule(name, {}).panels[0]
    assert len(rate.x) == len(rate.y)
    assert 0 <= min(rate.y) < max(rate.y) + 1e-12
    assert max(rate.y) == pytest.approx(0.1)


def test_cosine_by_its_formula():
    [rate] = schedule("cosine", {}).panels
    assert rate.y == pytest.approx([0.05 * (1 + math.cos(math.pi * t / 100)) for t in range(100)])


def test_one_cycle_moves_the_momentum_the_other_way():
    rate, momentum = schedule("one_cycle", {}).panels
    assert rate.y[0] == pytest.approx(0.1 / 25)
    assert rate.y.index(max(rate.y)) == momentum.y.index(min(momentum.y)) == 29
    assert (max(momentum.y), min(momentum.y)) == pytest.approx((0.95, 0.85))
    assert len(schedule("one_cycle", {"cycle_momentum": False}).panels) == 1


def test_plateau_drops_after_its_patience():
    [rate] = schedule("reduce_on_plateau", {"patience": 3, "factor": 0.5}).panels
    assert rate.across == "epoch"
    # The last better loss comes with epoch 9; the fourth epoch without one is 13.
    assert rate.y[13] == 0.1
    assert rate.y[14] == 0.05
    assert rate.y[18] == 0.025
