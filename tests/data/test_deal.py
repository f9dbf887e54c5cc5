from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.data import deal
from osler.data.deal import GroupDeal, RandomDeal
from osler.data.holdout import hold_out
from osler.data.largetable import Piece
from osler.data.parts import Part
from osler.errors import InputError
from osler.records import Task

TASK = Task("multiclass", 3, ("t",), ("a", "b", "c"))


def table(classes: np.ndarray) -> Part:
    targets = pd.DataFrame({"t": np.array(TASK.classes)[classes]})
    return Part(pd.DataFrame({"row": np.arange(len(classes))}), targets)


def dealt(plan: RandomDeal | GroupDeal, part: Part, size: int) -> np.ndarray:
    dealer = plan.dealer()
    whole = Piece(part, Path("t.csv"), np.arange(len(part)))
    return np.concatenate(
        [dealer(whole.take(np.arange(i, min(i + size, len(part))))) for i in range(0, len(part), size)]
    )


@given(
    counts=st.lists(st.integers(3, 60), min_size=3, max_size=3),
    size=st.integers(1, 50),
    seed=st.integers(0, 5),
    given_parts=st.sets(st.sampled_from(["validation", "test"])),
)
def test_sizes_are_those_of_a_split_in_memory(counts: list[int], size: int, seed: int, given_parts: set[str]) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(3), counts))
    part = table(classes)
    other = {name: table(np.array([0, 1, 2])) for name in given_parts}
    resident = hold_out({"train": part, **other}, TASK, [], group=None, time=None, seed=seed)
    missing = [name for name in ("validation", "test") if name not in given_parts]
    plan = RandomDeal(np.array(counts), missing, TASK, seed)
    parts = dealt(plan, part, size)
    for place, name in enumerate(deal.NAMES):
        if name not in given_parts:
            mine = np.bincount(classes[parts == place], minlength=3)
            theirs = resident[name].targets["t"].map({"a": 0, "b": 1, "c": 2})
            assert mine.tolist() == np.bincount(theirs, minlength=3).tolist()
            assert plan.sizes[name] == mine.sum()
    assert np.array_equal(parts, dealt(plan, part, size))


def test_every_row_is_as_likely_held_out() -> None:
    part = table(np.zeros(40, dtype=int))
    held = np.stack([
        dealt(RandomDeal(np.array([40]), ["validation", "test"], TASK, seed), part, 7) == 2 for seed in range(2000)
    ])  # fmt: skip
    assert (held.sum(axis=1) == 8).all()
    assert np.abs(held.mean(axis=0) - 0.2).max() < 4.5 * (0.2 * 0.8 / 2000) ** 0.5


def test_a_class_without_rows_and_too_many_rows() -> None:
    plan = RandomDeal(np.array([30, 0, 30]), ["validation", "test"], TASK, 0)
    assert plan.parts[1].tolist() == [0, 0, 0]
    with pytest.raises(InputError, match="2 rows are too few"):
        RandomDeal(np.array([2]), ["validation", "test"], TASK, 0)
    with pytest.raises(InputError, match="more than can be split at random"):
        RandomDeal(np.array([10**9]), ["validation", "test"], TASK, 0)


def test_groups_stay_together() -> None:
    names = np.random.default_rng(0).choice([f"g{i}" for i in range(20)], 300)
    part = Part(pd.DataFrame({"g": names}), pd.DataFrame({"t": ["a"] * 300}))
    plan = GroupDeal("g", Counter(names.tolist()), ["validation", "test"], 0)
    parts = dealt(plan, part, 37)
    assert all(len(set(parts[names == name])) == 1 for name in set(names))
    assert {name: int((parts == i).sum()) for i, name in enumerate(deal.NAMES)} == plan.sizes
