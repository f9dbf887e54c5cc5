import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from osler.data import running
from osler.data.running import Distinct, First, Median, Sample, Second

NUMBERS = st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=1, max_size=60)


def pieces(values: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    return np.split(values, sorted(cut % (len(values) + 1) for cut in cuts))


@given(values=NUMBERS, cuts=st.lists(st.integers(0, 99), max_size=4), below=st.floats(0, 40), above=st.floats(60, 100))
def test_the_median_is_exact(values: list[float], cuts: list[int], below: float, above: float) -> None:
    array = np.array(values)
    low, high = np.percentile(array, [below, above], method="nearest")
    for bracket in ((-np.inf, np.inf), (low, high)):
        median = Median(bracket)
        for piece in pieces(array, cuts):
            median.add(piece)
        inside = np.sort(array)[[(len(array) - 1) // 2, len(array) // 2]]
        if bracket[0] <= inside[0] and inside[1] <= bracket[1]:
            assert median.of(len(array), 1.0) == np.median(array)


def test_a_sample_brackets_the_median_of_much_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SAMPLE", 20_000)
    values = np.random.default_rng(0).lognormal(size=200_000)
    sample = Sample(0)
    for piece in np.split(np.sort(values), 50):  # in the worst order
        sample.add(piece)
    low, high = sample.bracket()
    assert len(sample.values) == 20_000
    assert low < np.median(values) < high
    assert ((values > low) & (values < high)).mean() < 0.03
    assert stats.kstest(sample.values, values).pvalue > 0.01


def test_a_median_outside_of_its_bracket_is_the_bracket() -> None:
    median = Median((5.0, 7.0))
    median.add(np.array([1.0, 2.0, 3.0]))
    assert median.of(3, 1.0) == 6.0


def test_different_values_are_counted_exactly_then_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HASHES", 1000)
    few, many = Distinct(), Distinct()
    for i in range(20):
        few.add(pd.util.hash_array(np.arange(1000) % (50 * (i + 1))))
        many.add(pd.util.hash_array(np.arange(i * 1000, (i + 2) * 1000)))
    assert few.count == 1000
    assert abs(many.count / 21_000 - 1) < 0.1  # three deviations of 1/√1000


def second(series: pd.Series, size: int) -> Second:
    """The series looked at twice, in pieces of this size."""
    parts = [series.iloc[i : i + size].reset_index(drop=True) for i in range(0, len(series), size)]
    first = First(str(series.name), 0)
    for part in parts:
        first.add(part)
    looked = Second(first)
    for part in parts:
        looked.add(part)
    return looked


def test_frequent_texts_survive_when_rare_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TEXTS", 100)
    random = np.random.default_rng(0)
    texts = [f"r{i}" if i % 2 else f"f{random.integers(5)}" for i in range(4000)]
    column = second(pd.Series(texts, name="x"), 150)
    assert column.forgotten
    assert column.distinct == 2005
    category = column.category()
    assert category.values == [f"f{i}" for i in range(5)]
    assert category.rare
    assert not category.indicator


@pytest.mark.parametrize(
    ("values", "unique"),
    [
        (np.arange(3000), True),
        (np.random.default_rng(0).permutation(3000), True),
        (np.arange(3000) // 2, False),
        (np.arange(3000) % 1000, False),  # the same again in another piece
        (np.arange(3000) / 2, False),
    ],
)
@pytest.mark.parametrize("hashes", [2**16, 256])
def test_row_numbers_are_recognised(
    monkeypatch: pytest.MonkeyPatch, values: np.ndarray, unique: bool, hashes: int
) -> None:
    monkeypatch.setattr(running, "HASHES", hashes)
    column = second(pd.Series(values, name="x"), 700)
    estimate = hashes == 256 and unique
    assert column.whole_and_unique == unique or (estimate and column.seen.count < 0.98 * 3000)
