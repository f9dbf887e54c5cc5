"""Every optimizer against torch's own class, against its paper in NumPy float64, and by the rules that all keep."""

import copy
import doctest
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.optim import optimizers
from osler.optim.ftrl import Ftrl
from osler.optim.optimizers import OPTIMIZERS

TORCHS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9}),
    "adadelta": (torch.optim.Adadelta, {}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    "adamax": (torch.optim.Adamax, {}),
    "nadam": (torch.optim.NAdam, {}),
}
DECAYING = [name for name in OPTIMIZERS if name != "ftrl"]


# The papers' algorithms: each takes a gradient function, the start and the number of steps, and gives the end.


def sgd(gradient, w, steps, lr):
    for t in range(1, steps + 1):
        w = w - lr * gradient(w, t)
    return w


def momentum(gradient, w, steps, lr, mu=0.9):
    step = np.zeros_like(w)
    for t in range(1, steps + 1):
        step = mu * step - lr * gradient(w, t)
        w = w + step
    return w


def nesterov(gradient, w, steps, lr, mu=0.9):
    # Sutskever's form: the gradient is taken ahead of the weights; the library's weights are the point ahead.
    step = np.zeros_like(w)
    for t in range(1, steps + 1):
        step = mu * step - lr * gradient(w + mu * step, t)
        w = w + step
    return w + mu * step


def adagrad(gradient, w, steps, lr, eps=1e-10):
    n = np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        n = n + g**2
        w = w - lr * g / (np.sqrt(n) + eps)
    return w


def rmsprop(gradient, w, steps, lr, rho=0.9, eps=1e-8):
    n = np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        n = rho * n + (1 - rho) * g**2
        w = w - lr * g / (np.sqrt(n) + eps)
    return w


def adadelta(gradient, w, steps, lr, rho=0.9, eps=1e-6):
    n, u = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        n = rho * n + (1 - rho) * g**2
        delta = -np.sqrt(u + eps) / np.sqrt(n + eps) * g
        u = rho * u + (1 - rho) * delta**2
        w = w + lr * delta
    return w


def adam(gradient, w, steps, lr, b1=0.9, b2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        w = w - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def adamw(gradient, w, steps, lr, decay=0.01, b1=0.9, b2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        w = w - lr * ((m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps) + decay * w)
    return w


def adamax(gradient, w, steps, lr, b1=0.9, b2=0.999):
    m, u = np.zeros_like(w), np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        m = b1 * m + (1 - b1) * g
        u = np.maximum(b2 * u, np.abs(g))
        w = w - lr / (1 - b1**t) * m / u
    return w


def nadam(gradient, w, steps, lr, b1=0.9, b2=0.999, eps=1e-8):
    m, v, product = np.zeros_like(w), np.zeros_like(w), 1.0
    for t in range(1, steps + 1):
        g = gradient(w, t)
        mu, mu_next = (b1 * (1 - 0.5 * 0.96 ** (0.004 * s)) for s in (t, t + 1))
        product = product * mu
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        w = w - lr * m_hat / (np.sqrt(v / (1 - b2**t)) + eps)
    return w


def ftrl(gradient, w, steps, lr, beta=1.0):
    # McMahan's (2011) theorem: without penalties FTRL-proximal is adaptive gradient descent.
    n = np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w, t)
        n = n + g**2
        w = w - lr / (beta + np.sqrt(n)) * g
    return w


PAPERS = {
    "sgd": (sgd, 0.02),
    "momentum": (momentum, 0.005),
    "nesterov": (nesterov, 0.005),
    "adagrad": (adagrad, 0.3),
    "rmsprop": (rmsprop, 0.01),
    "adadelta": (adadelta, 1.0),
    "adam": (adam, 0.05),
    "adamw": (adamw, 0.05),
    "adamax": (adamax, 0.05),
    "nadam": (nadam, 0.05),
    "ftrl": (ftrl, 0.5),
}


def problem(seed):
    """½‖Aw − bₜ‖² with a new random bₜ at each step, and a start, in float64.

    With a fixed b the adaptive ones end in an oscillation at rounding's mercy: tiny gradients divided by tiny means.
    """
    random = np.random.default_rng(seed)
    return random.normal(size=(12, 5)), random.normal(size=(200, 12)), random.normal(size=5)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_paper(name, seed):
    a, b, start = problem(seed)
    algorithm, lr = PAPERS[name]
    expected = algorithm(lambda w, t: a.T @ (a @ w - b[t - 1]), start, 200, lr)

    w = nn.Parameter(torch.tensor(start))
    optimizer = OPTIMIZERS.create(name, [w], lr=lr)
    a, b = torch.tensor(a), torch.tensor(b)
    for b_now in b:
        optimizer.zero_grad()
        (0.5 * (a @ w - b_now).square().sum()).backward()
        optimizer.step()
    assert np.abs(expected - start).max() > 0.1
    np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("weight_decay", [None, 0.1])
@pytest.mark.parametrize("name", TORCHS)
def test_torch(name, weight_decay):
    """50 steps of a convolution in channels_last equal those of torch's class without fused or foreach kernels."""
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)).double()
    ours = ours.to(memory_format=torch.channels_last)
    theirs = copy.deepcopy(ours)
    options = {} if weight_decay is None else {"weight_decay": weight_decay}
    make, defaults = TORCHS[name]
    mine = OPTIMIZERS.create(name, ours.parameters(), lr=0.01, **options)
    reference = make(theirs.parameters(), lr=0.01, **{**defaults, **options}, foreach=False)
    x = torch.randn(8, 3, 6, 6, dtype=torch.float64).to(memory_format=torch.channels_last)
    y = torch.randn(8, 2, dtype=torch.float64)
    for _ in range(50):
        for model, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resume_in_another_memory_layout(name):
    """State saved from a contiguous network goes on in a channels_last one: fused kernels would mix up the weights."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    whole = nn.Conv2d(3, 4, 3).double()

    def train(model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

    optimizer = OPTIMIZERS.create(name, whole.parameters())
    train(whole, optimizer)
    resumed = copy.deepcopy(whole).to(memory_format=torch.channels_last)
    assert resumed.weight.stride() != whole.weight.stride()
    resumed_optimizer = OPTIMIZERS.create(name, resumed.parameters())
    resumed_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(whole, optimizer)
    train(resumed, resumed_optimizer)
    torch.testing.assert_close(resumed.weight.contiguous(), whole.weight, rtol=1e-9, atol=1e-12)


def test_curriculum():
    """w = 5, x = 2, target 6: the gradient is 8, one step with lr 0.1 gives 4.2, the minimum is at 3."""
    w = nn.Parameter(torch.tensor(5.0, dtype=torch.float64))
    optimizer = OPTIMIZERS.create("sgd", [w], lr=0.1)

    def step():
        optimizer.zero_grad()
        (0.5 * (6 - 2 * w) ** 2).backward()
        optimizer.step()

    step()
    assert w.grad.item() == 8
    assert w.item() == pytest.approx(4.2, abs=1e-12)
    for _ in range(100):
        step()
    assert w.item() == pytest.approx(3, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_downhill(name, dtype):
    w = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=dtype))
    optimizer = OPTIMIZERS.create(name, [w], lr=0.05)
    before = w.detach().clone()
    for _ in range(20):
        optimizer.zero_grad()
        w.square().sum().backward()
        optimizer.step()
    assert w.dtype == dtype
    assert w.square().sum() < before.square().sum()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_conformance(name):
    docs = OPTIMIZERS[name].__doc__
    assert docs.splitlines()[0].endswith(".")
    for part in ("Formula:", "Shapes:", "Defaults:", "Raises:", "Source:"):
        assert part in docs, part

    def train(model, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().mean().backward()
            optimizer.step()

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = OPTIMIZERS.create(name, model.parameters())
    assert isinstance(optimizer, torch.optim.Optimizer)
    train(model, optimizer, 3)
    copied_model, copied_optimizer = copy.deepcopy((model, optimizer))
    loaded_model = copy.deepcopy(model)
    loaded_optimizer = OPTIMIZERS.create(name, loaded_model.parameters(), lr=0.5)
    loaded_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(model, optimizer, 3)
    train(copied_model, copied_optimizer, 3)
    train(loaded_model, loaded_optimizer, 3)
    for other in (copied_model, loaded_model):
        torch.testing.assert_close(other.weight, model.weight, rtol=0, atol=0)
        torch.testing.assert_close(other.bias, model.bias, rtol=0, atol=0)


@pytest.mark.parametrize("name", DECAYING)
def test_weight_decay_shrinks(name):
    w = nn.Parameter(torch.tensor([2.0]))
    optimizer = OPTIMIZERS.create(name, [w], weight_decay=0.5)
    w.grad = torch.zeros(1)
    optimizer.step()
    assert 0 < w.item() < 2


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("Batch gradient descent", "sgd"),
        ("stochastic-gradient-descent", "sgd"),
        ("mini-batch gradient descent", "sgd"),
        ("sgd+momentum", "momentum"),
        ("NAG", "nesterov"),
        ("AdamW", "adamw"),
        ("RMSprop", "rmsprop"),
    ],
)
def test_aliases(alias, name):
    assert OPTIMIZERS.resolve(alias) == name


def test_kernels():
    w = [nn.Parameter(torch.zeros(2))]
    for name in ("sgd", "momentum", "nesterov", "adagrad", "adam", "adamw"):
        assert OPTIMIZERS.create(name, w).param_groups[0]["fused"] is True
    assert not OPTIMIZERS.create("adam", [torch.zeros(2, device="meta")]).param_groups[0]["fused"]


def test_groups_and_names():
    layer = nn.Linear(2, 2)
    groups = [{"params": layer.weight, "weight_decay": 0.5}, {"params": (p for p in [layer.bias]), "lr": 1.0}]
    optimizer = OPTIMIZERS.create("adam", groups, lr=0.1)
    assert [(g["lr"], g["weight_decay"], len(g["params"])) for g in optimizer.param_groups] == [
        (0.1, 0.5, 1),
        (1, 0, 1),
    ]
    assert len(OPTIMIZERS.create("sgd", layer.named_parameters()).param_groups[0]["params"]) == 2
    assert len(OPTIMIZERS.create("sgd", layer).param_groups[0]["params"]) == 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("sgd", {"lr": 0.0}, "lr must be a finite number above 0, got 0.0"),
        ("sgd", {"lr": "0.1"}, "got '0.1'"),
        ("adam", {"lr": float("nan")}, "got nan"),
        ("adam", {"betas": (0.9, 1.0)}, r"betas\[1\] must be at least 0 and below 1, got 1.0"),
        ("adam", {"betas": 0.9}, "two numbers"),
        ("adam", {"weight_decay": -1}, "weight_decay"),
        ("momentum", {"momentum": 1.0}, "momentum"),
        ("nesterov", {"momentum": 0.0}, "momentum"),
        ("rmsprop", {"alpha": 2.0}, "alpha"),
        ("ftrl", {"beta": 0.0}, "beta"),
        ("ftrl", {"l1": -0.1}, "l1"),
        ("adam", {"beta": 0.9}, "did you mean 'betas'"),
    ],
)
def test_bad_numbers(name, options, words):
    with pytest.raises(InputError, match=words):
        OPTIMIZERS.create(name, [nn.Parameter(torch.zeros(2))], **options)


@pytest.mark.parametrize(
    "parameters", [[], torch.zeros(2), 3, ["w"], [{"weights": []}], [torch.zeros(2) + nn.Parameter(torch.ones(2))]]
)
def test_bad_parameters(parameters):
    with pytest.raises(InputError):
        OPTIMIZERS.create("adam", parameters)


def test_unknown_name():
    with pytest.raises(InputError, match="'adam'"):
        OPTIMIZERS.create("adamm", [nn.Parameter(torch.zeros(2))])


def test_doctest():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert doctest.testmod(optimizers).failed == 0
    assert OPTIMIZERS["ftrl"].__doc__ == Ftrl.__doc__


@pytest.mark.parametrize(("name", "options"), [("momentum", {}), ("nesterov", {"nesterov": True})])
def test_sgd_with_momentum_is_the_optimizer_of_that_name(name: str, options: dict[str, bool]) -> None:
    ours, named = (torch.nn.Parameter(torch.tensor([5.0, -3.0])) for _ in range(2))
    by_option = OPTIMIZERS.create("sgd", [ours], lr=0.05, momentum=0.9, **options)
    by_name = OPTIMIZERS.create(name, [named], lr=0.05)
    for _ in range(20):
        for w, optimizer in ((ours, by_option), (named, by_name)):
            optimizer.zero_grad()
            (w**2).sum().backward()
            optimizer.step()
    assert torch.equal(ours, named)
    assert not torch.equal(ours, torch.tensor([5.0, -3.0]))
