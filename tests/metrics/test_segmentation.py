"""Overlap of masks against torchmetrics' Jaccard index, scikit-learn's F1, and answers by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from osler.errors import InputError
from osler.metrics.metrics import metric


def measured(name, classes, predictions, targets):
    found = metric(name, kind="segmentation", outputs=classes)
    for part in zip(predictions.split(7), targets.split(7), strict=True):
        found.update(*part)
    return found.compute().item()


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6))
def test_against_scikit_learn_where_void_counts_nowhere(seed, classes):
    generator = torch.Generator().manual_seed(seed)
    predictions = torch.randint(classes, (40,), generator=generator)
    targets = torch.randint(classes, (40,), generator=generator)
    targets[torch.rand(40, generator=generator) < 0.2] = 255
    known = targets != 255
    true, predicted = targets[known], predictions[known]
    some = torch.cat([true, predicted]).unique().tolist()
    assert measured("accuracy", classes, predictions, targets) == pytest.approx(accuracy_score(true, predicted))
    wanted = jaccard_score(true, predicted, labels=some, average="macro", zero_division=0)
    assert measured("iou", classes, predictions, targets) == pytest.approx(wanted)
    wanted = f1_score(true, predicted, labels=some, average="macro", zero_division=0)
    assert measured("dice", classes, predictions, targets) == pytest.approx(wanted)


def test_by_hand():
    predictions, targets = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 255])
    assert measured("iou", 3, predictions, targets) == pytest.approx((1 / 2 + 1 / 2) / 2)  # class 2 occurs nowhere
    assert measured("dice", 3, predictions, targets) == pytest.approx(2 / 3)
    assert measured("accuracy", 3, predictions, targets) == pytest.approx(2 / 3)


def test_for_segmentation_only():
    with pytest.raises(InputError, match="segmentation"):
        metric("iou", kind="multiclass", outputs=3)
