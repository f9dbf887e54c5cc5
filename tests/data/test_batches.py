from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.records import Batch


def numbered(count: int) -> Dataset:
    rows = torch.arange(float(count))
    return Dataset(rows[:, None], rows.long(), rows / 10)


def seen(batches: Batches) -> list[list[int]]:
    return [batch.targets.tolist() for batch in batches]


@given(count=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 99), shuffle=st.booleans())
def test_every_sample_once_an_epoch(count: int, size: int, seed: int, shuffle: bool) -> None:
    batches = Batches(numbered(count), size, shuffle=shuffle, seed=seed)
    again = Batches(numbered(count), size, shuffle=shuffle, seed=seed)
    for _ in range(2):
        epoch = seen(batches)
        assert sorted(chain(*epoch)) == list(range(count))
        assert len(epoch) == len(batches)
        assert all(len(batch) <= size + 1 for batch in epoch)
        assert size == 1 or count == 1 or min(map(len, epoch)) > 1
        assert epoch == seen(again)
        assert shuffle or list(chain(*epoch)) == list(range(count))


def test_epochs_and_seeds_differ() -> None:
    batches = Batches(numbered(50), 50, shuffle=True)
    first, second = seen(batches), seen(batches)
    assert first != second
    assert first != seen(Batches(numbered(50), 50, shuffle=True, seed=1))


def test_a_last_single_sample_joins_the_batch_before() -> None:
    assert seen(Batches(numbered(5), 2)) == [[0, 1], [2, 3, 4]]
    assert seen(Batches(numbered(6), 2)) == [[0, 1], [2, 3], [4, 5]]
    assert seen(Batches(numbered(3), 1)) == [[0], [1], [2]]
    assert seen(Batches(numbered(1), 4)) == [[0]]


def test_no_samples_give_no_batch() -> None:
    assert seen(Batches(numbered(0), 4)) == []


def test_inputs_targets_and_weights_stay_together() -> None:
    for batch in Batches(numbered(20), 3, shuffle=True):
        assert isinstance(batch, Batch)
        assert batch.weights is not None
        torch.testing.assert_close(batch.inputs[:, 0], batch.targets.float())
        torch.testing.assert_close(batch.weights * 10, batch.targets.float())
    bare = next(iter(Batches(Dataset(torch.ones(4, 1)), 4)))
    assert bare.targets is None
    assert bare.weights is None


def test_transform_comes_after_augmentation_which_gets_a_generator() -> None:
    def noisy(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return inputs + torch.randint(1, 1000, inputs.shape, generator=generator)

    def run(seed: int) -> list[torch.Tensor]:
        data = Dataset(torch.zeros(6, 1), torch.arange(6))
        batches = Batches(data, 3, shuffle=True, seed=seed, augment=noisy, transform=lambda x: -x)
        return [batch.inputs for _ in range(2) for batch in batches]

    assert all((inputs <= -1).all() for inputs in run(0))
    assert torch.equal(torch.cat(run(0)), torch.cat(run(0)))
    assert not torch.equal(torch.cat(run(0)), torch.cat(run(1)))


def test_augmentation_does_not_change_the_order() -> None:
    def greedy(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        torch.rand(7, generator=generator)
        return inputs

    plain, augmented = (Batches(numbered(20), 4, shuffle=True, augment=a) for a in (None, greedy))
    for _ in range(3):
        assert seen(plain) == seen(augmented)


def test_the_data_stay_as_they_are() -> None:
    data = Dataset(torch.zeros(4, 2, dtype=torch.uint8))
    list(Batches(data, 2, shuffle=True, transform=lambda x: x.float() + 1))
    assert not data.inputs.any()


@pytest.mark.parametrize("size", [0, -3])
def test_batch_size_must_be_positive(size: int) -> None:
    with pytest.raises(InputError, match=f"batch_size must be at least 1, but got {size}"):
        Batches(numbered(3), size)
