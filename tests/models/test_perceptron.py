import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Perceptron as ScikitPerceptron

from osler.errors import InputError
from osler.models.perceptron import Perceptron, rosenblatt

PAIRS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def accuracy(model, x, y):
    return ((model(x).flatten() > 0) == (y.flatten() > 0)).float().mean().item()


def is_proof(certificate, x, y):
    """Both classes' weighted means, computed independently of how the multipliers were found."""
    x, y = x.flatten(1).double(), y.flatten()
    means = []
    for label in (0, 1):
        share = certificate[y == label]
        assert (share >= 0).all()
        assert share.sum().item() == pytest.approx(1, abs=1e-9)
        means.append(share @ x[y == label])
    return torch.allclose(*means, atol=1e-9 * x.abs().max().item())


@pytest.mark.parametrize("targets", [[0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]])
def test_learns_and_and_or_exactly_in_a_few_epochs(targets):
    model, y = Perceptron(inputs=(2,), outputs=1), torch.tensor(targets)
    learned = rosenblatt(model, PAIRS, y)
    assert learned.converged
    assert learned.epochs <= 10
    assert learned.certificate is None
    assert "right" in str(learned)
    assert accuracy(model, PAIRS, y) == 1


def test_stops_at_xor_and_proves_that_no_line_separates_it():
    model, y = Perceptron(inputs=(2,), outputs=1), torch.tensor([0, 1, 1, 0])
    learned = rosenblatt(model, PAIRS, y)
    assert not learned.converged
    assert "not linearly separable" in str(learned)
    assert learned.certificate.tolist() == pytest.approx([0.5] * 4)
    assert is_proof(learned.certificate, PAIRS, y)
    assert accuracy(model, PAIRS, y) <= 0.75


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0.05, 0.5))
@settings(max_examples=40, deadline=None)
def test_separable_data_take_no_more_mistakes_than_the_bound(seed, size, margin):
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(size, generator=generator, dtype=torch.float64)
    normal /= normal.norm()
    x = torch.randn(60, size, generator=generator, dtype=torch.float64)
    x = x[(x @ normal).abs() >= margin]
    y = (x @ normal > 0).long()
    if len(x) == 0:
        return
    model = Perceptron(inputs=(size,), outputs=1).double()
    learned = rosenblatt(model, x, y, epochs=10_000)
    longest = (x.square().sum(1) + 1).max().item()
    assert learned.converged
    assert learned.mistakes <= longest / margin**2
    assert accuracy(model, x, y) == 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_overlapping_classes_get_a_proof_at_any_scale(scale):
    torch.manual_seed(0)
    x = torch.randn(80, 1, 2, 3) * scale
    y = torch.randint(2, (80, 1))
    learned = rosenblatt(Perceptron(inputs=(1, 2, 3), outputs=1), x, y)
    assert not learned.converged
    assert is_proof(learned.certificate, x, y)


def test_same_weights_as_scikit_learns():
    torch.manual_seed(0)
    x = torch.randn(50, 3, dtype=torch.float64)
    y = (x @ torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64) > 0.3).long()
    model = Perceptron(inputs=(3,), outputs=1).double()
    learned = rosenblatt(model, x, y, epochs=7)
    theirs = ScikitPerceptron(max_iter=learned.epochs, tol=None, shuffle=False).fit(x.numpy(), y.numpy())
    assert model.linear.weight[0].tolist() == pytest.approx(theirs.coef_[0].tolist())
    assert model.linear.bias.tolist() == pytest.approx(theirs.intercept_.tolist())


def test_goes_on_from_the_weights_it_has_and_from_any_type_of_targets():
    for y in (torch.tensor([0, 0, 0, 1], dtype=torch.uint8), torch.tensor([False, False, False, True])):
        model = Perceptron(inputs=(2,), outputs=1)
        first = rosenblatt(model, PAIRS, y)
        assert first.mistakes > 0
        again = rosenblatt(model, PAIRS, y.unsqueeze(1).float())
        assert (again.mistakes, again.epochs, again.converged) == (0, 1, True)


def test_too_few_epochs_are_said():
    learned = rosenblatt(Perceptron(inputs=(2,), outputs=1), PAIRS, torch.tensor([0, 0, 0, 1]), epochs=1)
    assert not learned.converged
    assert learned.certificate is None
    assert "more epochs" in str(learned)


def test_starts_at_zero_and_flattens():
    assert (Perceptron(inputs=(1, 4, 4), outputs=3)(torch.randn(2, 1, 4, 4)) == 0).all()


@pytest.mark.parametrize(
    ("x", "y", "outputs", "words"),
    [
        (PAIRS, torch.tensor([0, 1, 2, 0]), 1, "0 or 1.*2"),
        (PAIRS, torch.tensor([0, 1]), 1, "4 samples"),
        (PAIRS, torch.tensor([0, 1, 1, 0]), 2, "one output"),
        (PAIRS * torch.inf, torch.tensor([0, 1, 1, 0]), 1, "not finite"),
        (PAIRS[:, :1], torch.tensor([0, 1, 1, 0]), 1, "1 numbers"),
    ],
)
def test_impossible_data_are_refused(x, y, outputs, words):
    with pytest.raises(InputError, match=words):
        rosenblatt(Perceptron(inputs=(2,), outputs=outputs), x, y)
