"""An extra pass leaves everything random as it was."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from osler.data.batches import Batches, Dataset
from osler.training.aside import aside

X = torch.arange(20.0)


class Jitter(TensorDataset):
    """Samples that differ each time, by a generator of the data set's own."""

    def __init__(self) -> None:
        super().__init__(X)
        self.noise = torch.Generator().manual_seed(7)

    def __getitem__(self, row: int) -> torch.Tensor:
        return X[row] + torch.rand(1, generator=self.noise)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


LOADERS = {
    "ours": lambda: Batches(Dataset(X), 4, shuffle=True, augment=lambda x, chance: x + torch.rand(1, generator=chance)),
    "loader": lambda: DataLoader(X, 4, shuffle=True),
    "loader with a generator": lambda: DataLoader(X, 4, shuffle=True, generator=seeded()),
    "sampler": lambda: DataLoader(X, 4, sampler=RandomSampler(X, generator=seeded())),
    "batch sampler": lambda: DataLoader(
        X, batch_sampler=BatchSampler(RandomSampler(X, generator=seeded()), 4, drop_last=False)
    ),
    "random data set": lambda: DataLoader(Jitter(), 4),
}


def numbers(batches: Any) -> list[list[float]]:
    return [getattr(batch, "inputs", batch).flatten().tolist() for batch in batches]


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("part", [False, True])
def test_the_epochs_after_are_the_same(kind: str, part: bool) -> None:
    torch.manual_seed(0)
    plain = LOADERS[kind]()
    expected = [numbers(plain), numbers(plain)]
    torch.manual_seed(0)
    batches = LOADERS[kind]()
    first = numbers(batches)
    with aside(batches):
        inside = [next(iter(batches))] if part else numbers(batches)
    assert inside
    assert [first, numbers(batches)] == expected
    assert expected[0] != expected[1]


def test_all_random_numbers_are_drawn_again() -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(1).item(), float(np.random.rand()), random.random()  # noqa: NPY002

    with aside([]):
        inside = draw()
    assert draw() == inside


def test_after_an_error_too() -> None:
    batches = Batches(Dataset(X), 4, shuffle=True, seed=1)

    def interrupted() -> None:
        with aside(batches):
            for _ in batches:
                torch.rand(1)
                raise KeyboardInterrupt

    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert torch.equal(state, torch.get_rng_state())
    assert numbers(batches) == numbers(Batches(Dataset(X), 4, shuffle=True, seed=1))


def test_a_state_of_its_own_comes_back() -> None:
    class Stream:
        place = 0

        def __iter__(self) -> Iterator[int]:
            self.place += 1
            return iter([self.place])

        def state_dict(self) -> dict[str, int]:
            return {"place": self.place}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.place = state["place"]

    stream = Stream()
    with aside(stream):
        assert list(stream) == [1]
    assert list(stream) == [1]
