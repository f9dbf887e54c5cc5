"""Metrics of classification against scikit-learn, fed in chunks."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from osler.metrics.metrics import metric


def streamed(name, kind, probabilities, targets, outputs=1, **options):
    measured = metric(name, kind=kind, outputs=outputs, **options)
    for p, t in zip(np.array_split(probabilities, 4), np.array_split(targets, 4), strict=True):
        measured.update(torch.tensor(p), torch.tensor(t))
    return measured.compute().numpy()


def binary(rows=2000, signal=1.0, column=False, seed=0):
    random = np.random.default_rng(seed)
    targets = (random.random(rows) < 0.3).astype(np.int64)
    probabilities = 1 / (1 + np.exp(-random.normal(signal * (2 * targets - 1), 1.5)))
    return (probabilities[:, None], targets[:, None]) if column else (probabilities, targets)


def multiclass(rows=2000, classes=5, seed=0):
    random = np.random.default_rng(seed)
    targets = random.choice(classes, rows, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    scores = random.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[targets]
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True), targets


def multilabel(rows=2000, labels=4, seed=0):
    random = np.random.default_rng(seed)
    targets = (random.random((rows, labels)) < [0.5, 0.2, 0.1, 0.7]).astype(np.int64)
    return 1 / (1 + np.exp(-random.normal(2 * targets - 1, 1.5))), targets


SCORES = {
    "precision": sklearn.precision_score,
    "recall": sklearn.recall_score,
    "f1": sklearn.f1_score,
}


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("threshold", [0.5, 0.2])
def test_binary(column, threshold):
    p, t = binary(column=column)
    yes = (p > threshold).ravel()
    expected = {
        "accuracy": sklearn.accuracy_score(t, yes),
        "balanced_accuracy": sklearn.balanced_accuracy_score(t, yes),
        "confusion_matrix": sklearn.confusion_matrix(t, yes),
        **{name: score(t, yes) for name, score in SCORES.items()},
    }
    for name, value in expected.items():
        np.testing.assert_allclose(streamed(name, "binary", p, t, threshold=threshold), value, rtol=1e-6)


def test_multiclass():
    p, t = multiclass()
    guess = p.argmax(1)
    expected = {
        "accuracy": sklearn.accuracy_score(t, guess),
        "balanced_accuracy": sklearn.balanced_accuracy_score(t, guess),
        "confusion_matrix": sklearn.confusion_matrix(t, guess),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(streamed(name, "multiclass", p, t, 5), value, rtol=1e-6)
    for k in (1, 2, 4):
        value = streamed("top_k_accuracy", "multiclass", p, t, 5, k=k)
        assert value == pytest.approx(sklearn.top_k_accuracy_score(t, p, k=k), rel=1e-6)
    for name, score in SCORES.items():
        for average in ("micro", "macro", "weighted"):
            value = streamed(name, "multiclass", p, t, 5, average=average)
            assert value == pytest.approx(score(t, guess, average=average), rel=1e-5)
        assert streamed(name, "multiclass", p, t, 5) == pytest.approx(score(t, guess, average="macro"), rel=1e-5)


def test_multilabel():
    p, t = multilabel()
    yes = p > 0.5
    assert streamed("accuracy", "multilabel", p, t, 4) == pytest.approx(1 - sklearn.hamming_loss(t, yes), rel=1e-6)
    confusion = sklearn.multilabel_confusion_matrix(t, yes)
    np.testing.assert_array_equal(streamed("confusion_matrix", "multilabel", p, t, 4), confusion)
    for name, score in SCORES.items():
        for average in ("micro", "macro", "weighted"):
            value = streamed(name, "multilabel", p, t, 4, average=average)
            assert value == pytest.approx(score(t, yes, average=average), rel=1e-5)


AREAS = {"roc_auc": sklearn.roc_auc_score, "pr_auc": sklearn.average_precision_score}


@pytest.mark.parametrize("name", AREAS)
def test_areas(name):
    score = AREAS[name]
    p, t = binary(column=True)
    assert streamed(name, "binary", p, t) == pytest.approx(score(t.ravel(), p.ravel()), abs=1e-3)
    p, t = multiclass()
    one_against_rest = np.mean([score(t == c, p[:, c]) for c in range(5)])
    assert streamed(name, "multiclass", p, t, 5) == pytest.approx(one_against_rest, abs=1e-3)
    p, t = multilabel()
    assert streamed(name, "multilabel", p, t, 4) == pytest.approx(score(t, p, average="macro"), abs=1e-3)


@pytest.mark.parametrize("name", AREAS)
def test_areas_are_exact_on_thresholds(name):
    """Probabilities that never share a bin unless they are equal: the exact value, ties included."""
    random = np.random.default_rng(0)
    p = random.integers(0, 21, 500) / 20
    t = (random.random(500) < p).astype(np.int64)
    assert streamed(name, "binary", p, t) == pytest.approx(AREAS[name](t, p), abs=1e-6)


@pytest.mark.parametrize("name", AREAS)
@pytest.mark.parametrize("squeeze", [lambda p: 0.495 + 0.01 * p, lambda p: 1 - 1e-6 * (1 - p), lambda p: 1e-6 * p])
def test_areas_of_undecided_and_sure_networks(name, squeeze):
    p, t = binary(rows=5000)
    p = squeeze(p).astype(np.float32)
    tolerance = {"roc_auc": 0.002, "pr_auc": 0.02}[name]
    assert streamed(name, "binary", p, t) == pytest.approx(AREAS[name](t, p), abs=tolerance)


def test_areas_that_are_not_defined():
    p = np.array([0.1, 0.6, 0.3, 0.9])
    for name in AREAS:
        for t in (np.zeros(4, int), np.ones(4, int)):
            assert np.isnan(streamed(name, "binary", p, t))
    # A class that is absent does not count; the others are as without it.
    p, t = multiclass(classes=3)
    with_absent = np.concatenate([p * 0.9, np.full((len(p), 1), 0.1)], axis=1)
    for name, score in AREAS.items():
        expected = np.mean([score(t == c, p[:, c]) for c in range(3)])
        assert streamed(name, "multiclass", with_absent, t, 4) == pytest.approx(expected, abs=1e-3)


def test_absent_class():
    """A class that neither occurs nor is predicted does not count; one that is predicted only does, as 0."""
    p = np.eye(4)[[0, 0, 1, 1, 0, 2]]
    t = np.array([0, 0, 1, 0, 0, 1])
    guess = p.argmax(1)
    for name, score in SCORES.items():
        expected = score(t, guess, average="macro", zero_division=0)
        assert streamed(name, "multiclass", p, t, 4) == pytest.approx(expected, rel=1e-6)
    # Balanced accuracy is about the classes that occur: 3 of 4 and 1 of 2.
    assert streamed("balanced_accuracy", "multiclass", p, t, 4) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_no_positives():
    p, t = np.array([0.1, 0.2, 0.3, 0.4]), np.zeros(4, int)
    for name in SCORES:
        assert streamed(name, "binary", p, t) == 0
    assert streamed("balanced_accuracy", "binary", p, t) == 1


def expected_calibration_error(confidence, hits, bins):
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for i, (low, high) in enumerate(pairwise(edges)):
        inside = (confidence >= low) & ((confidence < high) | ((i == bins - 1) & (confidence == 1)))
        if inside.any():
            total += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error(bins):
    p, t = binary(column=True)
    expected = expected_calibration_error(p.ravel(), t.ravel(), bins)
    assert streamed("calibration_error", "binary", p, t, bins=bins) == pytest.approx(expected, rel=1e-6)
    p, t = multiclass()
    expected = expected_calibration_error(p.max(1), p.argmax(1) == t, bins)
    assert streamed("calibration_error", "multiclass", p, t, 5, bins=bins) == pytest.approx(expected, rel=1e-6)
    p, t = multilabel()
    expected = expected_calibration_error(p.ravel(), t.ravel(), bins)
    assert streamed("calibration_error", "multilabel", p, t, 4, bins=bins) == pytest.approx(expected, rel=1e-6)


def test_calibration_by_hand():
    """Ten times 0.75, right five times; two times 1, right both: 10/12 · 0.25."""
    p, t = np.array([0.75] * 10 + [1.0] * 2), np.array([1, 0] * 5 + [1, 1])
    assert streamed("calibration_error", "binary", p, t) == pytest.approx(10 / 12 * 0.25)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_precisions(dtype):
    p, t = torch.tensor([0.9, 0.2, 0.7, 0.4], dtype=dtype), torch.tensor([1, 0, 0, 1])
    for name, expected in {"accuracy": 0.5, "roc_auc": 0.75, "calibration_error": 0.4, "f1": 0.5}.items():
        measured = metric(name, kind="binary")
        measured.update(p, t)
        assert measured.compute().item() == pytest.approx(expected, abs=1e-2)
