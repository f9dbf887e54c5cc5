import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.data.splits import split_rows
from osler.errors import InputError

SHARES = st.floats(0.01, 0.95)
SEEDS = st.integers(0, 2**32 - 1)


def check_parts(count: int, kept: np.ndarray, held: np.ndarray) -> None:
    assert sorted([*kept, *held]) == list(range(count))
    assert list(kept) == sorted(kept)
    assert list(held) == sorted(held)
    assert len(kept)
    assert len(held)


@given(count=st.integers(2, 200), share=SHARES, seed=SEEDS)
def test_random_splits(count: int, share: float, seed: int) -> None:
    kept, held = split_rows(count, share, seed)
    check_parts(count, kept, held)
    assert abs(len(held) - count * share) <= 1
    assert np.array_equal(held, split_rows(count, share, seed)[1])


def test_another_seed_gives_another_split() -> None:
    assert not np.array_equal(split_rows(100, 0.2, 0)[1], split_rows(100, 0.2, 1)[1])


@given(labels=st.lists(st.integers(0, 5), min_size=2, max_size=120), share=SHARES, seed=SEEDS)
def test_every_class_keeps_its_share(labels: list[int], share: float, seed: int) -> None:
    classes = np.array(labels)
    kept, held = split_rows(len(classes), share, seed, labels=classes)
    check_parts(len(classes), kept, held)
    for name in set(labels):
        size = (classes == name).sum()
        assert abs((classes[held] == name).sum() - size * share) <= 1
        assert size < 2 or (classes[kept] == name).any()
    assert np.array_equal(held, split_rows(len(classes), share, seed, labels=classes)[1])


@given(groups=st.lists(st.sampled_from("abcdef"), min_size=2, max_size=80), share=SHARES, seed=SEEDS)
def test_groups_are_never_on_both_sides(groups: list[str], share: float, seed: int) -> None:
    names = np.array(groups, dtype=object)
    if len(set(groups)) < 2:
        with pytest.raises(InputError, match=r"all rows belong to one group \('.'\)"):
            split_rows(len(names), share, seed, groups=names)
        return
    kept, held = split_rows(len(names), share, seed, groups=names)
    check_parts(len(names), kept, held)
    assert not set(names[kept]) & set(names[held])


@given(times=st.lists(st.integers(0, 30), min_size=2, max_size=80), share=SHARES, seed=SEEDS)
def test_later_rows_are_held_out(times: list[int], share: float, seed: int) -> None:
    moments = np.array(times)
    kept, held = split_rows(len(moments), share, seed, times=moments)
    check_parts(len(moments), kept, held)
    assert moments[kept].max() <= moments[held].min()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows(count: int) -> None:
    with pytest.raises(InputError, match="cannot be split"):
        split_rows(count, 0.5, 0)
