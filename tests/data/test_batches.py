import io
from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.records import Batch

LENGTHS = torch.arange(1000) % 7


def numbered(count: int) -> Dataset:
    rows = torch.arange(float(count))
    return Dataset(rows[:, None], rows.long(), rows / 10)


def seen(batches: Batches) -> list[list[int]]:
    return [batch.targets.tolist() for batch in batches]


@given(
    count=st.integers(1, 40),
    size=st.integers(1, 12),
    seed=st.integers(0, 99),
    shuffle=st.booleans(),
    lengths=st.sampled_from([None, LENGTHS]),
)
def test_every_sample_once_an_epoch(
    count: int, size: int, seed: int, shuffle: bool, lengths: torch.Tensor | None
) -> None:
    batches = Batches(numbered(count), size, shuffle=shuffle, seed=seed, lengths=lengths)
    again = Batches(numbered(count), size, shuffle=shuffle, seed=seed, lengths=lengths)
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


def test_rows_of_similar_lengths_come_together() -> None:
    lengths = torch.randint(1, 100, (1000,), generator=torch.Generator().manual_seed(0))
    plain = Batches(numbered(1000), 20, shuffle=True)
    near = Batches(numbered(1000), 20, shuffle=True, lengths=lengths)

    def padding(batches: Batches) -> float:
        return sum(float((lengths[b].max() - lengths[b]).sum()) for b in map(torch.tensor, seen(batches)))

    assert padding(near) < 0.2 * padding(plain)
    first, second = seen(near), seen(near)
    assert sorted(chain(*first)) == list(range(1000))
    assert {frozenset(b) for b in first}.isdisjoint({frozenset(b) for b in second})
    longest = [float(lengths[b].float().mean()) for b in map(torch.tensor, first)]
    assert longest != sorted(longest)


@pytest.mark.parametrize("size", [0, -3])
def test_batch_size_must_be_positive(size: int) -> None:
    with pytest.raises(InputError, match=f"batch_size must be at least 1, but got {size}"):
        Batches(numbered(3), size)


@given(count=st.integers(4, 60), size=st.integers(4, 12), processes=st.integers(1, 4))
def test_several_processes_share_every_batch(count: int, size: int, processes: int) -> None:
    parts = [
        Batches(numbered(count), size, shuffle=True, seed=5, rank=rank, processes=processes)
        for rank in range(processes)
    ]
    for _ in range(2):
        epochs = [seen(part) for part in parts]
        assert sorted(chain(*chain(*epochs))) == list(range(count))
        assert len({len(epoch) for epoch in epochs}) == 1
        for together in zip(*epochs, strict=True):
            assert max(map(len, together)) - min(map(len, together)) <= 1
            assert min(map(len, together)) > 0


def test_several_processes_see_the_batches_of_one() -> None:
    alone = seen(Batches(numbered(40), 8, shuffle=True, seed=5))
    shared = [seen(Batches(numbered(40), 8, shuffle=True, seed=5, rank=rank, processes=2)) for rank in range(2)]
    assert [first + second for first, second in zip(*shared, strict=True)] == alone


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_another_number_of_processes_gets_the_rest(before: int, after: int) -> None:
    def of(processes: int) -> list[Batches]:
        return [Batches(numbered(43), 8, shuffle=True, rank=r, processes=processes) for r in range(processes)]

    begun = of(before)
    iterators = [iter(batches) for batches in begun]
    done = [next(iterator).targets.tolist() for _ in range(2) for iterator in iterators]
    rest = of(after)
    for batches in rest:
        batches.load_state_dict(begun[0].state_dict())
    epochs = [seen(batches) for batches in rest]
    assert sorted(chain(*done, *chain(*epochs))) == list(range(43))
    assert {len(epoch) for epoch in epochs} == {3}
    # The next epoch has every sample again, in as many batches for all.
    assert sorted(chain(*chain(*map(seen, rest)))) == list(range(43))


def test_a_batch_that_is_smaller_than_the_number_of_processes() -> None:
    with pytest.raises(InputError, match="a batch of 2 cannot be shared by 3 processes: take a larger batch_size"):
        Batches(numbered(10), 2, processes=3)


# The place in an epoch


def noisy(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return inputs + torch.rand(inputs.shape, generator=generator)


def some(count: int, size: int, shuffle: bool, **options: Any) -> Batches:
    return Batches(numbered(count), size, shuffle=shuffle, seed=5, augment=noisy, transform=lambda x: 2 * x, **options)


def rows(batches: Batches, epochs: int) -> list[tuple[list[int], list[list[float]]]]:
    """All that the batches of so many epochs hold."""
    return [(batch.targets.tolist(), batch.inputs.tolist()) for _ in range(epochs) for batch in batches]


@given(
    count=st.integers(2, 30),
    size=st.integers(2, 8),
    shuffle=st.booleans(),
    drawn=st.integers(0, 70),
    ranks=st.sampled_from([(0, 1), (0, 2), (1, 2)]),
    lengths=st.sampled_from([None, LENGTHS]),
)
def test_a_state_from_anywhere_gives_the_rest_bit_for_bit(
    count: int, size: int, shuffle: bool, drawn: int, ranks: tuple[int, int], lengths: torch.Tensor | None
) -> None:
    options = {"rank": ranks[0], "processes": ranks[1], "lengths": lengths}
    batches = some(count, size, shuffle, **options)
    expected = rows(some(count, size, shuffle, **options), 4)
    drawn %= 2 * len(batches) + 1
    iteration = iter(batches)
    for _ in range(drawn):
        try:
            next(iteration)
        except StopIteration:
            iteration = iter(batches)
            next(iteration)
    buffer = io.BytesIO()
    torch.save(batches.state_dict(), buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    other = some(count, size, shuffle, **options)
    rows(other, 1)  # whatever it did before
    other.load_state_dict(state)
    # A state that is loaded is the state that is told, before anything is drawn.
    assert_same_state(other.state_dict(), state)
    other.load_state_dict(other.state_dict())
    # The place after the last batch is still in that epoch: its rest is nothing.
    rest = rows(other, 1)
    assert rest == expected[drawn : -(-drawn // len(batches)) * len(batches) or len(batches)]
    done = drawn + len(rest)
    assert rows(other, 1) == expected[done : done + len(batches)]


def assert_same_state(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name])), name


def test_after_a_whole_epoch_the_next_one_comes() -> None:
    batches, other = some(10, 3, True), some(10, 3, True)
    rows(batches, 1)
    other.load_state_dict(batches.state_dict())
    assert rows(other, 2) == rows(batches, 2)


def test_breaking_out_and_beginning_again_is_a_fresh_epoch() -> None:
    batches = some(10, 3, True)
    first = next(iter(batches)).targets.tolist()
    epoch = seen(batches)
    assert sorted(chain(*epoch)) == list(range(10))
    assert epoch[0] != first
    state = batches.state_dict()
    assert state["given"] == 0
    for _ in batches:
        break
    batches.load_state_dict(state)
    other = some(10, 3, True)
    seen(other)
    seen(other)
    assert seen(batches) == seen(other)  # the same order as if there had been no break


def test_a_state_loaded_while_it_is_iterated_counts_for_the_next_iteration() -> None:
    batches = some(12, 3, True)
    iteration = iter(batches)
    next(iteration)
    state = batches.state_dict()
    rest = [batch.targets.tolist() for batch in iteration]
    batches.load_state_dict(state)
    assert seen(batches) == rest


# Several processes


def test_processes_augment_their_parts_differently() -> None:
    zeros = Dataset(torch.zeros(9, 1))
    parts = [next(iter(Batches(zeros, 9, augment=noisy, rank=rank, processes=2))) for rank in (0, 1)]
    assert [len(part) for part in parts] == [4, 5]
    assert not torch.isin(parts[0].inputs, parts[1].inputs).any()
