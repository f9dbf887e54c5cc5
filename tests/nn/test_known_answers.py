"""Numbers that a course on neural networks works out by hand."""

import math

import pytest
import torch

from osler.nn.activations import ACTIVATIONS
from osler.nn.losses import LOSSES


def value(kind, name, *numbers, **options):
    registry = ACTIVATIONS if kind == "activation" else LOSSES
    return registry.create(name, **options)(*(torch.tensor(n) for n in numbers))


# Kind, name, options, inputs, answer, decimals.
ANSWERS = [
    ("activation", "sigmoid", {}, [0.53], 0.6295, 4),
    ("activation", "bipolar_sigmoid", {}, [0.53], 0.2590, 4),
    ("activation", "softmax", {}, [[3.2, 1.3, 0.2, 0.8]], [0.775, 0.116, 0.039, 0.070], 3),
    ("activation", "binary_step", {"threshold": 0.5}, [[0.4, 0.5, 0.6]], [0, 1, 1], 9),
    ("activation", "bipolar_step", {"threshold": 0.5}, [[0.4, 0.5, 0.6]], [-1, 1, 1], 9),
    ("activation", "ramp", {}, [[-1.0, 0.25, 3.0]], [0, 0.25, 1], 9),
    ("loss", "half_mse", {}, [[10.0], [6.0]], 8, 9),
    ("loss", "mse", {}, [[1.0, 2.0, 3.0], [1.0, 2.0, 6.0]], 3, 9),
    ("loss", "mae", {}, [[1.0, 2.0, 3.0], [1.0, 2.0, 6.0]], 1, 9),
    ("loss", "mape", {}, [[90.0, 110.0], [100.0, 100.0]], 0.1, 6),
    ("loss", "huber", {"delta": 1.0}, [[0.5], [0.0]], 0.125, 9),
    ("loss", "huber", {"delta": 1.0}, [[3.0], [0.0]], 2.5, 9),
    ("loss", "pseudo_huber", {"delta": 3.0}, [[4.0], [0.0]], 6, 5),  # 9(√(1 + 16/9) − 1) = 9·⅔
    ("loss", "log_cosh", {}, [[1e4], [0.0]], 1e4 - math.log(2), 2),
    ("loss", "quantile", {"quantile": 0.9}, [[0.0], [1.0]], 0.9, 6),
    ("loss", "binary_cross_entropy", {}, [[[0.0]], [[1]]], math.log(2), 6),
    # Smoothing by 0.1 turns 1 into 0.9, which a probability of 0.9 meets best: −0.9 ln 0.9 − 0.1 ln 0.1.
    ("loss", "binary_cross_entropy", {"label_smoothing": 0.1}, [[[math.log(9)]], [[1]]], 0.325083, 6),
    ("loss", "sparse_categorical_cross_entropy", {}, [[[0.0, 0.0, 0.0]], [2]], math.log(3), 6),
    ("loss", "categorical_cross_entropy", {}, [[[0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]], math.log(3), 6),
    ("loss", "hinge", {}, [[[0.3]], [[1]]], 0.7, 6),
    ("loss", "squared_hinge", {}, [[[0.3]], [[1]]], 0.49, 6),
    ("loss", "exponential", {}, [[[1.0]], [[0]]], math.e, 5),
    ("loss", "perceptron", {}, [[[0.3]], [[0]]], 0.3, 6),
    ("loss", "focal", {"gamma": 2.0}, [[[0.0]], [[1]]], math.log(2) / 4, 6),
    ("loss", "kl_divergence", {}, [[[0.0, 0.0]], [[1.0, 0.0]]], math.log(2), 6),
    ("loss", "cosine_similarity", {}, [[[3.0, 4.0]], [[4.0, 3.0]]], 1 / 25, 6),
    ("loss", "dice", {}, [[[[0.0] * 3, [0.0] * 3]], [[0, 0, 1]]], 1 - (4 / 7 + 2 / 5) / 2, 6),
    ("loss", "dice_cross_entropy", {}, [[[[0.0] * 3, [0.0] * 3]], [[0, 0, 1]]], math.log(2) + 18 / 35, 6),
    ("loss", "ctc", {}, [[[[0.0, 0.0], [0.0, 0.0]]], [[1]]], -math.log(3 / 4), 6),
]


@pytest.mark.parametrize(("kind", "name", "options", "inputs", "answer", "decimals"), ANSWERS)
def test_answer(kind, name, options, inputs, answer, decimals):
    assert value(kind, name, *inputs, **options).tolist() == pytest.approx(answer, abs=0.5 * 10**-decimals)


def test_every_loss_has_an_answer():
    assert {name for kind, name, *_ in ANSWERS if kind == "loss"} == set(LOSSES)


@pytest.mark.parametrize(
    ("x", "w", "b", "total"),
    [((0.3, 0.8), (0.5, 0.5), 0.0, 0.55), ((0.8, 0.6, 0.4), (0.1, 0.3, -0.2), 0.35, 0.53)],
)
def test_weighted_sums(x, w, b, total):
    layer = torch.nn.Linear(len(x), 1)
    layer.weight.data, layer.bias.data = torch.tensor([w]), torch.tensor([b])
    assert layer(torch.tensor([x])).item() == pytest.approx(total, abs=1e-6)


def test_gradient_of_one_weight_on_the_quadratic_loss():
    # w = 5, x = 2, target 6: the gradient is −x(6 − wx) = 8, and w = 4.2 after a step of 0.1.
    w = torch.tensor([5.0], requires_grad=True)
    LOSSES.create("half_mse")(w * 2, torch.tensor([6.0])).backward()
    assert w.grad.item() == 8
    assert (w - 0.1 * w.grad).item() == pytest.approx(4.2)


@pytest.mark.parametrize("steepness", [0.5, 1.0, 4.0])
def test_largest_slopes_are_at_zero(steepness):
    for name, options, largest in (
        ("sigmoid", {"steepness": steepness}, steepness / 4),
        ("bipolar_sigmoid", {"steepness": steepness}, steepness / 2),
        ("tanh", {}, 1.0),
    ):
        x = torch.linspace(-5, 5, 101, requires_grad=True)
        ACTIVATIONS.create(name, **options)(x).sum().backward()
        assert x.grad.argmax() == 50
        assert x.grad[50].item() == pytest.approx(largest)
