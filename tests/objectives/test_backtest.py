import pytest
import torch

from osler.nn.regression_losses import MeanSquaredError, Quantile
from osler.objectives.backtest import Backtest, baselines, naive, seasonal_naive
from osler.objectives.forecasting import Forecasting
from osler.records import Batch, Task

PAST = torch.tensor([[[1.0, 9], [2, 9], [3, 9], [4, 9]]])  # the second column is only looked at


def test_what_costs_nothing_by_hand():
    assert naive(PAST, 3, 1)[0, :, 0].tolist() == [4, 4, 4]
    assert seasonal_naive(PAST, 5, 1, 2)[0, :, 0].tolist() == [3, 4, 3, 4, 3]
    assert seasonal_naive(PAST, 2, 1, 4)[0, :, 0].tolist() == [1, 2]


def test_errors_by_step_and_skill_by_hand():
    objective = Forecasting(Task("forecasting", 2, ("x",)), MeanSquaredError(), mean=[5], std=[10])
    test = Backtest(objective, season=2)
    test.add(Batch(PAST, torch.tensor([[[4.0], [6.0]]])), torch.tensor([[4.0, 5.0]]))
    test.add(Batch(PAST, torch.tensor([[[2.0], [4.0]]])), torch.tensor([[2.0, 6.0]]))
    record = test.record()
    assert record["windows"] == 2
    model, last, season = (record["forecasts"][name] for name in ("model", "naive", "seasonal naive"))
    assert model["mse_standardised"] == pytest.approx((0 + 1 + 0 + 4) / 4)
    assert model["mae_standardised"] == pytest.approx(3 / 4)
    assert model["rmse_by_step"] == pytest.approx([0, 10 * 2.5**0.5])
    assert model["mae_by_step"] == pytest.approx([0, 15])
    assert last["mse_standardised"] == pytest.approx((0 + 4 + 4 + 0) / 4)  # 4, 4 against 4, 6 and 2, 4
    assert season["mse_standardised"] == pytest.approx((1 + 4 + 1 + 0) / 4)  # 3, 4
    assert record["skill"] == pytest.approx({"naive": 1 - 1.25 / 2, "seasonal naive": 1 - 1.25 / 1.5})
    assert baselines(record)["naive"]["rmse"] == pytest.approx(10 * 2**0.5)


def test_no_season_no_seasonal_forecast():
    objective = Forecasting.ahead(1)
    for season in (1, 9):  # none, and one longer than what is looked at
        test = Backtest(objective, season)
        test.add(Batch(PAST, torch.zeros(1, 1, 1)), torch.zeros(1, 1))
        assert list(test.record()["forecasts"]) == ["model", "naive"]


def test_how_much_lies_between_the_quantiles():
    test = Backtest(Forecasting.ahead(2, criterion=Quantile([0.1, 0.9])))
    test.add(Batch(PAST, torch.tensor([[[1.0], [5.0]]])), torch.tensor([[0.0, 0.0, 2.0, 2.0]]))
    assert test.record()["inside"] == {"wanted": pytest.approx(0.8), "share": 0.5}
