import doctest

import numpy as np
import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.optim import clipping
from osler.optim.clipping import clip_norm, clip_value


def parameters():
    random = np.random.default_rng(0)
    result = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2,))]
    for p in result[:2]:
        p.grad = torch.tensor(random.normal(size=p.shape), dtype=torch.float32)
    return result, np.concatenate([p.grad.numpy().ravel() for p in result[:2]])


def gradients(given):
    return np.concatenate([p.grad.numpy().ravel() for p in given if p.grad is not None])


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_norm(limit):
    given, before = parameters()
    length = np.sqrt((before.astype(float) ** 2).sum())
    found = clip_norm((p for p in given), limit)
    assert isinstance(found, torch.Tensor)
    assert found.item() == pytest.approx(length, rel=1e-6)
    np.testing.assert_allclose(gradients(given), before * min(1, limit / length), rtol=1e-5)


def test_value():
    given, before = parameters()
    clip_value((p for p in given), 0.3)
    np.testing.assert_allclose(gradients(given), before.clip(-0.3, 0.3))


def test_nothing_to_clip():
    assert clip_norm([nn.Parameter(torch.zeros(2))], 1.0).item() == 0
    clip_value([nn.Parameter(torch.zeros(2))], 1.0)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), None])
def test_refusals(limit):
    with pytest.raises(InputError, match="max_norm"):
        clip_norm([], limit)
    with pytest.raises(InputError, match="limit"):
        clip_value([], limit)


def test_doctest():
    assert doctest.testmod(clipping).failed == 0
