"""Every known answer of a course on neural networks: neurons, activations, losses, optimizers, initialisation.

The numbers are worked out by hand, or are scikit-learn's.
"""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import scale
from torch import Tensor, nn

import osler
from osler.data.batches import Batches, Dataset
from osler.models.neuron import McCullochPitts, Neuron
from osler.models.perceptron import rosenblatt
from osler.nn.initialisation import INITIALIZERS

PAIRS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
AND, OR, XOR = ([0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 0])


def all_rows(x: Tensor, y: Tensor) -> Batches:
    """The data as one batch: batch gradient descent."""
    return Batches(Dataset(x, y), batch_size=len(x))


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return ((model(x).flatten() > 0) == (y.flatten() > 0)).float().mean().item()


# ---------------------------------------------------------------------------------------------------- 1. neurons


@pytest.mark.parametrize(
    ("neuron", "inputs", "answer"),
    [
        (McCullochPitts(2, threshold=2), PAIRS, AND),
        (McCullochPitts(2, threshold=1), PAIRS, OR),
        (McCullochPitts(1, threshold=0, inhibitory=(0,)), PAIRS[:2, 1:], [1, 0]),
    ],
    ids=["and", "or", "not"],
)
def test_mcculloch_pitts(neuron, inputs, answer):
    assert neuron(inputs).flatten().tolist() == answer
    assert not list(neuron.parameters())  # nothing to learn


@pytest.mark.parametrize(
    ("x", "w", "b", "activation", "answer"),
    [
        ((0.3, 0.8), (0.5, 0.5), 0.0, "linear", 0.55),
        ((0.8, 0.6, 0.4), (0.1, 0.3, -0.2), 0.35, "linear", 0.53),
        ((0.8, 0.6, 0.4), (0.1, 0.3, -0.2), 0.35, "sigmoid", 0.6295),
        ((0.8, 0.6, 0.4), (0.1, 0.3, -0.2), 0.35, "bipolar_sigmoid", 0.2590),
    ],
)
def test_single_neuron(x, w, b, activation, answer):
    neuron = Neuron(inputs=(len(x),), activation=activation)
    neuron.linear.weight.data, neuron.linear.bias.data = torch.tensor([w]), torch.tensor([b])
    assert neuron(torch.tensor([x])).item() == pytest.approx(answer, abs=5e-5)


@pytest.mark.parametrize("targets", [AND, OR], ids=["and", "or"])
def test_perceptron_learns_and_and_or(targets):
    model, y = osler.model("perceptron", inputs=(2,), outputs=1), torch.tensor(targets)
    learned = rosenblatt(model, PAIRS, y)
    assert learned.converged
    assert learned.epochs <= 10
    assert accuracy(model, PAIRS, y) == 1


def test_perceptron_cannot_learn_xor_and_says_so():
    model, y = osler.model("perceptron", inputs=(2,), outputs=1), torch.tensor(XOR)
    learned = rosenblatt(model, PAIRS, y)
    assert not learned.converged
    assert "not linearly separable" in str(learned)
    assert accuracy(model, PAIRS, y) <= 0.75
    # The proof: both classes' means by the certificate are the same point.
    assert torch.equal(learned.certificate[y == 0] @ PAIRS[y == 0].double(), torch.tensor([0.5, 0.5]).double())
    assert torch.equal(learned.certificate[y == 1] @ PAIRS[y == 1].double(), torch.tensor([0.5, 0.5]).double())


def test_mlp_learns_xor():
    torch.manual_seed(0)
    y = torch.tensor(XOR).float().unsqueeze(1)
    model = osler.model("mlp", inputs=(2,), outputs=1, hidden=(8,), activation="tanh")
    optimizer = osler.optimizer("adam", model.parameters(), lr=0.05)
    osler.Trainer(model, osler.loss("binary_cross_entropy"), optimizer=optimizer).fit(all_rows(PAIRS, y), epochs=200)
    assert accuracy(model, PAIRS, y) == 1
    assert torch.allclose(torch.sigmoid(model(PAIRS)), y, atol=0.1)


def test_linear_regression_is_scikit_learns():
    x, y = load_diabetes(return_X_y=True)
    x, y = scale(x), scale(y)
    theirs = LinearRegression().fit(x, y)
    model = osler.model("linear", inputs=(10,), outputs=1).double()
    optimizer = osler.optimizer("nesterov", model.parameters(), lr=0.2, momentum=0.95)
    data = all_rows(torch.tensor(x), torch.tensor(y).unsqueeze(1))
    osler.Trainer(model, osler.loss("half_mse"), optimizer=optimizer).fit(data, epochs=800)
    np.testing.assert_allclose(model.linear.weight[0].detach(), theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(model.linear.bias.item(), theirs.intercept_, atol=1e-3)


def test_logistic_regression_is_scikit_learns():
    x, y = load_breast_cancer(return_X_y=True)
    x = scale(x)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, y)
    model = osler.model("linear", inputs=(30,), outputs=1).double()
    nn.init.zeros_(model.linear.weight)
    # C weighs the summed losses against ½‖w‖²: of the mean loss, that is a decay of 1/(C·N), without the bias.
    groups = [
        {"params": [model.linear.weight], "weight_decay": 1 / len(x)},
        {"params": [model.linear.bias], "weight_decay": 0.0},
    ]
    optimizer = osler.optimizer("nesterov", groups, lr=0.3, momentum=0.95)
    data = all_rows(torch.tensor(x), torch.tensor(y).double().unsqueeze(1))
    osler.Trainer(model, osler.loss("binary_cross_entropy"), optimizer=optimizer).fit(data, epochs=2500)
    np.testing.assert_allclose(model.linear.weight[0].detach(), theirs.coef_[0], atol=1e-3)
    np.testing.assert_allclose(model.linear.bias.item(), theirs.intercept_[0], atol=1e-3)


# ------------------------------------------------------------------------------------------------ 2. activations


@pytest.mark.parametrize(
    ("name", "options", "x", "answer"),
    [
        ("linear", {}, [-1.5, 2.0], [-1.5, 2.0]),
        ("binary_step", {"threshold": 0.5}, [0.4, 0.5, 0.6], [0, 1, 1]),
        ("bipolar_step", {"threshold": 0.5}, [0.4, 0.5, 0.6], [-1, 1, 1]),
        ("ramp", {}, [-1.0, 0.25, 3.0], [0, 0.25, 1]),
        ("sigmoid", {}, [0.0, 0.53], [0.5, 0.6295]),
        ("sigmoid", {"steepness": 2.0}, [0.265], [0.6295]),
        ("bipolar_sigmoid", {}, [0.0, 0.53], [0, 0.2590]),
        ("tanh", {}, [0.265], [0.2590]),
        ("relu", {}, [-2.0, 3.0], [0, 3]),
        ("leaky_relu", {"slope": 0.1}, [-2.0, 3.0], [-0.2, 3]),
        ("prelu", {"slope": 0.25}, [-2.0, 3.0], [-0.5, 3]),
        ("elu", {}, [-1.0, 3.0], [1 / math.e - 1, 3]),
        ("selu", {}, [1.0], [1.0507]),
        ("gelu", {}, [1.0], [0.8413]),  # Φ(1)
        ("silu", {}, [0.0, 1.0], [0, 0.7311]),  # σ(1)
        ("softplus", {}, [0.0], [math.log(2)]),
        ("softmax", {}, [3.2, 1.3, 0.2, 0.8], [0.775, 0.116, 0.039, 0.070]),
    ],
)
def test_activation(name, options, x, answer):
    rounding = 5e-4 if name == "softmax" else 5e-5
    assert osler.activation(name, **options)(torch.tensor(x)).tolist() == pytest.approx(answer, abs=rounding)


@pytest.mark.parametrize(
    ("name", "options", "largest"),
    [
        ("sigmoid", {}, 0.25),
        ("sigmoid", {"steepness": 0.5}, 0.125),
        ("sigmoid", {"steepness": 4.0}, 1.0),
        ("bipolar_sigmoid", {"steepness": 3.0}, 1.5),
        ("tanh", {}, 1.0),
    ],
)
def test_bounds_of_derivatives(name, options, largest):
    x = torch.linspace(-6, 6, 1201, dtype=torch.float64, requires_grad=True)
    y = osler.activation(name, **options)(x)
    y.sum().backward()
    assert x.grad.min() > 0
    assert x.grad.max().item() == pytest.approx(largest)
    assert x.grad.argmax() == 600  # at 0
    if name == "sigmoid":
        steepness = options.get("steepness", 1.0)
        torch.testing.assert_close(x.grad, (steepness * y * (1 - y)).detach())
    if name == "tanh":
        torch.testing.assert_close(x.grad, (1 - y**2).detach())


@pytest.mark.parametrize("name", ["binary_step", "bipolar_step"])
def test_training_a_step_is_refused_with_a_way_out(name):
    x = torch.tensor([1.0], requires_grad=True)
    with pytest.raises(osler.InputError, match="straight_through_step"):
        osler.activation(name)(x).sum().backward()
    osler.activation("straight_through_step")(x).sum().backward()
    assert x.grad.item() == 1


# ----------------------------------------------------------------------------------------------------- 3. losses


@pytest.mark.parametrize(
    ("name", "options", "prediction", "target", "answer"),
    [
        ("mse", {}, [1.0, 2.0, 3.0], [1.0, 2.0, 6.0], 3),
        ("half_mse", {}, [10.0], [6.0], 8),
        ("mae", {}, [1.0, 2.0, 3.0], [1.0, 2.0, 6.0], 1),
        ("mape", {}, [90.0], [100.0], 0.1),
        ("huber", {}, [0.5, 3.0], [0.0, 0.0], (0.125 + 2.5) / 2),
        ("pseudo_huber", {"delta": 3.0}, [4.0], [0.0], 6),
        ("log_cosh", {}, [1e4], [0.0], 1e4 - math.log(2)),
        ("quantile", {"quantile": 0.9}, [0.0, 2.0], [1.0, 1.0], (0.9 + 0.1) / 2),
        ("binary_cross_entropy", {}, [[0.0]], [[1]], math.log(2)),
        ("categorical_cross_entropy", {}, [[0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]], math.log(3)),
        ("sparse_categorical_cross_entropy", {}, [[0.0, 0.0, 0.0]], [2], math.log(3)),
        ("focal", {"gamma": 2.0}, [[0.0]], [[1]], math.log(2) / 4),
        ("hinge", {}, [[0.3]], [[1]], 0.7),
        ("squared_hinge", {}, [[0.3]], [[1]], 0.49),
        ("exponential", {}, [[1.0]], [[0]], math.e),
        ("perceptron", {}, [[0.3]], [[0]], 0.3),
        ("kl_divergence", {}, [[0.0, 0.0]], [[1.0, 0.0]], math.log(2)),
        ("cosine_similarity", {}, [[3.0, 4.0]], [[4.0, 3.0]], 1 / 25),
        ("ctc", {}, [[[0.0, 0.0], [0.0, 0.0]]], [[1]], -math.log(3 / 4)),
    ],
)
def test_loss(name, options, prediction, target, answer):
    loss = osler.loss(name, **options)(torch.tensor(prediction), torch.tensor(target))
    assert loss.item() == pytest.approx(answer, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.1, 0.25])
def test_label_smoothing_turns_1_into_less(smoothing):
    # A loss is least where the prediction is the target that it sees: 0.9 for 1, smoothed by 0.1.
    wanted = 1 - smoothing
    logit = torch.tensor([[math.log(wanted / (1 - wanted))]], dtype=torch.float64, requires_grad=True)
    osler.loss("binary_cross_entropy", label_smoothing=smoothing)(logit, torch.ones(1, 1)).backward()
    assert logit.grad.item() == pytest.approx(0, abs=1e-9)


# ------------------------------------------------------------------------------------------------- 4. optimizers


def test_gradient_descent_on_one_weight():
    # L = ½(6 − w·2)² from w = 5: the gradient is −2(6 − 2·5) = 8, the next w is 5 − 0.1·8 = 4.2, and the end 3.
    w = nn.Parameter(torch.tensor([5.0], dtype=torch.float64))
    optimizer, loss = osler.optimizer("sgd", [w], lr=0.1), osler.loss("half_mse")

    def step():
        optimizer.zero_grad()
        loss(w * 2, torch.tensor([6.0], dtype=torch.float64)).backward()
        optimizer.step()

    step()
    assert w.grad.item() == 8
    assert w.item() == pytest.approx(4.2)
    for _ in range(100):
        step()
    assert w.item() == pytest.approx(3)


def test_gradient_clipping_by_norm_and_by_value():
    from osler.optim import clip_norm, clip_value

    w = nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([3.0, 4.0])
    assert clip_norm([w], 1.0).item() == 5
    assert w.grad.tolist() == pytest.approx([0.6, 0.8])
    w.grad = torch.tensor([3.0, -0.4])
    clip_value([w], 1.0)
    assert w.grad.tolist() == pytest.approx([1.0, -0.4])


# --------------------------------------------------------------------------------------------- 5. initialisation


@pytest.mark.parametrize(
    ("name", "variance", "bound"),
    [
        ("xavier_normal", 2 / 700, None),
        ("xavier_uniform", 2 / 700, math.sqrt(6 / 700)),
        ("he_normal", 2 / 400, None),
        ("he_uniform", 2 / 400, math.sqrt(6 / 400)),
        ("lecun_normal", 1 / 400, None),
        ("lecun_uniform", 1 / 400, math.sqrt(3 / 400)),
        ("zeros", 0, 0),
    ],
)
def test_variance_of_weights(name, variance, bound):
    torch.manual_seed(0)
    weight = osler.initialize(nn.Linear(400, 300), name).weight
    assert weight.var().item() == pytest.approx(variance, rel=0.02)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    if bound is not None:
        assert weight.abs().max().item() == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize(
    ("activation", "variance"),
    [
        *((name, 2 / 400) for name in ("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "softplus")),
        *((name, 2 / 700) for name in ("sigmoid", "bipolar_sigmoid", "tanh", "softmax", "linear")),
        ("selu", 1 / 400),
    ],
)
def test_auto_goes_by_the_activation(activation, variance):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(400, 300), osler.activation(activation))
    assert osler.initialize(layers)[0].weight.var().item() == pytest.approx(variance, rel=0.02)


def test_orthogonal_weights_keep_lengths():
    torch.manual_seed(0)
    weight = INITIALIZERS.create("orthogonal", torch.empty(300, 400, dtype=torch.float64))
    torch.testing.assert_close(weight @ weight.T, torch.eye(300, dtype=torch.float64))


@pytest.mark.parametrize(("name", "stay_identical"), [("zeros", True), ("ones", True), ("xavier_normal", False)])
def test_equal_weights_keep_hidden_units_identical(name, stay_identical):
    torch.manual_seed(0)
    x = torch.randn(60, 3)
    y = (x[:, :1] * x[:, 1:2] > 0).float()
    model = osler.initialize(osler.model("mlp", inputs=(3,), outputs=1, hidden=(5,), activation="sigmoid"), name)
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = osler.optimizer("adam", model.parameters(), lr=0.05)
    osler.Trainer(model, osler.loss("binary_cross_entropy"), optimizer=optimizer).fit(all_rows(x, y), epochs=50)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))  # it did train
    incoming, outgoing = model.hidden[0].linear.weight, model.output.weight.T
    identical = torch.allclose(incoming, incoming[:1]) and torch.allclose(outgoing, outgoing[:1])
    assert identical == stay_identical
