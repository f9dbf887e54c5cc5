"""Batches of data that fits in memory: contiguous tensors, and a batch is one gather."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from osler.errors import InputError
from osler.records import Batch

CHUNK = 32  # batches whose rows are sorted by length
# (inputs, generator) → inputs: on whole batches, with its own random numbers for every sample.
Augmentation = Callable[[Tensor, torch.Generator], Tensor]
# (inputs, targets, generator) → both, mixed among the samples of a batch.
Mixing = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Dataset:
    """Encoded samples: `inputs` (N, …), `targets` (N, …) and, where they count differently, `weights` (N,)."""

    inputs: Tensor
    targets: Tensor | None = None
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Tensor | slice) -> Dataset:
        # index_select copies whole rows, where indexing goes from number to number.
        take = (lambda t: t[rows]) if isinstance(rows, slice) or rows.dtype == torch.bool else _gather(rows)
        parts = (self.inputs, self.targets, self.weights)
        return Dataset(*(None if t is None else take(t) for t in parts))  # type: ignore[arg-type]

    def bytes(self) -> int:
        """The memory it takes."""
        return sum(t.nbytes for t in (self.inputs, self.targets, self.weights) if t is not None)

    def to(self, device: torch.device) -> Dataset:
        """The same samples on a device."""
        parts = (self.inputs, self.targets, self.weights)
        return Dataset(*(None if t is None else t.to(device) for t in parts))  # type: ignore[arg-type]


def _gather(rows: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.index_select(0, rows)


class Batches:
    """One epoch of batches each time it is iterated: shuffled anew from its own seed, or in order.

    `transform` (every batch) and, for training only, `augment` and then `mix`, which has the targets too, work on the
    whole batch on the device, so that pictures stay uint8 in memory until they are used. The order depends on nothing
    but `seed` and the number of epochs drawn: augmentation has random numbers of its own. Data that fits into half of a
    GPU's free memory is kept there.
    `lengths` (N,): of sequences; shuffled batches then hold rows of similar lengths, which leaves little padding.
    A last batch of a single sample joins the one before it (batch normalisation cannot learn from one sample).

    `rank`, `processes`: of each batch, this process of so many gets its part; together they get every sample once.
    `state_dict` tells the place in the middle of an epoch, and the iteration after `load_state_dict` gives the rest.

        >>> batches = Batches(Dataset(torch.arange(5.0)), batch_size=2)
        >>> [batch.inputs.tolist() for batch in batches]
        [[0.0, 1.0], [2.0, 3.0, 4.0]]
    """

    def __init__(
        self,
        data: Dataset,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        transform: Callable[[Tensor], Tensor] | None = None,
        augment: Augmentation | None = None,
        mix: Mixing | None = None,
        lengths: Tensor | None = None,
        device: torch.device | str = "cpu",
        rank: int = 0,
        processes: int = 1,
    ):
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, but got {batch_size}")
        self.device = torch.device(device)
        self.data = data.to(self.device) if _fits(data, self.device) else data
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.transform = transform
        self.augment = augment
        self.mix = mix
        self.lengths = lengths
        self.rank = rank
        self.processes = processes
        self.order = torch.Generator().manual_seed(seed)
        self.chance = torch.Generator().manual_seed(seed + 1 + rank)  # for augmentation
        self.epoch = 0  # that was begun last
        self.given = 0  # batches of this epoch
        self.skip = 0  # batches that the next iteration leaves out
        self.before = self.order.get_state()  # the order's random numbers when this epoch began
        self.least = 2 * processes
        self.bounds = batch_bounds(len(data), batch_size, processes, self.least)

    def __len__(self) -> int:
        return len(self.bounds)

    def __iter__(self) -> Iterator[Batch]:
        skip = self.given = self.skip
        self.epoch += not skip
        self.skip = 0
        self.before = self.order.get_state()
        order = torch.randperm(len(self.data), generator=self.order) if self.shuffle else None
        if order is not None and self.lengths is not None:
            order = by_length(order, self.lengths, self.batch_size, self.order)
        if order is not None:
            order = order.to(self.data.inputs.device)
        for number, (first, last) in enumerate(self.bounds):
            if number < skip:
                continue
            self.given = number + 1
            yield self._batch(order, first, last)
        self.given = 0

    def _batch(self, order: Tensor | None, first: int, last: int) -> Batch:
        start, end = share(first, last, self.rank, self.processes)
        data: Dataset = of_epoch(self.data, self.epoch)
        part = data[slice(start, end) if order is None else order[start:end]]
        if part.inputs.device != self.device:
            part = part.to(self.device)
        part = augmented(part, of_epoch(self.augment, self.epoch), of_epoch(self.mix, self.epoch), self.chance)
        inputs = part.inputs if self.transform is None else self.transform(part.inputs)
        return Batch(inputs, part.targets, part.weights)

    def state_dict(self) -> dict[str, Any]:
        """Where this iteration is: to be given to `load_state_dict` of batches of the same data."""
        order = self.before if self.given else self.order.get_state()
        return {
            "epoch": self.epoch,
            "given": self.given,
            "order": order,
            "chance": self.chance.get_state(),
            "processes": self.processes,
            "least": self.least,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration gives what is left of that epoch, bit for bit.

        The state of one number of processes is good for another: the batches are the same, cut into other parts.
        """
        self.epoch = int(state.get("epoch", 0))
        self.skip = self.given = int(state["given"])
        self.order.set_state(state["order"])
        self.before = self.order.get_state()
        if state["processes"] == self.processes:
            self.chance.set_state(state["chance"])
        self.least = max(state["least"], self.least)
        self.bounds = batch_bounds(len(self.data), self.batch_size, self.processes, self.least)


def by_length(order: Tensor, lengths: Tensor, batch_size: int, generator: torch.Generator) -> Tensor:
    """The shuffled rows, those of similar lengths together: sorted among those of 32 batches, which are shuffled again.

    What is left for a last, smaller batch stays as it was drawn.
    """
    whole = len(order) // batch_size * batch_size
    chunks = torch.split(order[:whole], CHUNK * batch_size)
    near = torch.cat([rows[lengths[rows].argsort(stable=True)] for rows in chunks] + [order[:0]])
    batches = near.view(-1, batch_size)
    batches = batches[torch.randperm(len(batches), generator=generator)]
    return torch.cat([batches.flatten(), order[whole:]])


def of_epoch(what: Any, epoch: int) -> Any:
    """The data, the augmentation, or what mixes, of this pass over the data, where passes differ."""
    renew: Callable[[int], Any] | None = getattr(what, "of_epoch", None)
    return what if renew is None else renew(epoch)


def augmented(part: Dataset, augment: Augmentation | None, mix: Mixing | None, chance: torch.Generator) -> Dataset:
    """The samples as they are learned from. Raises InputError where there is nothing, or too much, to mix."""
    inputs, targets = part.inputs, part.targets
    if augment is not None:
        inputs = augment(inputs, chance)
    if mix is not None:
        if targets is None or part.weights is not None:
            wrong = "there are no targets" if targets is None else "they have weights of their own"
            raise InputError(f"samples can't be mixed (mixup, cutmix), for {wrong}: leave mixing out")
        inputs, targets = mix(inputs, targets, chance)
    return Dataset(inputs, targets, part.weights)


def batch_bounds(samples: int, batch_size: int, processes: int, least: int) -> list[tuple[int, int]]:
    """First sample of each batch and of the next; a last batch of fewer than `least` joins the one before it.

    `least` is two for each process: batch normalisation needs them. Raises InputError where a process would get none.
    """
    starts = list(range(0, samples, batch_size))
    if len(starts) > 1 and samples - starts[-1] < min(least, batch_size):
        starts.pop()
    bounds = list(pairwise([*starts, samples]))
    smallest = min((last - first for first, last in bounds), default=processes)
    if smallest < processes:
        raise InputError(
            f"a batch of {smallest} cannot be shared by {processes} processes: "
            "take a larger batch_size, or fewer processes"
        )
    return bounds


def share(first: int, last: int, rank: int, processes: int) -> tuple[int, int]:
    """The part of a batch that is this process's: nearly equal parts, in order."""
    samples = last - first
    return first + samples * rank // processes, first + samples * (rank + 1) // processes


def _fits(data: Dataset, device: torch.device) -> bool:
    """Whether the data may live on the device: always on the processor, else in half of the free memory."""
    if device.type != "cuda":
        return device.type == "cpu"
    return data.bytes() < torch.cuda.mem_get_info(device)[0] / 2
