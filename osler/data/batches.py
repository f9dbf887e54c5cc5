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

# (inputs, generator) → inputs: on whole batches, with its own random numbers for every sample.
Augmentation = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Dataset:
    """Encoded samples: `inputs` (N, …), `targets` (N, …) and, where they count differently, `weights` (N,)."""

    inputs: Tensor
    targets: Tensor | None = None
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Tensor | slice) -> Dataset:
        targets = None if self.targets is None else self.targets[rows]
        weights = None if self.weights is None else self.weights[rows]
        return Dataset(self.inputs[rows], targets, weights)

    def bytes(self) -> int:
        """The memory it takes."""
        return sum(t.nbytes for t in (self.inputs, self.targets, self.weights) if t is not None)

    def to(self, device: torch.device) -> Dataset:
        """The same samples on a device."""
        parts = (self.inputs, self.targets, self.weights)
        return Dataset(*(None if t is None else t.to(device) for t in parts))  # type: ignore[arg-type]


class Batches:
    """One epoch of batches each time it is iterated: shuffled anew from its own seed, or in order.

    `transform` (every batch) and `augment` (training only) work on the whole batch on the device, so that pictures
    stay uint8 in memory until they are used. The order depends on nothing but `seed` and the number of epochs drawn:
    augmentation has random numbers of its own. Data that fits into half of a GPU's free memory is kept there.
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
        self.rank = rank
        self.processes = processes
        self.order = torch.Generator().manual_seed(seed)
        self.chance = torch.Generator().manual_seed(seed + 1 + rank)  # for augmentation
        self.given = 0  # batches of this epoch
        self.skip = 0  # batches that the next iteration leaves out
        self.before = self.order.get_state()  # the order's random numbers when this epoch began
        self.bounds = self._bounds()

    def __len__(self) -> int:
        return len(self.bounds)

    def _bounds(self) -> list[tuple[int, int]]:
        starts = list(range(0, len(self.data), self.batch_size))
        # Every process needs a sample, and batch normalisation two.
        least = 2 if self.processes == 1 else 2 * self.processes
        if len(starts) > 1 and len(self.data) - starts[-1] < min(least, self.batch_size):
            starts.pop()
        return list(pairwise([*starts, len(self.data)]))

    def __iter__(self) -> Iterator[Batch]:
        skip = self.given = self.skip
        self.skip = 0
        self.before = self.order.get_state()
        order = torch.randperm(len(self.data), generator=self.order) if self.shuffle else None
        if order is not None:
            order = order.to(self.data.inputs.device)
        for number, (first, last) in enumerate(self.bounds):
            if number < skip:
                continue
            self.given = number + 1
            yield self._batch(order, first, last)
        self.given = 0

    def _batch(self, order: Tensor | None, first: int, last: int) -> Batch:
        total = last - first
        start = first + total * self.rank // self.processes
        end = first + total * (self.rank + 1) // self.processes
        part = self.data[slice(start, end) if order is None else order[start:end]]
        if part.inputs.device != self.device:
            part = part.to(self.device)
        inputs = part.inputs
        if self.augment is not None:
            inputs = self.augment(inputs, self.chance)
        if self.transform is not None:
            inputs = self.transform(inputs)
        return Batch(inputs, part.targets, part.weights, total)

    def state_dict(self) -> dict[str, Any]:
        """Where this iteration is: to be given to `load_state_dict` of batches of the same data."""
        order = self.before if self.given else self.order.get_state()
        return {"given": self.given, "order": order, "chance": self.chance.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next iteration gives what is left of that epoch, bit for bit."""
        self.skip = self.given = int(state["given"])
        self.order.set_state(state["order"])
        self.before = self.order.get_state()
        self.chance.set_state(state["chance"])


def _fits(data: Dataset, device: torch.device) -> bool:
    """Whether the data may live on the device: always on the processor, else in half of the free memory."""
    if device.type != "cuda":
        return device.type == "cpu"
    return data.bytes() < torch.cuda.mem_get_info(device)[0] / 2
