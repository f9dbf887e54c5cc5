import gc
import threading
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from osler.data.batches import Batches, Dataset
from osler.data.rowfiles import Cache, RowWriter, StreamedDataset
from osler.data.stream import StreamedBatches, open_batches
from osler.errors import InputError

ROW = 4 + 8 + 4  # bytes of a row of `numbered`


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def numbered(count: int) -> Dataset:
    rows = torch.arange(float(count))
    return Dataset(rows[:, None], rows.long(), rows / 10)


def stored(cache: Cache, data: Dataset) -> StreamedDataset:
    writer = RowWriter(cache, f"part{len(list(cache.folder.iterdir()))}")
    writer.add(data)
    return writer.finish()


def seen(batches: Any) -> list[list[int]]:
    return [batch.targets.tolist() for batch in batches]


SIZES = {
    "count": st.integers(1, 60),
    "size": st.integers(1, 17),
    "block": st.integers(1, 7),
    "window": st.integers(1, 9),
}


@settings(max_examples=60)
@given(**SIZES, seed=st.integers(0, 9), shuffle=st.booleans(), processes=st.integers(1, 3), data=st.data())
def test_every_row_once_for_any_sizes_processes_and_resume(
    cache: Cache,
    count: int,
    size: int,
    block: int,
    window: int,
    seed: int,
    shuffle: bool,
    processes: int,
    data: st.DataObject,
) -> None:
    assume(min(size, count) >= processes)  # else refused, as Batches does
    dataset = stored(cache, numbered(count))

    def batches(rank: int = 0, of: int = processes) -> StreamedBatches:
        memory = {"block_bytes": block * ROW, "buffer_bytes": 2 * window * block * ROW}
        return StreamedBatches(dataset, size, shuffle=shuffle, seed=seed, rank=rank, processes=of, **memory)

    everyone = [batches(rank) for rank in range(processes)]
    bounds = Batches(numbered(count), size, processes=processes).bounds
    alone, epochs = batches(0, 1), []
    for _ in range(2):
        parts = [seen(each) for each in everyone]
        assert all(len(part) == len(each) == len(bounds) for part, each in zip(parts, everyone, strict=True))
        whole = [list(chain(*of_batch)) for of_batch in zip(*parts, strict=True)]
        assert [len(batch) for batch in whole] == [last - first for first, last in bounds]
        assert sorted(chain(*whole)) == list(range(count))
        assert shuffle or list(chain(*whole)) == list(range(count))
        assert list(chain(*whole)) == list(chain(*seen(alone)))  # in the order of a single process
        epochs.append(parts)

    # Interrupted anywhere in the first two epochs, each process goes on where it was.
    for rank in range(processes):
        first = batches(rank)
        epoch, stop = data.draw(st.integers(0, 1)), data.draw(st.integers(0, len(bounds)))
        for _ in range(epoch):
            list(first)
        running = iter(first)
        before = [next(running).targets.tolist() for _ in range(stop)]
        state = first.state_dict()
        second = batches(rank)
        second.load_state_dict(state)
        assert second.state_dict()["given"] == state["given"]  # saved again before it goes on
        assert before + seen(second) == epochs[epoch][rank]
        if epoch == 0:
            assert seen(second) == epochs[1][rank]


@settings(max_examples=20)
@given(**SIZES)
def test_unshuffled_it_is_what_batches_in_memory_are(
    cache: Cache, count: int, size: int, block: int, window: int
) -> None:
    data = numbered(count)
    streamed = StreamedBatches(
        stored(cache, data), size, block_bytes=block * ROW, buffer_bytes=2 * window * block * ROW, transform=torch.neg
    )
    for ours, theirs in zip(streamed, Batches(data, size, transform=torch.neg), strict=True):
        for name in ("inputs", "targets", "weights"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))
        assert len(ours) == len(theirs)


def test_inputs_targets_and_weights_stay_together(cache: Cache) -> None:
    for batch in StreamedBatches(stored(cache, numbered(500)), 7, shuffle=True, block_bytes=64, buffer_bytes=1024):
        assert batch.weights is not None
        torch.testing.assert_close(batch.inputs[:, 0], batch.targets.float())
        torch.testing.assert_close(batch.weights * 10, batch.targets.float())
    pictures = Dataset(torch.arange(3 * 8, dtype=torch.uint8).reshape(3, 2, 2, 2))
    batch = next(iter(StreamedBatches(stored(cache, pictures), 4)))
    assert torch.equal(batch.inputs, pictures.inputs)
    assert batch.targets is None
    assert batch.weights is None


def test_seeds_and_epochs_differ(cache: Cache) -> None:
    data = stored(cache, numbered(200))
    memory = {"block_bytes": 4 * ROW, "buffer_bytes": 2 * 10 * 4 * ROW}
    batches = StreamedBatches(data, 20, shuffle=True, **memory)
    first, second = seen(batches), seen(batches)
    assert first != second
    assert first == seen(StreamedBatches(data, 20, shuffle=True, **memory))
    assert first != seen(StreamedBatches(data, 20, shuffle=True, seed=1, **memory))


def test_a_table_sorted_by_class_is_mixed(cache: Cache) -> None:
    count = 40_000
    data = Dataset(torch.zeros(count, 1), (torch.arange(count) >= count // 2).long())
    # Windows of 100 blocks: a tenth of the table each.
    batches = StreamedBatches(stored(cache, data), 2000, shuffle=True, block_bytes=40 * 12, buffer_bytes=2 * 4000 * 12)
    shares = torch.tensor([batch.targets.float().mean().item() for batch in batches])
    assert shares.std() < 2.5 * (0.5 * 0.5 / 100 + 0.5 * 0.5 / 2000) ** 0.5
    order = torch.tensor(list(chain(*seen(batches)))).float()
    neighbours = torch.corrcoef(torch.stack([order[:-1], order[1:]]))[0, 1]
    assert abs(neighbours) < 0.05


def test_augmentation_resumes_with_its_own_random_numbers(cache: Cache) -> None:
    def noisy(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return inputs + torch.rand(inputs.shape, generator=generator)

    data = stored(cache, numbered(50))

    def batches() -> StreamedBatches:
        return StreamedBatches(data, 8, shuffle=True, augment=noisy)

    whole = [batch.inputs for batch in batches()]
    first = batches()
    running = iter(first)
    begun = [next(running).inputs for _ in range(3)]
    second = batches()
    second.load_state_dict(first.state_dict())
    assert torch.equal(torch.cat([*begun, *(batch.inputs for batch in second)]), torch.cat(whole))


def test_the_place_in_other_data_is_refused(cache: Cache) -> None:
    state = StreamedBatches(stored(cache, numbered(50)), 8).state_dict()
    with pytest.raises(InputError, match=r"the saved place is in 50 samples .* but here are 51"):
        StreamedBatches(stored(cache, numbered(51)), 8).load_state_dict(state)
    with pytest.raises(InputError, match="the order would differ"):
        StreamedBatches(stored(cache, numbered(50)), 8, buffer_bytes=1).load_state_dict(state)


def test_an_iteration_given_up_leaves_no_thread(cache: Cache) -> None:
    batches = StreamedBatches(stored(cache, numbered(100)), 2, block_bytes=ROW, buffer_bytes=8 * ROW)
    running = iter(batches)
    next(running)
    del running
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("osler-read-ahead")]
    assert seen(batches)[-1] == [98, 99]


def test_waiting_is_measured(cache: Cache) -> None:
    batches = StreamedBatches(stored(cache, numbered(100)), 10)
    assert (batches.data_wait, batches.data_wait_share) == (0.0, 0.0)
    list(batches)
    assert 0 < batches.data_wait <= batches.seconds
    assert batches.data_wait_share == batches.data_wait / batches.seconds


def test_data_that_is_gone_or_damaged_is_said(tmp_path: Path) -> None:
    data = stored(Cache(tmp_path), numbered(100))
    data.inputs.path.write_bytes(b"1234")
    with pytest.raises(InputError, match="is shorter than it was written"):
        list(StreamedBatches(data, 10))
    data.inputs.path.unlink()
    with pytest.raises(InputError, match="the encoded data is gone"):
        list(StreamedBatches(data, 10))


def test_batches_for_data_wherever_it_is(cache: Cache) -> None:
    assert isinstance(open_batches(numbered(4), 2, shuffle=True), Batches)
    batches = open_batches(stored(cache, numbered(4)), 2, shuffle=True)
    assert isinstance(batches, StreamedBatches)
    assert batches.shuffle
    with pytest.raises(InputError, match="batch_size must be at least 1, but got 0"):
        open_batches(stored(cache, numbered(4)), 0)
