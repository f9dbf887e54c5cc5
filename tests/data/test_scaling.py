import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler

from osler.data.scaling import FAR, Standardizer, magnitude, mean_and_deviation, standardized


def test_equals_scikit_learn() -> None:
    values = np.random.default_rng(0).normal(5, 3, (200, 4))
    values[:, 2] = 7.3  # never varies: only centred
    ours = Standardizer.fit(values)
    np.testing.assert_allclose(ours.apply(values), StandardScaler().fit_transform(values), atol=1e-6)
    assert ours.std[2] == 1


def test_one_deviation_for_each_of_the_last_axis() -> None:
    values = np.random.default_rng(0).normal(size=(20, 6, 3)) * [1, 10, 100]
    got = Standardizer.fit(values, axes=(0, 1)).apply(values)
    np.testing.assert_allclose(got.mean(axis=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(got.std(axis=(0, 1)), 1, atol=1e-6)


@pytest.mark.parametrize("size", [1e300, 1e-300, 1.7e308, 5e-324, 1.0])
def test_no_size_of_numbers_overflows(size: float) -> None:
    mean, std = mean_and_deviation(np.array([size, -size, size, -size]))
    assert mean[0] == 0
    assert std[0] == pytest.approx(size)


def test_rounding_is_no_deviation() -> None:
    assert mean_and_deviation(np.full(1000, 0.1))[1][0] == 1
    assert mean_and_deviation(np.array([1e16, 1e16 + 2]))[1][0] == 1


def test_far_out_stays_finite() -> None:
    got = standardized(np.array([1.7e308, -1.7e308, 3.0]), -1.7e308, 1e-300)
    np.testing.assert_array_equal(got, [FAR, 0, FAR])


@given(arrays(np.float64, st.integers(1, 9), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_division_by_the_magnitude_is_safe_and_exact(values: np.ndarray) -> None:
    unit = magnitude(values)[0]
    scaled = values / unit
    assert np.abs(scaled).max() < 2
    assert np.abs(scaled).max() >= 1 or not values.any()
    assert np.isfinite(Standardizer.fit(values[:, None]).apply(values[:, None])).all()


@given(arrays(np.float64, (3, 2), elements=st.floats(-1e300, 1e300)))
def test_json_keeps_every_bit(values: np.ndarray) -> None:
    scaler = Standardizer.fit(values)
    again = Standardizer.from_json(json.loads(json.dumps(scaler.to_json())))
    assert again.apply(values).tobytes() == scaler.apply(values).tobytes()
