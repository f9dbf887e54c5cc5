"""Samples of a data loader: from all over it, without a trace, and whether its workers draw alike."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import osler
from osler.doctor.loaders import pair, workers_alike
from osler.errors import InputError

X = torch.arange(2000.0)[:, None].repeat(1, 3)
Y = (torch.arange(2000) // 1000).long()


class Noisy(Dataset[Any]):
    """Adds noise to every sample it gives, from where it is told."""

    def __init__(self, draw: Any):
        self.transforms = [draw]

    def __len__(self) -> int:
        return 100

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([i + self.transforms[0].draw()], dtype=torch.float32), i % 2


class Own:
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def draw(self) -> float:
        return float(self.random.normal())


class Pythons:
    def __init__(self) -> None:
        self.random = random.Random(0)

    def draw(self) -> float:
        return self.random.random()


class Torchs:
    def draw(self) -> float:
        return float(torch.randn(()))


class Numpys:
    def draw(self) -> float:
        return float(np.random.normal())  # noqa: NPY002


class Nobodys:
    def draw(self) -> float:
        return 0.0


def test_samples_come_from_all_over_a_sorted_set() -> None:
    x, y = pair(DataLoader(TensorDataset(X, Y), batch_size=16), "train")
    assert len(x) == 512
    assert y.float().mean() == pytest.approx(0.5, abs=0.01)
    assert bool((x[1:, 0] > x[:-1, 0]).all())  # in their order


def test_a_stream_gives_its_first_batches() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(zip(X, Y, strict=True))

    x, y = pair(DataLoader(Stream(), batch_size=100), "train")
    assert len(x) == len(y) == 600


def test_a_list_of_batches_is_a_loader() -> None:
    x, y = pair([(X[:7], Y[:7]), (X[7:10], Y[7:10]), (X[10:11], Y[10:11])], "train")
    assert torch.equal(x, X[:11])
    assert torch.equal(y, Y[:11])


@pytest.mark.parametrize("loader", [[], [X], [(X, Y, Y)], DataLoader(TensorDataset(X[:0], Y[:0]))])
def test_what_is_no_loader_of_pairs_is_refused(loader: Any) -> None:
    with pytest.raises(InputError, match="train: "):
        pair(loader, "train")


def test_nothing_is_drawn() -> None:
    draws = Own()
    generator = torch.Generator().manual_seed(5)
    loader = DataLoader(Noisy(draws), batch_size=10, shuffle=True, generator=generator, num_workers=2)

    def states() -> list[Any]:
        return [
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
            draws.random.bit_generator.state,
            generator.get_state().tolist(),
        ]

    model = torch.nn.Linear(1, 2)
    before = states()
    with osler.Doctor(model, loss=torch.nn.CrossEntropyLoss()) as doctor:
        doctor.examine(train=loader, validation=loader)
    assert states() == before


@pytest.mark.parametrize(
    ("draws", "alike"), [(Own, True), (Pythons, True), (Torchs, False), (Numpys, False), (Nobodys, False)]
)
def test_workers_that_copy_one_generator_are_found(draws: type, alike: bool) -> None:
    loader = DataLoader(Noisy(draws()), batch_size=10, shuffle=True, num_workers=2)
    assert workers_alike(loader) == alike
    doctor = osler.Doctor(torch.nn.Linear(1, 2), loss=torch.nn.CrossEntropyLoss())
    assert ("nondeterministic-workers" in [f.ailment for f in doctor.examine(train=loader)]) == alike


def test_workers_really_draw_alike() -> None:
    """What the experiment foretells is what two processes do."""
    for draws, alike in ((Own, True), (Torchs, False)):
        loader = DataLoader(Noisy(draws()), batch_size=1, num_workers=2)
        noise = [float(x) - i for i, (x, _) in enumerate(loader) if i < 2]
        assert (noise[0] == pytest.approx(noise[1], abs=1e-5)) == alike


def test_seeded_workers_and_single_ones_are_in_order() -> None:
    assert not workers_alike(DataLoader(Noisy(Own()), num_workers=2, worker_init_fn=lambda worker: None))
    assert not workers_alike(DataLoader(Noisy(Own()), num_workers=1))
    assert not workers_alike([(X, Y)])
