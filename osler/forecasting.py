"""Forecasts of a run: the values after the end of a series, with their times; and how good they were from many ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osler.build import plain_batches
from osler.data.batches import Dataset
from osler.data.parts import Part
from osler.data.series import Series, Windows
from osler.data.seriesencoder import SeriesEncoder
from osler.data.seriessource import open_series
from osler.errors import InputError
from osler.folder import SERIES, read_json
from osler.objectives.backtest import STANDARDISED, Backtest
from osler.objectives.forecasting import Forecasting
from osler.objectives.objective import forward
from osler.training.looking import looking

if TYPE_CHECKING:
    import pandas as pd

    from osler.run import Run


def forecast(run: Run, data: object = None, steps: int | None = None, notes: list[str] | None = None) -> pd.DataFrame:
    """The values to come, a row each: their time, `prediction` (one column a series if several) and any quantiles.

    They follow the end of the series that the run was made from, held-out parts included, or of `data`. `steps`:
    default the horizon; for more, forecasts are taken as if they had been measured. Raises InputError where that cannot
    be done: other columns than those forecast would have to be known.
    """
    import pandas as pd

    encoder, objective = _parts_of(run)
    series = _kept(run, encoder) if data is None else read(encoder, data, notes)
    steps = encoder.horizon if steps is None else steps
    if steps < 1:
        raise InputError(f"steps must be at least 1, but got {steps}")
    if steps > encoder.horizon and encoder.targets < len(encoder.columns):
        others = ", ".join(encoder.columns[encoder.targets :])
        raise InputError(
            f"this run forecasts {encoder.horizon} steps; {steps} would need what {others} will be: train with a "
            "longer horizon, or without these columns"
        )
    found: list[pd.DataFrame] = []
    for _ in range(0, steps, encoder.horizon):
        end = Windows(series, encoder.window, 0, np.array([len(series) - encoder.window]))
        inputs = encoder.encode(end).to(run.recipe.device or "cpu")
        with looking(run.model):
            outputs = forward(run.model, inputs).float().cpu()
        found.append(pd.DataFrame(objective.columns(outputs)))
        ahead = objective.in_units(objective.central(outputs))[0].double().numpy()
        values = np.concatenate([series.values, np.pad(ahead, ((0, 0), (0, len(encoder.columns) - encoder.targets)))])
        times = np.concatenate([series.times, series.step.after(series.times[-1], len(ahead))])
        found[-1].insert(0, encoder.time or "step", times[len(series) :])
        series = Series(series.columns, values, times, series.step, series.targets, series.time)
    return pd.concat(found, ignore_index=True)[:steps]


def read(encoder: SeriesEncoder, data: object, notes: list[str] | None = None) -> Series:
    """A series to go on with: the columns that the run knows, at the same steps."""
    targets = list(encoder.columns[: encoder.targets])
    source = open_series(data, targets, encoder.time, needed=encoder.columns)
    series: Series = source.parts["all"].inputs
    if series.step != encoder.step:
        raise InputError(f"{source.where} is {series.step}, but the run was made from a series of {encoder.step}")
    if len(series) < encoder.window:
        raise InputError(f"{source.where} has {len(series)} rows, but a forecast looks back {encoder.window}")
    if notes is not None:
        notes.extend(source.notes)
    return series


def windows(encoder: SeriesEncoder, series: Series) -> Part:
    """All windows of a series with what came after them."""
    count = len(series) - encoder.window - encoder.horizon + 1
    if count < 1:
        raise InputError(
            f"{len(series)} rows are too few to compare: {encoder.window} to look at and {encoder.horizon} to forecast"
        )
    return Windows(series, encoder.window, encoder.horizon, np.arange(count)).part()


def backtest(run: Run, data: object = None, notes: list[str] | None = None) -> dict[str, Any]:
    """What `Backtest` records of forecasts from each possible end within `data`, or within the part held out."""
    encoder, objective = _parts_of(run)
    if data is None:
        record: dict[str, Any] = run.judged["backtest"]
        return record
    encoded = Dataset(*encoder.both(windows(encoder, read(encoder, data, notes)).inputs))
    errors = Backtest(objective, encoder.season)
    with looking(run.model):
        for batch in plain_batches(run.preprocess, encoded, run.recipe.device):
            errors.add(batch, objective.evaluate(run.model, batch).outputs)
    return errors.record()


def standardised(record: dict[str, Any]) -> dict[str, float]:
    """The errors of the literature, of a backtest."""
    return {key: record["forecasts"]["model"][key] for key in STANDARDISED}


def table(record: dict[str, Any]) -> str:
    """A backtest as text: the errors of the model and of what costs nothing, by steps ahead."""
    names = list(record["forecasts"])
    lines = [f"{record['windows']} forecasts, RMSE by steps ahead", " " * 12 + "".join(f"{name:>16}" for name in names)]
    by_step = [record["forecasts"][name]["rmse_by_step"] for name in names]
    for step, errors in enumerate(zip(*by_step, strict=True), start=1):
        lines.append(f"{step:<12}" + "".join(f"{error:>16.4g}" for error in errors))
    for key, shown in (("rmse", "all"), ("mae", "MAE"), *((key, f"{key[:3].upper()} stand.") for key in STANDARDISED)):
        lines.append(f"{shown:<12}" + "".join(f"{record['forecasts'][name][key]:>16.4g}" for name in names))
    return "\n".join([*lines, *(f"skill over {name}: {skill:.3f}" for name, skill in record["skill"].items() if skill)])


def _parts_of(run: Run) -> tuple[SeriesEncoder, Forecasting]:
    if not isinstance(run.preprocess.inputs, SeriesEncoder) or not isinstance(run.objective, Forecasting):
        raise InputError(f"{run.folder} forecasts nothing: it was trained for {run.preprocess.targets.task.kind}")
    return run.preprocess.inputs, run.objective


def _kept(run: Run, encoder: SeriesEncoder) -> Series:
    record = read_json(run.folder / SERIES)
    dtype = "float64" if encoder.step.unit == "numbers" else "datetime64[ns]"
    try:
        times, values = np.array(record["times"], dtype=dtype), np.array(record["values"], dtype=np.float64)
        if values.shape != (encoder.window, len(encoder.columns)) or times.shape != (encoder.window,):
            raise ValueError(f"{values.shape} values")
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{run.folder / SERIES} is damaged ({error})") from None
    return Series(encoder.columns, values, times, encoder.step, encoder.targets, encoder.time)
