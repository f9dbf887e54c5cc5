import math

import pytest
import torch
from scipy import stats

from osler.errors import InputError
from osler.nn.initialisation import INITIALIZERS
from osler.nn.initialisers import fans

SHAPE = (60, 40, 5, 5)
IN, OUT = 40 * 25, 60 * 25


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("xavier_normal", 2 / (IN + OUT)),
        ("xavier_uniform", 2 / (IN + OUT)),
        ("he_normal", 2 / IN),
        ("he_uniform", 2 / IN),
        ("lecun_normal", 1 / IN),
        ("lecun_uniform", 1 / IN),
        ("normal", 0.05**2),
        ("uniform", 0.05**2 / 3),
    ],
)
def test_distribution_is_the_theorys(name, variance):
    torch.manual_seed(0)
    weight = INITIALIZERS.create(name, torch.empty(SHAPE)).double().flatten()
    # 60,000 numbers: the standard error of the variance is below 0.6 %.
    assert weight.var().item() == pytest.approx(variance, rel=0.03)
    assert abs(weight.mean().item()) < 4 * math.sqrt(variance / len(weight))
    if name.endswith("uniform"):
        bound = math.sqrt(3 * variance)
        assert weight.abs().max().item() <= bound * (1 + 1e-6)
        law = stats.uniform(-bound, 2 * bound)
    else:
        law = stats.norm(0, math.sqrt(variance))
    assert stats.kstest(weight.numpy(), law.cdf).pvalue > 1e-3


def test_fixed_values():
    assert INITIALIZERS.create("zeros", torch.ones(3)).tolist() == [0, 0, 0]
    assert INITIALIZERS.create("ones", torch.zeros(3)).tolist() == [1, 1, 1]
    assert INITIALIZERS.create("constant", torch.zeros(2), value=0.5).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 2, 3, 3)])
def test_orthogonal_rows_or_columns(shape):
    matrix = INITIALIZERS.create("orthogonal", torch.empty(shape, dtype=torch.float64), gain=2.0).flatten(1)
    smaller = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(smaller, 4 * torch.eye(len(smaller), dtype=torch.float64))


@pytest.mark.parametrize(
    ("activation", "rule"), [("swish", "he_normal"), ("selu", "lecun_normal"), ("tanh", "xavier_uniform")]
)
def test_auto_follows_the_activation(activation, rule):
    torch.manual_seed(0)
    chosen = INITIALIZERS.create("auto", torch.empty(5, 7), activation=activation)
    torch.manual_seed(0)
    assert torch.equal(chosen, INITIALIZERS.create(rule, torch.empty(5, 7)))


def test_fans_of_matrices_and_kernels():
    assert fans(torch.empty(3, 5)) == (5, 3)
    assert fans(torch.empty(SHAPE)) == (IN, OUT)


@pytest.mark.parametrize("name", ["xavier_normal", "he_uniform", "lecun_normal", "orthogonal", "auto"])
def test_rules_that_need_fans_refuse_vectors(name):
    with pytest.raises(InputError, match=r"two axes.*\(3,\)"):
        INITIALIZERS.create(name, torch.empty(3))


def test_impossible_options_are_refused():
    with pytest.raises(InputError, match="low"):
        INITIALIZERS.create("uniform", torch.empty(2), low=1.0, high=-1.0)
    with pytest.raises(InputError, match="std"):
        INITIALIZERS.create("normal", torch.empty(2), std=-1.0)
    with pytest.raises(InputError, match="unknown activation"):
        INITIALIZERS.create("auto", torch.empty(2, 2), activation="rellu")
