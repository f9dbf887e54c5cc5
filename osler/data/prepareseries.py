"""From a series to what training needs: parts one after the other in time, and windows that don't see beyond theirs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from osler.data.batches import Dataset
from osler.data.holdout import TEST_SHARE, VALIDATION_SHARE
from osler.data.parts import Part
from osler.data.preprocess import Preprocess
from osler.data.series import Series, Windows
from osler.data.seriesencoder import SeriesEncoder, find_season
from osler.data.targets import TargetEncoder
from osler.errors import InputError
from osler.records import Task

SEASONS = 14  # that a window looks back, where there are enough: a day of hours, two weeks
LOOKED_AT = 0.25  # of the rows to learn from, at most, by one window


def prepare_series(
    series: Series,
    notes: list[str],
    *,
    horizon: int | None = None,
    window: int | None = None,
    given: Sequence[int] | None = None,
    scale: bool = True,
) -> tuple[Preprocess, dict[str, Part], dict[str, Dataset]]:
    """Windows of the parts "train", "validation" and "test", which follow one another in time.

    `horizon`: steps to forecast (default: a season, or 1). `window`: steps to look at (default: 14 seasons, at least
    two horizons, at most a quarter of the rows to learn from). `given`: rows of the three parts, from the first row on;
    by default 15 % and 20 % are held out. What is forecast in one part lies wholly in it; the windows before
    it may reach back into the part before. Scaling and season are learned from the rows to learn from alone.
    Raises InputError for a series too short for that.
    """
    sizes = _sizes(len(series), given, horizon, notes)
    train = series.between(0, sizes[0])
    _refuse_constant(train)
    season, why = find_season(train)
    horizon = horizon or season
    window = window or _window(sizes[0], season, horizon)
    if sizes[0] < window + horizon or min(sizes[1:]) < horizon:
        raise InputError(
            f"{len(series)} rows are too few: a window of {window} and {horizon} ahead take {window + horizon} of the "
            f"{sizes[0]} rows to learn from, and validation and test need {horizon} each, but have {sizes[1]} and "
            f"{sizes[2]}: say a smaller horizon or window, or other parts"
        )
    encoder = SeriesEncoder.fit(train, window, horizon, season, scale)
    names = series.columns[: series.targets]
    what = "next value" if horizon == 1 else f"next {horizon} values"
    task = Task("forecasting", horizon * series.targets, names, why=f"the {what}, from the {window} before; {why}")
    preprocess = Preprocess("series", encoder, TargetEncoder(task, encoder.target_scaler))
    ends = np.cumsum(sizes)
    raw: dict[str, Part] = {}
    for name, end, size in zip(("train", "validation", "test"), ends, sizes, strict=True):
        first = max(int(end) - size - window, 0)
        raw[name] = Windows(series, window, horizon, np.arange(first, int(end) - window - horizon + 1)).part()
    told = ", ".join(f"{name} {size} ({len(raw[name])} windows)" for name, size in zip(raw, sizes, strict=True))
    notes.append(f"split in time, rows: {told}")
    encoded = {name: Dataset(*encoder.both(part.inputs)) for name, part in raw.items()}
    return preprocess, raw, encoded


def _sizes(rows: int, given: Sequence[int] | None, horizon: int | None, notes: list[str]) -> list[int]:
    if given is None:
        test = max(round(rows * TEST_SHARE), horizon or 1)
        validation = max(round(rows * VALIDATION_SHARE), horizon or 1)
        return [max(rows - validation - test, 0), validation, test]
    if sum(given) > rows:
        raise InputError(f"parts {', '.join(map(str, given))} are {sum(given)} rows, but the series has {rows}")
    if left := rows - sum(given):
        notes.append(f"{left} of {rows} rows come after the parts: not used")
    return list(given)


def _window(rows: int, season: int, horizon: int) -> int:
    wanted = max(SEASONS * season, 2 * horizon)
    most = max(int(rows * LOOKED_AT), 2)
    return wanted if wanted <= most else max(most // season * season, min(season, most), 1)


def _refuse_constant(train: Series) -> None:
    for i, name in enumerate(train.columns[: train.targets]):
        column = train.values[:, i]
        if len(column) and column.min() == column.max():
            raise InputError(f"target {name!r} is always {column[0]:g} in the rows to learn from: nothing to forecast")
