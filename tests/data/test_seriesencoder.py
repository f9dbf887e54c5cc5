import numpy as np
import torch

from osler.data.scaling import Standardizer
from osler.data.series import Series, Windows
from osler.data.seriesencoder import SeriesEncoder, find_season
from osler.data.timeaxis import Step


def monthly(rows=40, columns=2, targets=1):
    times = np.arange("2020-01", "2030-01", dtype="datetime64[M]")[:rows].astype("datetime64[ns]")
    values = np.arange(rows * columns, dtype=np.float64).reshape(rows, columns) ** 1.5
    return Series(tuple("abc"[:columns]), values, times, Step("months", 1), targets, "month")


def test_windows_by_hand():
    series = monthly()
    encoder = SeriesEncoder.fit(series, 3, 2, 12, scale=False)
    inputs, ahead = encoder.both(Windows(series, 3, 2, np.array([5, 6, 7])))
    assert encoder.shape == inputs.shape[1:] == (3, 4)  # two columns, sine and cosine of the month
    np.testing.assert_allclose(inputs[1, :, :2], series.values[6:9], rtol=1e-6)
    np.testing.assert_allclose(ahead[1, :, 0], series.values[9:11, 0], rtol=1e-6)
    np.testing.assert_allclose(inputs[1, 0, 2:], [0, -1], atol=1e-6)  # July
    scattered, later = encoder.both(Windows(series, 3, 2, np.array([7, 5])))
    assert torch.equal(scattered, inputs[[2, 0]])
    assert torch.equal(later, ahead[[2, 0]])


def test_scaled_by_what_it_was_fitted_to_alone():
    series = monthly()
    encoder = SeriesEncoder.fit(series.between(0, 20), 3, 2, 12, scale=True)
    mean, std = series.values[:20].mean(0), series.values[:20].std(0)
    inputs, ahead = encoder.both(Windows(series, 3, 2, np.arange(30, 36)))
    np.testing.assert_allclose(inputs[0, :, :2], (series.values[30:33] - mean) / std, rtol=1e-5)
    np.testing.assert_allclose(ahead[0, :, 0], (series.values[33:35, 0] - mean[0]) / std[0], rtol=1e-5)
    assert encoder.target_scaler.mean.tolist() == [mean[0]]


def test_windows_are_views_of_one_table():
    series = monthly(100)
    inputs, ahead = SeriesEncoder.fit(series, 10, 5, 1, scale=True).both(Windows(series, 10, 5, np.arange(86)))
    assert inputs.untyped_storage().nbytes() == 100 * 4 * 4
    assert ahead.untyped_storage().data_ptr() == inputs.untyped_storage().data_ptr()


def test_json_brings_it_back():
    series = monthly()
    encoder = SeriesEncoder.fit(series, 3, 2, 12, scale=True)
    again = SeriesEncoder.from_json(encoder.to_json())
    windows = Windows(series, 3, 2, np.arange(4))
    assert torch.equal(again.encode(windows), encoder.encode(windows))
    assert isinstance(again.scaler, Standardizer)
    assert again.step == encoder.step


def test_a_season_is_found_without_a_calendar():
    wave = np.sin(np.arange(300) * 2 * np.pi / 11) + np.random.default_rng(0).normal(0, 0.1, 300)
    step = Step("numbers", 1)
    season, why = find_season(Series(("x",), wave[:, None], np.arange(300.0), step, 1))
    assert season == 11
    assert "autocorrelation" in why
    noise = np.random.default_rng(1).normal(size=(300, 1))
    assert find_season(Series(("x",), noise, np.arange(300.0), step, 1))[0] == 1
    assert find_season(monthly())[0] == 12
    assert find_season(Series(("x",), noise[:4], np.arange(4.0), step, 1))[0] == 1
