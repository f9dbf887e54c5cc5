import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.data.prepareseries import prepare_series
from osler.data.series import Series
from osler.data.timeaxis import Step
from osler.errors import InputError


def series_of(values, targets=None):
    values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    names = tuple(f"x{i}" for i in range(values.shape[1]))
    return Series(names, values, np.arange(float(len(values))), Step("numbers", 1), targets or len(names))


WALK = np.random.default_rng(0).normal(size=(120, 2)).cumsum(axis=0)


def test_parts_follow_one_another_and_no_target_is_in_two():
    notes = []
    _, raw, parts = prepare_series(series_of(WALK), notes, horizon=4, window=10, given=[60, 30, 20])
    first_targets = {name: part.inputs.starts + 10 for name, part in raw.items()}
    assert (first_targets["train"].min(), first_targets["train"].max() + 4) == (10, 60)
    assert (first_targets["validation"].min(), first_targets["validation"].max() + 4) == (60, 90)
    assert (first_targets["test"].min(), first_targets["test"].max() + 4) == (90, 110)
    assert any("10 of 120 rows come after the parts: not used" in note for note in notes)
    assert any("train 60 (47 windows), validation 30 (27 windows), test 20 (17 windows)" in note for note in notes)
    assert parts["train"].targets.shape == (47, 4, 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(60, 119), st.floats(-1e6, 1e6), st.integers(0, 1))
def test_no_value_after_the_training_part_changes_anything_learned(row, value, column):
    changed = WALK.copy()
    changed[row, column] = value
    options = {"horizon": 4, "window": 10, "given": [60, 30, 30]}
    before, _, parts = prepare_series(series_of(WALK), [], **options)
    after, _, others = prepare_series(series_of(changed), [], **options)
    assert before.to_json() == after.to_json()
    assert torch.equal(parts["train"].inputs, others["train"].inputs)
    assert torch.equal(parts["train"].targets, others["train"].targets)


def test_what_is_left_out_is_chosen_by_season():
    wave = np.sin(np.arange(1000) * 2 * np.pi / 20)[:, None] + 0.01 * np.random.default_rng(0).normal(size=(1000, 1))
    preprocess, raw, _ = prepare_series(series_of(wave), [])
    encoder = preprocess.inputs
    assert (encoder.season, encoder.horizon) == (20, 20)
    assert encoder.window == 160  # 14 seasons would be more than a quarter of 650 rows
    assert [len(part) for part in raw.values()] == [650 - 179, 150 - 19, 200 - 19]
    preprocess, _, _ = prepare_series(series_of(WALK), [])
    assert (preprocess.inputs.season, preprocess.inputs.horizon, preprocess.inputs.window) == (1, 1, 14)


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (WALK[:20], {"horizon": 12}, "20 rows are too few"),
        (WALK, {"given": [100, 30, 30]}, "are 160 rows, but the series has 120"),
        (WALK, {"horizon": 8, "given": [100, 5, 10]}, "too few"),
        (WALK, {"window": 100}, "too few"),
        (np.ones(100), {}, "always 1 in the rows to learn from"),
    ],
)
def test_what_cannot_be_is_said(values, options, said):
    with pytest.raises(InputError, match=said):
        prepare_series(series_of(values), [], **options)
