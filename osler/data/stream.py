"""Batches of data that does not fit in memory: blocks of rows read ahead from disk, mixed in a buffer."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from osler.data.batches import Augmentation, Batches, Dataset, Mixing, augmented, batch_bounds, of_epoch, share
from osler.data.rowfiles import StreamedDataset
from osler.errors import InputError
from osler.records import Batch

BLOCK_BYTES = 64 * 2**10  # read at once: small, so that a buffer holds many of them
BUFFER_BYTES = 128 * 2**20


class StreamedBatches:
    """One epoch of batches each time it is iterated, like `Batches`, from samples that stay on disk.

    **Order.** Rows lie on disk in blocks of about 64 KiB. Every epoch puts all blocks into a new random order (uniform
    over the whole part), fills a window (half of `buffer_bytes`) with the next ones, and mixes the rows of the window
    uniformly; batches are cut from that. A window is so a sample of about a thousand places, each of a thousandth of a
    window: even in a table sorted by class the share of a class in a window is off by about √(p(1−p)/1000), under
    1.6 %, and two rows meet in a batch only if their blocks meet in a window, which is drawn anew each epoch. Rows as
    large as a block (pictures) are in a random order over the whole part, as in memory. Unshuffled: as on disk. Only
    the first window of an epoch is an eighth as large, so that it is soon there.

    **Memory.** At most two windows: the one that is used and the one that a thread reads meanwhile by positioned reads
    (no memory map: what is held is what is counted). A batch is a slice of a window.
    `data_wait`: seconds that the loop waited for data so far; `data_wait_share`: of the time it was iterated.

    `transform`, `augment`, `mix`, `rank`, `processes`, `state_dict` and the joined last batch are those of `Batches`.
    The order is the same on every process, and each takes its part of every batch: together they get every sample once,
    before and after a resume, with the batches of a single process. Each process reads all blocks for it (on one
    machine, once from the disk).
    Raises InputError for a batch_size below 1, and for a state of other data or another buffer.

        >>> from osler.data.rowfiles import Cache, RowWriter
        >>> with RowWriter(Cache(), "train") as writer:
        ...     writer.add(Dataset(torch.arange(5.0)))
        >>> [batch.inputs.tolist() for batch in StreamedBatches(writer.finish(), batch_size=2)]
        [[0.0, 1.0], [2.0, 3.0, 4.0]]
    """

    def __init__(
        self,
        data: StreamedDataset,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        transform: Callable[[Tensor], Tensor] | None = None,
        augment: Augmentation | None = None,
        mix: Mixing | None = None,
        device: torch.device | str = "cpu",
        rank: int = 0,
        processes: int = 1,
        buffer_bytes: int = BUFFER_BYTES,
        block_bytes: int = BLOCK_BYTES,
    ):
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, but got {batch_size}")
        self.data = data
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.transform = transform
        self.augment = augment
        self.mix = mix
        self.device = torch.device(device)
        self.rank = rank
        self.processes = processes
        self.order = torch.Generator().manual_seed(seed)
        self.chance = torch.Generator().manual_seed(seed + 1 + rank)  # for augmentation
        self.epoch = 0  # that was begun last
        self.given = 0  # batches of this epoch
        self.skip = 0  # batches that the next iteration leaves out
        self.before = self.order.get_state()  # the order's random numbers when this epoch began
        self.block = max(block_bytes // data.row_bytes, 1)  # rows
        self.blocks = max(buffer_bytes // 2 // (self.block * data.row_bytes), 1)  # in a window
        self.least = 2 * processes
        self.bounds = batch_bounds(len(data), batch_size, processes, self.least)
        self.data_wait = 0.0
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def data_wait_share(self) -> float:
        return self.data_wait / self.seconds if self.seconds else 0.0

    def __iter__(self) -> Iterator[Batch]:
        skip, self.skip, self.given = self.skip, 0, 0
        self.epoch += not skip
        augment, mix = of_epoch(self.augment, self.epoch), of_epoch(self.mix, self.epoch)
        self.before = self.order.get_state()
        windows = self._windows()
        begun = time.perf_counter()
        with contextlib.closing(self._spans(windows, skip)) as spans:
            for number, part in enumerate(spans, skip):
                self.given = number + 1
                parts = (part.inputs, part.targets, part.weights)
                part = Dataset(*(t if t is None else t.to(self.device, non_blocking=True) for t in parts))  # type: ignore[arg-type]
                part = augmented(part, augment, mix, self.chance)
                inputs = part.inputs if self.transform is None else self.transform(part.inputs)
                self.seconds += time.perf_counter() - begun
                begun = time.perf_counter()
                yield Batch(inputs, part.targets, part.weights)
                self.seconds += time.perf_counter() - begun
                begun = time.perf_counter()
        self.given = 0

    def _windows(self) -> list[tuple[int, Tensor, int]]:
        """The epoch's windows: the place of the first row in the epoch, the blocks, the seed that mixes the rows."""
        count = -(-len(self.data) // self.block)
        order = torch.randperm(count, generator=self.order) if self.shuffle else torch.arange(count)
        first = max(self.blocks // 8, 1)  # small, so that the first batch comes soon
        groups = (order[:first], *torch.split(order[first:], self.blocks)) if count > first else (order,) * bool(count)
        seeds = torch.randint(2**62, (len(groups),), generator=self.order) if self.shuffle else [0] * len(groups)
        windows, place = [], 0
        for blocks, seed in zip(groups, seeds, strict=True):
            windows.append((place, blocks, int(seed)))
            place += int(self._sizes(blocks).sum())
        return windows

    def _sizes(self, blocks: Tensor) -> Tensor:
        """Rows of each block: the last one of all may have fewer."""
        return (len(self.data) - blocks * self.block).clamp(max=self.block)

    def _spans(self, windows: list[tuple[int, Tensor, int]], skip: int) -> Generator[Dataset, None, None]:
        """This process's samples of every batch from number `skip` on."""
        shares = [share(first, last, self.rank, self.processes) for first, last in self.bounds[skip:]]
        if not shares:
            return
        ends = [place for place, *_ in windows[1:]] + [len(self.data)]
        at = next(i for i, end in enumerate(ends) if end > self.bounds[skip][0])
        with contextlib.ExitStack() as open_files:
            files = {name: open_files.enter_context(_opened(rows.path)) for name, rows in self.data.files.items()}
            reader = open_files.enter_context(ThreadPoolExecutor(1, thread_name_prefix="osler-read-ahead"))
            coming = reader.submit(self._read, files, *windows[at][1:])
            window: Dataset | None = None
            for start, stop in shares:
                pieces: list[Dataset] = []
                while start < stop or not pieces:
                    if window is None:
                        begun = time.perf_counter()
                        window = coming.result()
                        self.data_wait += time.perf_counter() - begun
                        if at + 1 < len(windows):
                            coming = reader.submit(self._read, files, *windows[at + 1][1:])
                        else:
                            del coming
                    place, end = windows[at][0], ends[at]
                    if start >= end and at + 1 < len(windows):
                        window, at = None, at + 1
                        continue
                    upto = min(stop, end)
                    pieces.append(window[start - place : upto - place])
                    start = upto
                    if start < stop:  # copied, so that no third window is held
                        pieces[-1] = _copied(pieces[-1])
                yield pieces[0] if len(pieces) == 1 else _joined(pieces)

    def _read(self, files: dict[str, int], blocks: Tensor, seed: int) -> Dataset:
        """The rows of these blocks, mixed if this is shuffled."""
        sizes = self._sizes(blocks)
        count = int(sizes.sum())
        places = torch.randperm(count, generator=torch.Generator().manual_seed(seed)) if self.shuffle else None
        parts: dict[str, Tensor] = {}
        for name, rows in self.data.files.items():
            whole = parts[name] = rows.empty(count, pinned=self.device.type == "cuda")
            if places is None:  # neighbours on disk, too
                rows.read(files[name], int(blocks[0]) * self.block, whole)
                continue
            scratch = rows.empty(self.block)
            done = 0
            for block, size in zip(blocks.tolist(), sizes.tolist(), strict=True):
                rows.read(files[name], block * self.block, scratch[:size])
                whole.index_copy_(0, places[done : done + size], scratch[:size])
                done += size
        return Dataset(**parts)

    def state_dict(self) -> dict[str, Any]:
        """Where this iteration is: to be given to `load_state_dict` of batches of the same data."""
        order = self.before if self.given else self.order.get_state()
        place = {
            "epoch": self.epoch,
            "given": self.given or self.skip,
            "order": order,
            "chance": self.chance.get_state(),
        }
        place |= {"processes": self.processes, "least": self.least}
        return {**place, "samples": len(self.data), "window": self.block * self.blocks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration gives what is left of that epoch, bit for bit."""
        mine = (len(self.data), self.block * self.blocks)
        saved = (int(state["samples"]), int(state["window"]))
        if mine != saved:
            raise InputError(
                f"the saved place is in {saved[0]:,} samples read {saved[1]:,} at a time, but here are {mine[0]:,} "
                f"read {mine[1]:,} at a time: the order would differ; use the same data and the same buffer"
            )
        self.epoch = int(state.get("epoch", 0))
        self.skip = int(state["given"])
        self.given = 0
        self.order.set_state(state["order"])
        if state["processes"] == self.processes:
            self.chance.set_state(state["chance"])
        self.least = max(state["least"], self.least)
        self.bounds = batch_bounds(len(self.data), self.batch_size, self.processes, self.least)


def open_batches(data: Dataset | StreamedDataset, batch_size: int, **options: Any) -> Batches | StreamedBatches:
    """Batches of samples wherever they are: in memory or on disk; `options` are those of `Batches`."""
    kind = StreamedBatches if isinstance(data, StreamedDataset) else Batches
    return kind(data, batch_size, **options)  # type: ignore[arg-type]


@contextlib.contextmanager
def _opened(path: os.PathLike[str]) -> Iterator[int]:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"the encoded data is gone: cannot open {path} ({error.strerror}); train again") from error
    try:
        yield file
    finally:
        os.close(file)


def _copied(data: Dataset) -> Dataset:
    return Dataset(*(t if t is None else t.clone() for t in (data.inputs, data.targets, data.weights)))  # type: ignore[arg-type]


def _joined(pieces: list[Dataset]) -> Dataset:
    def column(name: str) -> Any:
        values = [getattr(piece, name) for piece in pieces]
        return None if values[0] is None else torch.cat(values)

    return Dataset(column("inputs"), column("targets"), column("weights"))
