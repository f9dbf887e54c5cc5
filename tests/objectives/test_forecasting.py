import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.nn.regression_losses import MeanAbsoluteError, Quantile
from osler.objectives.forecasting import Forecasting
from osler.records import Batch, Task
from osler.training.meter import evaluate

TASK = Task("forecasting", 4, ("oil", "gas"))  # two steps of two series
OUTPUTS = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
AHEAD = torch.tensor([[[1.0, 0.0], [3.0, 6.0]]])


def test_steps_then_series_and_metrics_in_units():
    objective = Forecasting(TASK, MeanAbsoluteError(), ["rmse", "mae", "r2"], mean=[10, 100], std=[1, 10])
    metrics = evaluate(nn.Identity(), objective, [Batch(OUTPUTS, AHEAD)])
    assert metrics["loss"] == 1.0  # 0, 2, 0, 2 in standardised units
    assert metrics["mae"] == 10.0  # 0, 20, 0, 20
    assert metrics["rmse"] == pytest.approx(200**0.5)
    columns = objective.columns(OUTPUTS)
    assert {name: values.tolist() for name, values in columns.items()} == {
        "prediction oil": [11, 13],
        "prediction gas": [120, 140],
    }
    told = objective.told(OUTPUTS, AHEAD)
    assert told["target"].tolist() == [[[11, 100], [13, 160]]]
    assert objective.in_words(told["prediction"][0]) == "11, 120, 13 …"


def test_several_quantiles_by_hand():
    objective = Forecasting.ahead(2, criterion=Quantile([0.1, 0.5, 0.9]))
    outputs = torch.tensor([[0.0, 0.0, 1.0, 1.0, 4.0, 2.0]])  # each quantile's two steps
    assert objective.central(outputs).tolist() == [[[1], [1]]]
    loss = objective.loss(outputs, torch.tensor([[[2.0], [1.0]]]))
    errors = [0.1 * 2, 0.1 * 1, 0.5 * 1, 0, 0.1 * 2, 0.1 * 1]
    assert loss.item() == pytest.approx(sum(errors) / 6)
    columns = objective.columns(outputs)
    assert columns["quantile 0.9"].tolist() == [4, 2]
    assert columns["prediction"].tolist() == [1, 1]
    crossed = torch.tensor([[9.0, 0.0, 1.0, 1.0, 4.0, 2.0]])
    assert objective.shaped(crossed)[0, :, 0, 0].tolist() == [1, 4, 9]


def test_a_step_in_parts_is_the_step_of_the_whole():
    objective = Forecasting.ahead(3, 2, criterion=Quantile([0.2, 0.8]))
    outputs, ahead = torch.randn(6, 12), torch.randn(6, 3, 2)
    (turn,) = objective.turns()
    parts = [Batch(outputs[i : i + 2], ahead[i : i + 2]) for i in (0, 2, 4)]
    outcomes = [turn.loss(nn.Identity(), part) for part in parts]
    counts = [turn.count(outcome.outputs, part) for outcome, part in zip(outcomes, parts, strict=True)]
    whole = sum(o.loss * c for o, c in zip(outcomes, counts, strict=True)) / sum(counts)
    torch.testing.assert_close(whole, objective.evaluate(nn.Identity(), Batch(outputs, ahead)).loss)
    losses = objective.losses(outputs, ahead)
    torch.testing.assert_close(losses.mean(), whole)


def test_networks_that_give_something_else_are_refused():
    objective = Forecasting(TASK, MeanAbsoluteError())
    objective.check(nn.Identity(), Batch(OUTPUTS, AHEAD))
    objective.check(nn.Unflatten(1, (2, 2)), Batch(OUTPUTS, AHEAD))  # a network of one's own may give (N, H, K)
    with pytest.raises(InputError, match=r"it needs \(1, 4\): 2 steps of 2 series"):
        objective.check(nn.Linear(4, 3), Batch(OUTPUTS, AHEAD))
    with pytest.raises(InputError, match="nothing to forecast"):
        objective.check(nn.Identity(), Batch(OUTPUTS))
    with pytest.raises(InputError, match="but a forecast is"):
        objective.check(nn.Identity(), Batch(OUTPUTS, AHEAD[:, :1]))
