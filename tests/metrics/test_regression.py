"""Metrics of regression against scikit-learn, fed in chunks."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from osler.metrics.metrics import metric

SCORES = {
    "mse": sklearn.mean_squared_error,
    "mae": sklearn.mean_absolute_error,
    "mape": sklearn.mean_absolute_percentage_error,
    "r2": sklearn.r2_score,
}


def streamed(name, predictions, targets, outputs=1):
    measured = metric(name, kind="regression", outputs=outputs)
    for p, t in zip(np.array_split(predictions, 4), np.array_split(targets, 4), strict=True):
        measured.update(torch.tensor(p), torch.tensor(t))
    return measured.compute().item()


@pytest.mark.parametrize("shape", [(1000,), (1000, 1), (1000, 3)])
def test_scikit_learn(shape):
    random = np.random.default_rng(0)
    targets = random.normal(size=shape) + 2
    predictions = targets + 0.3 * random.normal(size=shape)
    outputs = shape[1] if len(shape) > 1 else 1
    for name, score in SCORES.items():
        assert streamed(name, predictions, targets, outputs) == pytest.approx(score(targets, predictions), rel=1e-5)
    rmse = np.sqrt(((predictions - targets) ** 2).mean())
    assert streamed("rmse", predictions, targets, outputs) == pytest.approx(rmse, rel=1e-6)


@pytest.mark.parametrize(("offset", "scale"), [(2000.0, 1.0), (0.0, 1e-4), (1e6, 10.0)])
def test_r2_of_far_and_small_targets(offset, scale):
    """Single precision would lose the variance of years, a fixed tolerance that of small numbers."""
    random = np.random.default_rng(0)
    targets = (offset + scale * random.normal(size=1000)).astype(np.float32)
    predictions = (targets + 0.3 * scale * random.normal(size=1000)).astype(np.float32)
    expected = sklearn.r2_score(targets.astype(float), predictions.astype(float))
    assert streamed("r2", predictions, targets) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_r2_of_constant_targets(constant):
    targets = np.full(50, constant)
    assert streamed("r2", targets, targets) == 1
    assert streamed("r2", targets + 1, targets) == 0


def test_r2_of_too_little():
    measured = metric("r2", kind="regression")
    measured.update(torch.tensor([1.0]), torch.tensor([2.0]))
    assert measured.compute().isnan()
