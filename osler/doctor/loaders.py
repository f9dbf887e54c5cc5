"""Samples from a data loader, taken without disturbing it, and whether its workers draw the same numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from osler.doctor.program import quiet
from osler.doctor.tree import change, leaves, rows, tensors
from osler.errors import InputError

ENOUGH = 512  # samples
DEEP = 4  # how far inside of a data set its random generators are looked for


def pair(data: Any, name: str) -> tuple[Any, Any]:
    """(inputs, targets) of what a user gave: a pair, or a loader."""
    if data is None:
        return None, None
    if isinstance(data, tuple | list) and len(data) == 2:
        return tensors(data[0]), tensors(data[1])
    if isinstance(data, Tensor | np.ndarray):
        return tensors(data), None
    if hasattr(data, "__iter__") and not isinstance(data, dict | str):
        return sample_of(data, name)
    raise InputError(f"{name} is a {type(data).__name__}; give (inputs, targets), or a loader of such batches")


def sample_of(loader: Any, name: str) -> tuple[Any, Any]:
    """(inputs, targets) of samples from all over a loader's data set, in their order; of a stream its first batches."""
    with undisturbed(loader):
        if isinstance(loader, DataLoader) and _has_places(loader):
            count = len(loader.dataset)  # type: ignore[arg-type]
            places = np.unique(np.linspace(0, count - 1, min(count, ENOUGH)).astype(int)).tolist() if count else []
            batches = [loader.collate_fn([loader.dataset[i] for i in places])] if places else []
        else:
            batches = _first(loader)
    if not batches:
        raise InputError(f"{name}: the loader is empty; give one with at least one batch")
    pairs = []
    for batch in batches:
        if not (isinstance(batch, tuple | list) and len(batch) == 2):
            raise InputError(f"{name}: a batch is a {type(batch).__name__}; give a loader of (inputs, targets)")
        pairs.append(tensors(tuple(batch)))
    columns = zip(*(list(leaves(pair)) for pair in pairs), strict=True)
    joined = iter([torch.cat(column) if column[0].dim() else column[0] for column in columns])
    inputs, targets = change(pairs[0], lambda _: next(joined))
    return inputs, targets


def _has_places(loader: DataLoader[Any]) -> bool:
    known = hasattr(loader.dataset, "__getitem__") and hasattr(loader.dataset, "__len__")
    return known and not isinstance(loader.dataset, IterableDataset) and loader.batch_sampler is not None


def _first(loader: Any) -> list[Any]:
    batches: list[Any] = []
    for batch in loader:
        batches.append(batch)
        if rows(tensors(batch)) * len(batches) >= ENOUGH:
            break
    return batches


def workers_alike(loader: Any) -> bool:
    """Whether the workers of a loader draw the same numbers: each has a copy of a generator that the data set holds.

    Shown by an experiment: what two workers would make of the first sample, each with torch's, NumPy's and Python's
    own random numbers seeded differently, as torch does, and with the data set's generators as they are now.
    """
    alone = not isinstance(loader, DataLoader) or loader.num_workers < 2 or loader.worker_init_fn is not None
    if alone or not _has_places(loader) or not len(loader.dataset):
        return False

    def made(worker: int, times: int) -> list[Any]:
        with undisturbed(loader):
            torch.manual_seed(worker)
            np.random.seed(worker)  # noqa: NPY002 (users' programs draw from it)
            random.seed(worker)
            return [list(leaves(tensors(loader.collate_fn([loader.dataset[0]])))) for _ in range(times)]

    (first, second), (other,) = made(1, 2), made(2, 1)
    return _equal(first, other) and not _equal(first, second)


def _equal(one: list[Any], two: list[Any]) -> bool:
    return len(one) == len(two) and all(
        a.shape == b.shape and bool((a == b).all()) for a, b in zip(one, two, strict=True)
    )


@contextmanager
def undisturbed(loader: Any) -> Iterator[None]:
    """What is drawn inside, from anybody's generators, is drawn once more afterwards."""
    putting_back = [_keeper(generator) for generator in _generators(loader)]
    try:
        with quiet():
            yield
    finally:
        for put_back in putting_back:
            put_back()


def _keeper(generator: Any) -> Callable[[], Any]:
    """A function that puts a generator back to where it is now."""
    if isinstance(generator, torch.Generator):
        state: Any = generator.get_state()
        return lambda: generator.set_state(state)
    if isinstance(generator, random.Random):
        state = generator.getstate()
        return lambda: generator.setstate(state)
    if isinstance(generator, np.random.RandomState):
        state = generator.get_state()
        return lambda: generator.set_state(state)
    state = generator.bit_generator.state
    return lambda: setattr(generator.bit_generator, "state", state)


def _generators(holder: Any, depth: int = DEEP, seen: set[int] | None = None) -> list[Any]:
    """The random generators that an object holds, or what it holds."""
    seen = set() if seen is None else seen
    if depth < 0 or id(holder) in seen:
        return []
    seen.add(id(holder))
    if isinstance(holder, torch.Generator | random.Random | np.random.RandomState | np.random.Generator):
        return [holder]
    if isinstance(holder, dict | list | tuple):
        few = len(holder) <= 100  # transforms, not samples
        inside = list(holder.values() if isinstance(holder, dict) else holder) if few else []
    elif isinstance(holder, type | Tensor | np.ndarray):
        return []
    else:
        inside = list(getattr(holder, "__dict__", {}).values())
    return [generator for part in inside for generator in _generators(part, depth - 1, seen)]
