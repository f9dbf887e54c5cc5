import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.preprocessing import StandardScaler

from osler.data.scaling import FAR, Moments, Standardizer, magnitude, mean_and_deviation, standardized


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


@given(
    arrays(np.float64, st.integers(2, 40), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3))),
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from([1.0, 1e-200, 1e200]),
)
def test_moments_in_pieces_are_those_of_the_whole(values: np.ndarray, cuts: list[int], size: float) -> None:
    moments = Moments()
    for piece in np.split(values * size, sorted(cuts)):
        moments.add(piece)
    mean, std = mean_and_deviation(values * size)
    assert moments.count == len(values)
    assert (moments.low, moments.high) == ((values * size).min(), (values * size).max())
    assert moments.mean == pytest.approx(mean[0], rel=1e-12, abs=1e-9 * size)
    assert moments.std == pytest.approx(std[0], rel=1e-9)
    if values.std() > 1:
        assert moments.skewness == pytest.approx(stats.skew(values), rel=1e-6, abs=1e-6)
    if values.min() < 0 < values.max():
        more = moments.with_copies(0.0, 5)
        mean, std = mean_and_deviation(np.append(values * size, np.zeros(5)))
        assert more.mean == pytest.approx(mean[0], rel=1e-12, abs=1e-9 * size)
        assert more.std == pytest.approx(std[0], rel=1e-9)


def test_zeros_at_first_do_not_hide_tiny_numbers() -> None:
    moments = Moments()
    for piece in ([0.0, 0.0], [1e-200, 0.0]):
        moments.add(np.array(piece))
    assert moments.std == pytest.approx(np.std([0, 0, 1, 0]) * 1e-200, rel=1e-9, abs=0)
    assert moments.mean == pytest.approx(0.25e-200, rel=1e-9, abs=0)


def test_moments_keep_small_deviations_from_a_large_mean() -> None:
    values = 1.6e9 + np.random.default_rng(0).normal(size=10_000)
    moments = Moments()
    for piece in np.split(np.sort(values), 100):
        moments.add(piece)
    assert moments.mean == pytest.approx(values.mean(), rel=1e-14)
    assert moments.std == pytest.approx(values.std(), rel=1e-8)
