"""Batches of data that fits in memory: contiguous tensors, and a batch is one gather."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

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


class Batches:
    """One epoch of batches each time it is iterated: shuffled anew from its own seed, or in order.

    `transform` (every batch) and `augment` (training only) work on the whole batch on the device, so that pictures
    stay uint8 in memory until they are used. The order depends on nothing but `seed` and the number of epochs drawn:
    augmentation has random numbers of its own.
    A last batch of a single sample joins the one before it (batch normalisation cannot learn from one sample).

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
    ):
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1, but got {batch_size}")
        self.data = data
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.transform = transform
        self.augment = augment
        self.device = torch.device(device)
        self.order = torch.Generator().manual_seed(seed)
        self.chance = torch.Generator().manual_seed(seed + 1)  # for augmentation

    def __len__(self) -> int:
        return len(self._bounds())

    def _bounds(self) -> list[tuple[int, int]]:
        starts = list(range(0, len(self.data), self.batch_size))
        if len(starts) > 1 and len(self.data) - starts[-1] == 1 < self.batch_size:
            starts.pop()
        return list(pairwise([*starts, len(self.data)]))

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.data), generator=self.order) if self.shuffle else None
        for start, end in self._bounds():
            part = self.data[slice(start, end) if order is None else order[start:end]]
            inputs = part.inputs.to(self.device, non_blocking=True)
            if self.augment is not None:
                inputs = self.augment(inputs, self.chance)
            if self.transform is not None:
                inputs = self.transform(inputs)
            yield Batch(inputs, *(t if t is None else t.to(self.device) for t in (part.targets, part.weights)))
