"""Forecasts in a report: the last beside what came, and errors by steps ahead beside those of what costs nothing."""

from typing import Any

import osler.report.figures as figures
import osler.report.tables as tables
import osler.report.words as words
from osler.report.read import RunFiles
from osler.report.words import escaped

SERIES = 6  # that are drawn


def figures_of(files: RunFiles) -> list[tuple[str, str, str]]:
    """(title, note, SVG) of each figure; none where the run forecasts nothing."""
    backtest = files.evaluation.get("backtest") or {}
    errors = {name: found["rmse_by_step"] for name, found in (backtest.get("forecasts") or {}).items()}
    if not errors:
        return []
    drawn = []
    last = files.evaluation.get("last") or {}
    for i, (name, found) in enumerate(list((last.get("series") or {}).items())[:SERIES]):
        span = f"{last['after'][0]} to {last['after'][-1]}" if last.get("after") else ""
        bands = [values for key, values in found.items() if key.startswith("quantile ")]
        band = (bands[0], bands[-1]) if len(bands) > 1 else None
        told = f"{name}: the last forecast of the held-out part beside what came"
        figure = figures.forecast(f"forecast{i}", told, found["before"], found["after"], found["prediction"], band)
        drawn.append((f"{name}: forecast and truth", span, figure))
    if len(errors["model"]) > 1:
        told = f"RMSE by steps ahead: {words.said({name: values[-1] for name, values in errors.items()})} at the end"
        drawn.append(("Error by steps ahead", "RMSE", figures.errors_by_step("steps", told, errors)))
    return drawn


def told(files: RunFiles) -> str:
    """What the figures rest on, and what is not drawn."""
    backtest = files.evaluation.get("backtest") or {}
    count, inside = backtest.get("windows"), backtest.get("inside") or {}
    sentences = (
        [f"{words.counted(count, 'forecast')}, one from each possible end in the held-out part."] if count else []
    )
    if inside:
        share, wanted = words.number(100 * inside["share"]), words.number(100 * inside["wanted"])
        sentences.append(f"{share} % of what came lies between the outermost quantiles, which are for {wanted} %.")
    more = len((files.evaluation.get("last") or {}).get("series") or {}) - SERIES
    sentences += [f"{words.counted(more, 'more series').removesuffix('s')} not drawn."] if more > 0 else []
    return escaped(" ".join(sentences))


def table(files: RunFiles) -> tables.Table:
    """The model beside the last value and the last season."""
    backtest: dict[str, Any] = files.evaluation.get("backtest") or {}
    keys = ("rmse", "mae", "mse_standardised", "mae_standardised")
    rows = [
        [name, *(words.number(found[key]) for key in keys), words.number((backtest.get("skill") or {}).get(name))]
        for name, found in (backtest.get("forecasts") or {}).items()
    ]
    head = ["forecast", *map(words.metric_name, keys), "skill of the model over it"]
    return tables.Table(head, rows, {1, 2, 3, 4, 5})
