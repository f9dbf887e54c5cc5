import math

import numpy as np
import pytest

from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS
from osler.nn.losses import LOSSES
from osler.show.curves import QUESTIONS, activation, loss


def at(curve, x):
    """The value at the sampled point next to x."""
    return curve.y[int(np.abs(np.array(curve.x) - x).argmin())]


def adds_up(value, derivative):
    """The derivative's area is the way the value goes; a kink within a sample's width costs up to 0.03."""
    slopes = np.array(derivative.y)
    areas = np.diff(value.x) * (slopes[1:] + slopes[:-1]) / 2
    np.testing.assert_allclose(value.y[0] + areas.cumsum(), value.y[1:], atol=0.03)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if "step" not in n])
def test_activation_with_its_derivative(name):
    value, derivative = activation(name, {}).panels
    assert (value.x[0], value.x[-1]) == (-5, 5)
    adds_up(value, derivative)


def test_activation_with_an_option():
    value, derivative = activation("leaky_relu", {"slope": 0.5}).panels
    assert at(value, -4) == -2
    assert (at(derivative, -1), at(derivative, 1)) == (0.5, 1)
    _, derivative = activation("bipolar_sigmoid", {"steepness": 3.0}).panels
    assert max(derivative.y) == pytest.approx(1.5)


def test_softmax_shows_one_of_three_probabilities():
    value, derivative = activation("softmax", {}).panels
    assert at(value, 0) == pytest.approx(1 / 3)
    assert at(derivative, 0) == pytest.approx(1 / 3 * 2 / 3)


def test_a_step_has_no_derivative_and_says_why():
    plot = activation("binary_step", {"threshold": 2.0})
    [value] = plot.panels
    assert (at(value, 1.9), at(value, 2.1)) == (0, 1)
    assert "straight_through_step" in plot.note
    assert len(activation("straight_through_step", {}).panels) == 2


def test_every_loss_has_a_question():
    assert set(QUESTIONS) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_with_its_derivative(name):
    value, derivative = loss(name, {}).panels
    assert np.isfinite(value.y).all()
    assert min(value.y) >= 0
    adds_up(value, derivative)


@pytest.mark.parametrize(
    ("name", "x", "answer"),
    [
        ("mse", 4, 9),
        ("half_mse", 4, 4.5),
        ("huber", 4, 2.5),
        ("mae", -3, 4),
        ("binary_cross_entropy", 0, math.log(2)),
        ("sparse_categorical_cross_entropy", 0, math.log(2)),
        ("hinge", -3, 4),
        ("squared_hinge", -3, 16),
        ("exponential", 3, math.exp(-3)),
        ("perceptron", -3, 3),
        ("kl_divergence", math.log(4), 0),
        ("cosine_similarity", math.pi, 2),
        ("ctc", 0, -math.log(6 / 8)),  # of the eight paths of three steps, --- and l-l don't give the label
    ],
)
def test_loss_worked_out_by_hand(name, x, answer):
    assert at(loss(name, {}).panels[0], x) == pytest.approx(answer, abs=2e-4)


def test_loss_with_an_option():
    assert at(loss("huber", {"delta": 3.0}).panels[0], 4) == 4.5
    assert max(loss("mse", {"reduction": "sum"}).panels[0].y) == 16
    with pytest.raises(InputError, match="from_logits"):
        loss("focal", {"from_logits": False})
