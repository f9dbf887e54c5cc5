"""Means over batches, whatever their sizes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, roc_auc_score
from torch import Tensor, nn

from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.objectives.objective import Outcome
from osler.objectives.supervised import Supervised
from osler.records import Batch
from osler.training.meter import NUMBERS_AT_ONCE, Meter, evaluate

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).float()[:, None]
MODEL = nn.Linear(3, 1)
with torch.no_grad():
    MODEL.weight.copy_(torch.tensor([[1.0, -0.5, 0.2]]))


@settings(deadline=None)
@given(st.lists(st.integers(1, 59), max_size=5, unique=True))
def test_the_spread_over_batches_does_not_matter(cuts: list[int]) -> None:
    batches = [Batch(x, y) for x, y in zip(X.tensor_split(sorted(cuts)), Y.tensor_split(sorted(cuts)), strict=True)]
    result = evaluate(MODEL, Classification.binary(metrics=["accuracy", "roc_auc"]), batches)
    logits = MODEL(X).detach()
    assert result["loss"] == pytest.approx(F.binary_cross_entropy_with_logits(logits, Y).item(), rel=1e-5)
    assert result["accuracy"] == pytest.approx(accuracy_score(Y, logits > 0))
    assert result["roc_auc"] == pytest.approx(roc_auc_score(Y, logits), abs=2e-3)
    assert list(result) == ["loss", "accuracy", "roc_auc"]


def test_with_sample_weights_of_mean_one_it_is_the_weighted_mean() -> None:
    weights = torch.rand(60, generator=torch.Generator().manual_seed(1))
    weights /= weights.mean()
    parts = zip(X.split(7), Y.split(7), weights.split(7), strict=True)
    result = evaluate(MODEL, Classification.binary(metrics=[]), [Batch(*part) for part in parts])
    expected = F.binary_cross_entropy_with_logits(MODEL(X), Y, weight=weights[:, None]).item()
    assert result["loss"] == pytest.approx(expected, rel=1e-5)


def test_losses_of_several_turns_have_names() -> None:
    meter = Meter(Supervised(nn.MSELoss()))
    for count, loss in ((1, 1.0), (3, 5.0)):
        meter.add_loss("critic", torch.tensor(loss), count)
        meter.add_loss("", torch.tensor(2 * loss), count)
        meter.add(Outcome(torch.tensor(loss)), Batch(torch.zeros(count)))
    assert meter.result() == {"loss_critic": 4.0, "loss": 8.0}


def test_it_holds_no_more_than_it_must() -> None:
    class Counting(Supervised):
        def metrics(self) -> dict[str, Any]:
            return Classification.multiclass(100, metrics=["accuracy"]).metrics()

        def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
            return outputs, batch.targets

    meter = Meter(Counting(nn.MSELoss()))
    largest = 0
    for _ in range(50):
        outputs, targets = torch.rand(100, 100), torch.randint(100, (100,))
        meter.add(Outcome(outputs.sum(), outputs), Batch(outputs, targets))
        largest = max(largest, sum(predictions.numel() for predictions, _ in meter.waiting))
    assert 0 < largest < NUMBERS_AT_ONCE


def test_no_batch_is_an_error() -> None:
    with pytest.raises(InputError, match="no batch"):
        evaluate(MODEL, Classification.binary(), [])
    assert MODEL.training
