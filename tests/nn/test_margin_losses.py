import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import hinge_loss

from osler.errors import InputError
from osler.nn.losses import LOSSES

torch.manual_seed(3)
Z = torch.randn(15, 4, dtype=torch.float64)
CLASSES = torch.arange(15) % 4
ONE = Z[:, :1]
YES = (CLASSES % 2).unsqueeze(1)


def test_hinge_equals_scikit_learns_for_two_and_for_several_classes():
    assert LOSSES.create("hinge")(ONE, YES).item() == pytest.approx(hinge_loss(YES.ravel(), ONE.ravel()))
    assert LOSSES.create("hinge")(Z, CLASSES).item() == pytest.approx(hinge_loss(CLASSES, Z, labels=[0, 1, 2, 3]))


def test_hinge_equals_torchs_multi_margin_where_both_are_defined_alike():
    # With two classes there is one rival; torch divides by the number of classes.
    z, y = Z[:, :2], CLASSES % 2
    for name, power in (("hinge", 1), ("squared_hinge", 2)):
        torch.testing.assert_close(LOSSES.create(name)(z, y), 2 * F.multi_margin_loss(z, y, p=power))


@given(st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=1, max_size=6))
def test_yes_or_no_by_the_formulas(pairs):
    z = torch.tensor([[score] for score, _ in pairs], dtype=torch.float64)
    y = torch.tensor([[yes] for _, yes in pairs])
    margins = [score if yes else -score for score, yes in pairs]
    formulas = {
        "hinge": lambda m: max(0, 1 - m),
        "squared_hinge": lambda m: max(0, 1 - m) ** 2,
        "exponential": lambda m: math.exp(-m),
        "perceptron": lambda m: max(0, -m),
    }
    for name, formula in formulas.items():
        loss = LOSSES.create(name, reduction="none")
        wanted = [formula(m) for m in margins]
        for target in (y.long(), y.double(), y, 2 * y.long() - 1):
            assert loss(z, target).flatten().tolist() == pytest.approx(wanted, rel=1e-12)


def test_exponential_of_several_classes_by_its_coding():
    # Zhu et al.: exp(−y·f/K) with y = 1 for the class and −1/(K − 1) for the others.
    coding = torch.where(F.one_hot(CLASSES, 4) == 1, 1.0, -1 / 3).double()
    wanted = torch.exp(-(coding * Z).sum(1) / 4).mean()
    torch.testing.assert_close(LOSSES.create("exponential")(Z, CLASSES), wanted)


def test_exponential_goes_on_as_its_tangent():
    z = torch.tensor([[-29.0], [-31.0], [-1e4]], requires_grad=True)
    loss = LOSSES.create("exponential", reduction="none")(z, torch.ones(3, 1))
    loss.sum().backward()
    e30 = math.exp(30)
    assert loss.flatten().tolist() == pytest.approx([math.exp(29), 2 * e30, e30 * (1e4 - 29)], rel=1e-5)
    assert z.grad.flatten().tolist() == pytest.approx([-math.exp(29), -e30, -e30], rel=1e-5)


def test_gradient_descent_on_the_perceptron_loss_is_rosenblatts_rule():
    x = torch.randint(-3, 4, (50, 3)).double()
    y = (x @ torch.tensor([1.0, -2.0, 1.0]).double() + 0.5 > 0).long()
    layer = torch.nn.Linear(3, 1).double()
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    loss = LOSSES.create("perceptron")
    w, b, mistakes = [0.0, 0.0, 0.0], 0.0, 0
    for _ in range(5):
        for sample, label in zip(x, y, strict=True):
            optimizer.zero_grad()
            loss(layer(sample.unsqueeze(0)), label.reshape(1, 1)).backward()
            optimizer.step()
            # The rule, by hand.
            row, sign = sample.tolist(), 2 * label.item() - 1
            if sign * (sum(wi * xi for wi, xi in zip(w, row, strict=True)) + b) <= 0:
                w, b, mistakes = [wi + sign * xi for wi, xi in zip(w, row, strict=True)], b + sign, mistakes + 1
            assert layer.weight[0].tolist() == w
            assert layer.bias.item() == b
    assert mistakes > 3


def test_perceptron_of_several_classes_moves_the_true_one_and_one_rival():
    z = torch.zeros(1, 4, requires_grad=True)  # all tied: a mistake
    LOSSES.create("perceptron")(z, torch.tensor([2])).backward()
    assert z.grad[0, 2] == -1
    assert sorted(z.grad[0].tolist()) == [-1, 0, 0, 1]


def test_column_and_vector_do_not_mix():
    with pytest.raises(InputError, match=r"reshape\(\(15, 1\)\)"):
        LOSSES.create("hinge")(ONE, YES.flatten())
