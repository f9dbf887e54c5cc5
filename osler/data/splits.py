"""Splits of rows into those that teach and those held out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from osler.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]


def split_rows(
    count: int,
    share: float,
    seed: int,
    *,
    labels: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
    times: NDArray[Any] | None = None,
) -> tuple[Rows, Rows]:
    """Splits row numbers 0 … count-1 into (kept, held out), about `share` of them held out; both sorted.

    `labels`: every class keeps its share on both sides (stratified), and at least one row. `groups`: no group is on
    both sides. `times`: the last rows in time are held out. None of them: at random. The same seed, the same split.
    """
    assert 0 < share < 1
    if count < 2:
        raise InputError(f"{count} row cannot be split into a part to learn from and a part to be judged on")
    if times is not None:
        held = np.argsort(times, kind="stable")[count - held_size(count, share) :]
    elif groups is not None:
        held = _grouped(groups, share, seed)
    elif labels is not None and len(np.unique(labels)) < count:
        held = _stratified(labels, share, seed)
    else:
        held = np.random.default_rng(seed).permutation(count)[: held_size(count, share)]
    out = np.zeros(count, dtype=bool)
    out[held] = True
    return np.flatnonzero(~out), np.flatnonzero(out)


def held_size(count: int, share: float) -> int:
    """At least one row on each side."""
    return min(max(round(count * share), 1), count - 1)


def held_of_each(sizes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """The same share of every class; leftovers of rounding go to the classes that lost most by it."""
    wanted = sizes * share
    # The last row of a class stays in training.
    taken = np.minimum(np.floor(wanted).astype(int), sizes - 1)
    room = np.minimum(sizes - 1 - taken, 1)
    order = sorted(np.flatnonzero(room), key=lambda c: (-(wanted[c] - taken[c]), c))
    for c in order[: max(held_size(int(sizes.sum()), share) - int(taken.sum()), 0)]:
        taken[c] += 1
    return np.asarray(taken)


def held_groups(sizes: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Places of whole groups, in random order until the share is reached as nearly as possible."""
    order = np.random.default_rng(seed).permutation(len(sizes))
    filled = np.cumsum(sizes[order])
    held: NDArray[np.int64] = order[: int(np.argmin(np.abs(filled[:-1] - sizes.sum() * share))) + 1]
    return held


def _stratified(labels: NDArray[Any], share: float, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    taken = held_of_each(sizes, share)
    held = [random.permutation(np.flatnonzero(classes == c))[:n] for c, n in enumerate(taken)]
    return np.concatenate(held)


def _grouped(groups: NDArray[Any], share: float, seed: int) -> Rows:
    names, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise InputError(f"all rows belong to one group ({str(names[0])!r}): a split by groups needs at least two")
    return np.flatnonzero(np.isin(members, held_groups(sizes, share, seed)))
