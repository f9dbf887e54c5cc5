"""FTRL against the paper's algorithm 1, written per coordinate in NumPy."""

import copy
import doctest
import math
import shutil

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from osler.errors import InputError
from osler.optim import ftrl
from osler.optim.ftrl import Ftrl


class Algorithm1:
    """McMahan et al. 2013, coordinate by coordinate, in Python floats."""

    def __init__(self, size, alpha, beta, l1, l2):
        self.alpha, self.beta, self.l1, self.l2 = alpha, beta, l1, l2
        self.z, self.n = [0.0] * size, [0.0] * size

    def weight(self, i):
        if abs(self.z[i]) <= self.l1:
            return 0.0
        rate = 1 / ((self.beta + math.sqrt(self.n[i])) / self.alpha + self.l2)
        return -rate * (self.z[i] - math.copysign(self.l1, self.z[i]))

    def weights(self):
        return [self.weight(i) for i in range(len(self.z))]

    def step(self, gradient):
        for i, g in enumerate(gradient):
            if g:  # a coordinate that isn't in the sample stays untouched
                sigma = (math.sqrt(self.n[i] + g * g) - math.sqrt(self.n[i])) / self.alpha
                self.z[i] += g - sigma * self.weight(i)
                self.n[i] += g * g


@pytest.mark.parametrize(
    ("alpha", "beta", "l1", "l2"),
    [(0.1, 1.0, 0.0, 0.0), (0.1, 1.0, 0.7, 0.0), (0.5, 0.1, 0.0, 2.0), (0.5, 1.0, 1.0, 1.0), (3.0, 2.0, 0.2, 0.01)],
)
def test_algorithm_1(alpha, beta, l1, l2):
    """Step by step on random sparse gradients; zeros are exact and in the same places."""
    random = np.random.default_rng(0)
    w = nn.Parameter(torch.zeros(40, dtype=torch.float64))
    optimizer = Ftrl([w], lr=alpha, beta=beta, l1=l1, l2=l2)
    reference = Algorithm1(40, alpha, beta, l1, l2)
    for _ in range(300):
        gradient = random.normal(size=40) * (random.random(40) < 0.1)
        w.grad = torch.tensor(gradient)
        optimizer.step()
        reference.step(gradient)
        expected = np.array(reference.weights())
        np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-9, atol=1e-14)
        np.testing.assert_array_equal(w.detach().numpy() == 0, expected == 0)


def test_schedule():
    """A changing rate leaves weights without gradient where they are, and follows σ = 1/ηₜ − 1/ηₜ₋₁."""
    random = np.random.default_rng(1)
    beta, l1, l2 = 1.0, 0.5, 0.3
    w = nn.Parameter(torch.tensor(random.normal(size=6)))
    w_expected, z, d, n = w.detach().numpy().copy(), np.zeros(6), np.zeros(6), np.zeros(6)
    optimizer = Ftrl([w], beta=beta, l1=l1, l2=l2)
    for t in range(100):
        alpha = 0.2 + 0.19 * math.cos(t / 5)
        gradient = random.normal(size=6)
        n += gradient**2
        d_new = (beta + np.sqrt(n)) / alpha
        z += gradient - (d_new - d) * w_expected
        d = d_new
        w_expected = np.where(np.abs(z) <= l1, 0, -(z - np.sign(z) * l1) / (d + l2))
        optimizer.param_groups[0]["lr"] = alpha
        w.grad = torch.tensor(gradient)
        optimizer.step()
        np.testing.assert_allclose(w.detach().numpy(), w_expected, rtol=1e-9, atol=1e-12)
    optimizer.param_groups[0]["lr"] = 1e-3
    before = w.detach().clone()
    w.grad = torch.zeros_like(w)
    optimizer.step()
    torch.testing.assert_close(w.detach(), before, rtol=1e-9, atol=1e-12)
    optimizer.param_groups[0]["lr"] = 0.0
    w.grad = torch.ones_like(w)
    before = w.detach().clone()
    optimizer.step()
    assert torch.equal(w, before)


def test_random_start_is_kept():
    """A network's initial weights are where the steps start from, not pulled to 0."""
    w = nn.Parameter(torch.randn(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    before = w.detach().clone()
    w.grad = torch.full_like(w, 1e-4)
    Ftrl([w], lr=0.1, beta=1.0).step()
    torch.testing.assert_close(w.detach(), before - 0.1 * 1e-4 / (1 + 1e-4), rtol=0, atol=1e-12)


def test_adagrad():
    """Without penalties it is Adagrad with eps = beta."""
    torch.manual_seed(0)
    ours = nn.Linear(7, 5).double()
    theirs = copy.deepcopy(ours)
    mine = Ftrl(ours.parameters(), lr=0.3, beta=0.7)
    reference = torch.optim.Adagrad(theirs.parameters(), lr=0.3, eps=0.7)
    for _ in range(50):
        x = torch.randn(4, 7, dtype=torch.float64)
        for model, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-10, atol=1e-12)


def random_parameters(shapes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype)) for shape in shapes]


def test_blocks():
    """Large and small, flat and strided tensors go through the blocks as through one tensor each."""
    size = ftrl.BLOCK
    shapes = [(3,), (2 * size + 17,), (), (4, 3, 5, 5), (size - 5,), (7, size // 4)]
    together = random_parameters(shapes)
    together[3].data = together[3].data.to(memory_format=torch.channels_last)
    together[5].data = together[5].data.t()
    alone = copy.deepcopy(together)
    joint = Ftrl(together, l1=0.1, l2=0.1)
    single = [Ftrl([p], l1=0.1, l2=0.1) for p in alone]
    for step in range(3):
        for p, q in zip(together, alone, strict=True):
            generator = torch.Generator().manual_seed(step)
            p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)
            q.grad = p.grad.clone()
        joint.step()
        for optimizer in single:
            optimizer.step()
    for p, q in zip(together, alone, strict=True):
        assert torch.equal(p, q)
    # And one of them against the formula as it stands.
    w, n, r = random_parameters(shapes)[1].detach(), torch.zeros(shapes[1]).double(), torch.zeros(shapes[1]).double()
    for step in range(3):
        g = torch.randn(w.shape, generator=torch.Generator().manual_seed(step), dtype=w.dtype)
        n = n + g**2
        d = (1 + n.sqrt()) / 0.1
        v = d * w - g + r
        r = v.clamp(-0.1, 0.1)
        w = (v - r) / (d + 0.1)
        r = r + 0.1 * w
    torch.testing.assert_close(together[1].detach(), w, rtol=1e-10, atol=1e-12)


def test_groups_none_and_closure():
    w, frozen, other = (nn.Parameter(torch.tensor([1.0])) for _ in range(3))
    optimizer = Ftrl([{"params": [w, frozen], "l1": 5.0}, {"params": [other], "lr": 0.5}], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = w.sum() + other.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert w.item() == pytest.approx((2 * 10 - 1 - 5) / 20)  # d = (1 + 1)/0.1
    assert frozen.item() == 1
    assert frozen not in optimizer.state
    assert other.item() == pytest.approx(1 - 0.5 / 2)


def test_state_dict():
    torch.manual_seed(0)
    w = nn.Parameter(torch.randn(10))
    optimizer = Ftrl([w], l1=0.1)
    gradients = torch.randn(6, 10)
    for g in gradients[:3]:
        w.grad = g
        optimizer.step()
    again = nn.Parameter(w.detach().clone())
    loaded = Ftrl([again], lr=9.0)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for g in gradients[3:]:
        w.grad, again.grad = g, g.clone()
        optimizer.step()
        loaded.step()
    assert torch.equal(w, again)


def test_fused(monkeypatch):
    """The compiled update equals the other one; a schedule doesn't compile it anew."""
    calls = []

    def compiled(function, **options):
        calls.append(options)
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(ftrl, "LARGE", 16)
    ftrl._compiled.cache_clear()
    plain, fused = (random_parameters([(40,), (3,)]) for _ in range(2))
    optimizers = [Ftrl(plain, l1=0.2, l2=0.1), Ftrl(fused, l1=0.2, l2=0.1, fused=True)]
    for step in range(5):
        for parameters, optimizer in zip((plain, fused), optimizers, strict=True):
            for p in parameters:
                p.grad = p.detach().cos()
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            optimizer.step()
    ftrl._compiled.cache_clear()
    assert len(calls) == 1
    for p, q in zip(plain, fused, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, while it compiles
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled():
    """The real compilation, on a tensor just large enough, with a rate that changes."""
    plain, fused = (random_parameters([(512, ftrl.LARGE // 512), (3,)]) for _ in range(2))
    optimizers = [Ftrl(plain, l1=0.2, l2=0.1), Ftrl(fused, l1=0.2, l2=0.1, fused=True)]
    for step in range(4):
        for parameters, optimizer in zip((plain, fused), optimizers, strict=True):
            for p in parameters:
                p.grad = p.detach().cos()
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            optimizer.step()
    for p, q in zip(plain, fused, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_refusals():
    w = nn.Parameter(torch.zeros(4, 2))
    with pytest.raises(InputError, match="lr"):
        Ftrl([{"params": [w], "lr": -1.0}])
    with pytest.raises(InputError, match="l2"):
        Ftrl([{"params": [w], "weight_decay": 0.1}])
    with pytest.raises(InputError, match="complex"):
        Ftrl([nn.Parameter(torch.zeros(2, dtype=torch.complex64))])
    embedding = nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="dense gradients"):
        Ftrl(embedding.parameters()).step()


def test_sparse_logistic_regression():
    """λ1 = 12 on 2,000 inputs of which 20 matter: at least 90 % exact zeros, AUC within 0.005 of the dense solution."""
    random = np.random.default_rng(0)
    inputs, useful, rows = 2000, 20, 6000
    x = (random.random((rows, inputs)) < 0.02).astype(np.float32)
    x[:, :useful] = random.random((rows, useful)) < 0.3
    truth = np.zeros(inputs)
    truth[:useful] = np.where(np.arange(useful) % 2, 2.0, -2.0)
    y = (random.random(rows) < 1 / (1 + np.exp(-(x @ truth)))).astype(np.float32)
    x, y = torch.tensor(x), torch.tensor(y)

    def trained(l1):
        w = nn.Parameter(torch.zeros(inputs))
        optimizer = Ftrl([w], lr=0.1, beta=1.0, l1=l1)
        for _ in range(2):
            for rows_x, rows_y in zip(x[:4000].split(10), y[:4000].split(10), strict=True):
                optimizer.zero_grad()
                nn.functional.binary_cross_entropy_with_logits(rows_x @ w, rows_y, reduction="sum").backward()
                optimizer.step()
        w = w.detach()
        return (w == 0).float().mean().item(), roc_auc_score(y[4000:], x[4000:] @ w)

    dense_zeros, dense_auc = trained(l1=0.0)
    zeros, auc = trained(l1=12.0)
    assert dense_zeros < 0.01
    assert zeros >= 0.9
    assert dense_auc > 0.8
    assert auc >= dense_auc - 0.005


def test_doctest():
    assert doctest.testmod(ftrl).failed == 0
