"""Random numbers of every kind go on where they were."""

import io
import random
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from osler.training.randomness import held_generators, random_state, set_random_state


def draw() -> list[float]:
    """Some numbers from each generator; normal ones come in pairs, of which one waits for the next call."""
    numpy = [np.random.rand(), np.random.randn(), float(np.random.randint(1000))]  # noqa: NPY002
    python = [random.random(), random.gauss(0, 1), float(random.getrandbits(40))]
    return [*numpy, *python, torch.rand(()).item(), *torch.randn(3).tolist(), float(torch.randint(1000, ()))]


@given(seed=st.integers(0, 2**32 - 1), drawn=st.integers(0, 5), more=st.integers(0, 700))
def test_all_go_on_from_a_file(seed: int, drawn: int, more: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    for _ in range(drawn):
        draw()
    np.random.rand(more)  # noqa: NPY002
    buffer = io.BytesIO()
    torch.save(random_state(), buffer)
    buffer.seek(0)
    expected = [draw() for _ in range(3)]
    set_random_state(torch.load(buffer, weights_only=True))
    assert [draw() for _ in range(3)] == expected


def test_looking_at_the_state_draws_nothing() -> None:
    torch.manual_seed(0)
    state = random_state()
    assert random_state()["torch"].equal(state["torch"])
    first = draw()
    set_random_state(state)
    random_state()
    assert draw() == first


def test_generators_that_data_hold() -> None:
    def make(seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    class Data(TensorDataset):
        chance = None

        def __init__(self) -> None:
            super().__init__(torch.arange(20))
            self.own = make(1)

    data = Data()
    sampler = RandomSampler(data, generator=make(2))
    loaders: list[tuple[Any, int]] = [
        (DataLoader(data, 5, shuffle=True), 1),
        (DataLoader(data, 5, shuffle=True, generator=make(3)), 2),
        (DataLoader(data, 5, sampler=sampler), 2),
        (DataLoader(data, batch_sampler=BatchSampler(sampler, 5, False)), 2),
        ([1, 2], 0),
        (None, 0),
    ]
    for loader, count in loaders:
        assert len(held_generators(loader)) == count
    loader = loaders[1][0]
    state = random_state(loader)
    order = [batch[0].tolist() for batch in loader]
    torch.rand((), generator=data.own)
    assert [batch[0].tolist() for batch in loader] != order
    set_random_state(state, loader)
    assert [batch[0].tolist() for batch in loader] == order
    assert torch.rand((), generator=make(1)) == torch.rand((), generator=_set(data.own, state, loader))


def _set(own: torch.Generator, state: dict[str, Any], loader: Any) -> torch.Generator:
    set_random_state(state, loader)
    return own
