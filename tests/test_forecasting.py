"""Forecasts from end to end: from a table with times to the values after its end."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import osler
from osler.cli import app
from osler.errors import InputError
from osler.forecasting import backtest, forecast, table

SETTINGS = {"horizon": 6, "window": 24, "epochs": 30, "verbose": False}


def sales(months=150, **columns):
    """Growing sales with a year's season, and their costs three months before."""
    t = np.arange(months)
    chance = np.random.default_rng(0).normal(size=months)
    x = (100 + t) * (1 + 0.3 * np.sin(2 * np.pi * t / 12)) + chance
    dates = pd.date_range("2010-01-31", periods=months, freq="ME").astype(str)
    return pd.DataFrame({"month": dates, "sales": x, **columns})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("forecast")
    sales().to_csv(place / "sales.csv", index=False)
    return osler.train(str(place / "sales.csv"), out=place / "run", **SETTINGS)


def test_it_beats_what_costs_nothing_and_says_so(run):
    assert run.record["task"]["kind"] == "forecasting"
    assert run.record["baselines"].keys() == {"naive", "seasonal naive"}
    assert run.record["baselines"]["seasonal naive"]["skill"] > 0.5
    assert run.metrics.keys() == {"loss", "rmse", "mae", "mse_standardised", "mae_standardised"}
    assert run.metrics["loss"] == pytest.approx(run.metrics["mse_standardised"], rel=1e-4)
    assert run.recipe.model.name == "dlinear"
    page = (run.folder / "report.html").read_text()
    assert "Error by steps ahead" in page
    assert "sales: forecast and truth" in page
    assert "seasonal naive" in page


def test_the_doctor_has_nothing_against_the_advised_recipe(run):
    assert [f.ailment for f in run.findings if f.severity != "hint"] == []


def test_baselines_are_those_of_the_table(run):
    values = sales()["sales"].to_numpy()
    parts = run.record["data"]["parts"]
    origins = np.arange(150 - parts["test"] - 5, 150 - 5)  # of the test part: a forecast from each
    errors = np.array([[values[o + h] - values[o - 12 + h] for h in range(6)] for o in origins])
    assert run.record["baselines"]["seasonal naive"]["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-4)
    errors = np.array([[values[o + h] - values[o - 1] for h in range(6)] for o in origins])
    assert run.record["baselines"]["naive"]["mae"] == pytest.approx(np.abs(errors).mean(), rel=1e-4)


def test_dates_go_on_and_the_folder_alone_is_enough(run):
    loaded = osler.load(run.folder)
    ahead = loaded.forecast()
    assert ahead["month"].astype(str).tolist()[:2] == ["2022-07-31", "2022-08-31"]
    assert len(ahead) == 6
    t = np.arange(150, 156)
    truth = (100 + t) * (1 + 0.3 * np.sin(2 * np.pi * t / 12))
    assert np.abs(ahead["prediction"] / truth - 1).max() < 0.15
    pd.testing.assert_frame_equal(loaded.predict(sales()), ahead)  # the same series, given again
    longer = loaded.forecast(steps=15)
    assert len(longer) == 15
    assert str(longer["month"].iloc[-1])[:10] == "2023-09-30"
    pd.testing.assert_frame_equal(longer[:6], ahead)
    assert len(loaded.forecast(steps=2)) == 2


def test_rolling_origins(run):
    kept = backtest(run)
    assert kept["windows"] == run.record["data"]["parts"]["test"]
    every = backtest(run, sales())
    assert every["windows"] == 150 - 24 - 6 + 1
    assert len(every["forecasts"]["model"]["rmse_by_step"]) == 6
    evaluated = run.evaluate(sales())
    assert evaluated["mse_standardised"] == every["forecasts"]["model"]["mse_standardised"]
    assert evaluated["rmse"] == pytest.approx(every["forecasts"]["model"]["rmse"], rel=1e-4)
    assert "seasonal naive" in table(every)


def test_the_shell_says_the_same(run, tmp_path, capsys):
    app(["forecast", str(run.folder)], standalone_mode=False)
    assert capsys.readouterr().out.startswith("month,prediction\n2022-07-31,")
    app(["forecast", str(run.folder), "--steps", "2", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["predictions"][1]["month"] == "2022-08-31"
    app(["forecast", str(run.folder), "--backtest"], standalone_mode=False)
    assert "skill over seasonal naive" in capsys.readouterr().out
    app(["forecast", str(run.folder), "--out", str(tmp_path / "f.csv")], standalone_mode=False)
    assert len(pd.read_csv(tmp_path / "f.csv")) == 6


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (sales().rename(columns={"sales": "x"}), "unknown target column 'sales'|lacks the columns"),
        (sales(20), "20 rows, but a forecast looks back 24"),
        (sales().assign(month=pd.date_range("2020-01-01", periods=150).astype(str)), "is every day, but"),
    ],
)
def test_another_series_is_refused(run, data, said):
    with pytest.raises(InputError, match=said):
        run.forecast(data)


def test_a_damaged_end_and_impossible_steps(run, tmp_path):
    with pytest.raises(InputError, match="at least 1"):
        forecast(run, steps=0)
    with pytest.raises(InputError, match="too few to compare"):
        run.evaluate(sales(28))
    kept = (run.folder / "series.json").read_text()
    try:
        (run.folder / "series.json").write_text('{"times": [], "values": []}')
        with pytest.raises(InputError, match="damaged"):
            run.forecast()
    finally:
        (run.folder / "series.json").write_text(kept)


def test_what_else_is_known_helps_but_is_not_foretold(tmp_path):
    frame = sales(costs=np.roll(sales()["sales"].to_numpy(), -3))
    for model in ("dlinear", {"name": "gru", "hidden": 8}):
        out = tmp_path / str(type(model).__name__)
        settings = {**SETTINGS, "epochs": 2, "doctor": False}
        run = osler.train(frame, target="sales", model=model, out=out, **settings)
        assert run.record["network"]["inputs"] == [24, 4]  # sales, costs, and the month on a circle
        assert osler.load(out).forecast().columns.tolist() == ["month", "prediction"]
        with pytest.raises(InputError, match="would need what costs will be"):
            run.forecast(steps=7)
    assert run.recipe.clip_norm == 1.0  # of a recurrent network


def test_several_series_and_quantiles(tmp_path):
    frame = sales(costs=sales()["sales"].to_numpy()[::-1])
    settings = {**SETTINGS, "epochs": 3, "doctor": False}
    loss = {"name": "quantile", "quantile": [0.1, 0.5, 0.9]}
    run = osler.train(frame, loss=loss, out=tmp_path / "r", **settings)
    ahead = run.forecast()
    assert ahead.columns.tolist()[:3] == ["month", "prediction sales", "prediction costs"]
    assert (ahead["quantile 0.1 costs"] <= ahead["quantile 0.9 costs"]).all()
    assert 0 <= run.judged["backtest"]["inside"]["share"] <= 1
    assert set(run.judged["last"]["series"]["costs"]) >= {"before", "after", "prediction", "quantile 0.1"}


class Dying(nn.Module):
    """A linear forecast that is told to end in the middle of training."""

    def __init__(self, after=None):
        super().__init__()
        self.linear = nn.Linear(24, 6)
        self.left = after

    def forward(self, x):
        if self.training and self.left is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
        return self.linear(x[:, :, 0])


def test_a_run_that_was_told_to_end_goes_on_bit_for_bit(tmp_path):
    path = tmp_path / "sales.csv"
    sales().to_csv(path, index=False)

    def made(after=None):
        torch.manual_seed(3)
        return Dying(after)

    settings = {**SETTINGS, "epochs": 4, "doctor": False, "engine": {"compile": False, "precision": "float32"}}
    whole = osler.train(str(path), model=made(), out=tmp_path / "whole", **settings)
    with pytest.raises(SystemExit):
        osler.train(str(path), model=made(after=11), out=tmp_path / "cut", **settings)
    resumed = osler.resume(tmp_path / "cut", model=made(), verbose=False)
    assert torch.equal(resumed.model.linear.weight, whole.model.linear.weight)
    assert resumed.metrics == whole.metrics


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": 9}, "window is for forecasting"),
        ({"parts": [9, 9, 9], "task": "regression"}, "parts is for forecasting"),
        ({"horizon": 3, "task": "regression"}, "horizon 3 is for forecasting"),
        ({"horizon": 3, "group": "sales"}, "group is for rows that know nothing of each other"),
        ({"horizon": 3, "loss": "hinge"}, "compares classes"),
        ({"horizon": 3, "parts": [1, 2]}, "parts"),
        ({"horizon": 3, "instance": "revins"}, "instance"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path, options, said):
    with pytest.raises(InputError, match=said):
        osler.train(sales(), target="sales", out=tmp_path / "r", verbose=False, **options)


def test_a_run_of_something_else_forecasts_nothing(tmp_path):
    run = osler.train("iris", epochs=1, verbose=False, doctor=False, out=tmp_path / "r")
    with pytest.raises(InputError, match="forecasts nothing: it was trained for multiclass"):
        run.forecast()
