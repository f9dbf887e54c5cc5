import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS, is_activation
from osler.nn.steps import Step


def derivative(activation, x):
    x = torch.as_tensor(x, dtype=torch.float64).requires_grad_()
    activation(x).sum().backward()
    return x.grad


def erf_cdf(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def logistic(x):
    return 1 / (1 + math.exp(-x))


# Name, options, value and derivative by the formula, written with Python's mathematics only.
FORMULAS = [
    ("linear", {}, lambda x: x, lambda x: 1),
    ("ramp", {}, lambda x: min(max(x, 0), 1), lambda x: float(0 < x < 1)),
    ("sigmoid", {}, logistic, lambda x: logistic(x) * (1 - logistic(x))),
    ("sigmoid", {"steepness": 3}, lambda x: logistic(3 * x), lambda x: 3 * logistic(3 * x) * (1 - logistic(3 * x))),
    ("bipolar_sigmoid", {}, lambda x: 2 * logistic(x) - 1, lambda x: 2 * logistic(x) * (1 - logistic(x))),
    (
        "bipolar_sigmoid",
        {"steepness": 0.5},
        lambda x: 2 * logistic(0.5 * x) - 1,
        lambda x: logistic(0.5 * x) * (1 - logistic(0.5 * x)),
    ),
    ("tanh", {}, math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    ("relu", {}, lambda x: max(x, 0), lambda x: float(x > 0)),
    ("leaky_relu", {"slope": 0.2}, lambda x: x if x > 0 else 0.2 * x, lambda x: 1 if x > 0 else 0.2),
    ("prelu", {"slope": 0.25}, lambda x: x if x > 0 else 0.25 * x, lambda x: 1 if x > 0 else 0.25),
    (
        "elu",
        {"alpha": 1.5},
        lambda x: x if x > 0 else 1.5 * math.expm1(x),
        lambda x: 1 if x > 0 else 1.5 * math.exp(x),
    ),
    (
        "selu",
        {},
        lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
        lambda x: 1.0507009873554805 * (1 if x > 0 else 1.6732632423543772 * math.exp(x)),
    ),
    (
        "gelu",
        {},
        lambda x: x * erf_cdf(x),
        lambda x: erf_cdf(x) + x * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
    ),
    ("silu", {}, lambda x: x * logistic(x), lambda x: logistic(x) * (1 + x * (1 - logistic(x)))),
    ("softplus", {"beta": 2}, lambda x: math.log1p(math.exp(2 * x)) / 2, lambda x: logistic(2 * x)),
]


@pytest.mark.parametrize(("name", "options", "value", "slope"), FORMULAS, ids=lambda p: p if isinstance(p, str) else "")
def test_value_and_derivative_are_those_of_the_formula_at_the_kinks_too(name, options, value, slope):
    activation = ACTIVATIONS.create(name, **options).double()
    xs = [-30.0, -2.5, -1.0, -1e-3, 0.0, 1e-3, 0.53, 1.0, 2.5, 15.0]
    got = activation(torch.tensor(xs, dtype=torch.float64)).tolist()
    assert got == pytest.approx([value(x) for x in xs], rel=1e-12, abs=1e-15)
    assert derivative(activation, xs).tolist() == pytest.approx([slope(x) for x in xs], rel=1e-12, abs=1e-15)


RANGES = {
    "sigmoid": (0, 1),
    "bipolar_sigmoid": (-1, 1),
    "tanh": (-1, 1),
    "ramp": (0, 1),
    "binary_step": (0, 1),
    "bipolar_step": (-1, 1),
    "straight_through_step": (0, 1),
    "softmax": (0, 1),
    "relu": (0, math.inf),
    "softplus": (0, math.inf),
    "elu": (-1, math.inf),
    "selu": (-1.7582, math.inf),
    "gelu": (-0.17005, math.inf),
    "silu": (-0.27850, math.inf),
}


@pytest.mark.parametrize("name", RANGES)
@given(x=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_values_stay_in_their_range(name, x, dtype):
    y = ACTIVATIONS.create(name)(torch.tensor(x, dtype=dtype))
    low, high = RANGES[name]
    assert ((y >= low) & (y <= high)).all()


@given(st.floats(0.1, 10), st.floats(-50, 50))
def test_derivatives_of_sigmoid_and_tanh_stay_in_theirs(steepness, x):
    assert 0 <= derivative(ACTIVATIONS.create("sigmoid", steepness=steepness), x) <= steepness / 4
    assert 0 <= derivative(ACTIVATIONS.create("tanh"), x) <= 1


def test_softmax_sums_to_one_along_its_axis():
    x = torch.tensor([[1e4, -1e4, 0.0], [1.0, 2.0, 3.0]])
    torch.testing.assert_close(ACTIVATIONS.create("softmax")(x).sum(1), torch.ones(2))
    torch.testing.assert_close(ACTIVATIONS.create("softmax", dim=0)(x).sum(0), torch.ones(3))


def test_prelu_learns_its_slope():
    prelu = ACTIVATIONS.create("prelu", slope=0.1, channels=2)
    prelu(torch.tensor([[-2.0, 5.0], [-1.0, -3.0]])).sum().backward()
    assert prelu.weight.grad.tolist() == [-3, -3]


def test_torchs_own_classes_are_used_where_they_exist():
    assert type(ACTIVATIONS.create("sigmoid")) is nn.Sigmoid
    assert type(ACTIVATIONS.create("swish")) is nn.SiLU
    assert type(ACTIVATIONS.create("Leaky-ReLU", slope=0.1)) is nn.LeakyReLU


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("sigmoid", {"steepness": 0}, "steepness"),
        ("bipolar_sigmoid", {"steepness": -1}, "steepness"),
        ("leaky_relu", {"slope": math.nan}, "slope"),
        ("elu", {"alpha": 0}, "alpha"),
        ("softplus", {"beta": 0}, "beta"),
        ("prelu", {"channels": 0}, "channels"),
        ("gelu", {"approximate": "tan"}, "tanh"),
    ],
)
def test_impossible_options_are_refused(name, options, word):
    with pytest.raises(InputError, match=word):
        ACTIVATIONS.create(name, **options)


def test_what_counts_as_an_activation():
    assert all(is_activation(ACTIVATIONS.create(name)) for name in ACTIVATIONS if name != "linear")
    assert is_activation(Step())
    for module in (nn.Identity(), nn.Linear(1, 1), nn.MultiheadAttention(2, 1), nn.Sequential(nn.ReLU()), nn.Dropout()):
        assert not is_activation(module)
