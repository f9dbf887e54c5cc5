import math

import numpy as np
import pytest
import torch
from scipy import stats

from osler.nn.initialisation import INITIALIZERS
from osler.show.weights import INPUTS, OUTPUTS, initializer, promised

EQUAL = {"zeros", "ones", "constant"}
VARIANCES = {
    "normal": 0.05**2,
    "uniform": 0.1**2 / 12,
    "xavier_normal": 2 / (INPUTS + OUTPUTS),
    "xavier_uniform": 2 / (INPUTS + OUTPUTS),
    "he_normal": 2 / INPUTS,
    "he_uniform": 2 / INPUTS,
    "lecun_normal": 1 / INPUTS,
    "lecun_uniform": 1 / INPUTS,
    "orthogonal": 1 / INPUTS,
    "auto": 2 / (INPUTS + OUTPUTS),
}


def test_every_initializer_has_a_law_or_makes_all_weights_equal():
    assert VARIANCES.keys() | EQUAL == set(INITIALIZERS)
    assert all(promised(name, {}) is None for name in EQUAL)


@pytest.mark.parametrize("name", VARIANCES)
def test_law_is_a_distribution_of_the_curriculums_variance(name):
    law = promised(name, {})
    w = np.linspace(law.low, law.high, 20_001)
    density = np.array([law.density(x) for x in w])
    assert law.variance == pytest.approx(VARIANCES[name])
    assert np.trapezoid(density, w) == pytest.approx(1, abs=2e-3)
    assert np.trapezoid(density * w**2, w) == pytest.approx(law.variance, rel=5e-3)


@pytest.mark.parametrize("name", VARIANCES)
def test_weights_lie_as_promised(name):
    [histogram] = initializer(name, {}).panels
    width = histogram.edges[1] - histogram.edges[0]
    assert sum(histogram.heights) * width == pytest.approx(1, abs=1e-3)
    difference = sum(abs(a - b) for a, b in zip(histogram.heights, histogram.theory, strict=True)) * width
    assert difference < 0.04  # 65 intervals of 120,000 weights differ by about 0.02 by chance


def test_entry_of_a_rotation_is_distributed_like_a_coordinate_on_a_sphere():
    law, beta = promised("orthogonal", {"gain": 2.0}), stats.beta(199.5, 199.5, loc=-2, scale=4)
    for w in (-0.3, 0.0, 0.1, 0.25):
        assert law.density(w) == pytest.approx(beta.pdf(w))
    assert law.variance == pytest.approx(beta.var())


def test_options_change_the_law():
    assert promised("normal", {"std": 0.1, "mean": 1.0}).variance == pytest.approx(0.01)
    assert promised("auto", {"activation": "relu"}).variance == 2 / INPUTS
    assert promised("uniform", {"low": 0.3, "high": 0.3}) is None
    plot = initializer("constant", {"value": 3.0})
    assert "variance is 0" in plot.note
    assert max(plot.panels[0].heights) == 1
    middle = plot.panels[0].heights.index(1)
    assert plot.panels[0].edges[middle] < 3 < plot.panels[0].edges[middle + 1]


def test_nobody_elses_random_numbers_are_used_up():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    initializer("he_normal", {})
    assert torch.equal(torch.rand(1), wanted)
    assert math.isclose(0.005, promised("he_normal", {}).variance)
