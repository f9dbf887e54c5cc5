"""Which rows are held out, where they come in pieces: by the rules of `holdout`, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.holdout import class_indices, held_share, refuse_few_groups, refuse_too_few
from osler.data.largetable import Piece
from osler.data.splits import held_groups, held_of_each, held_size, split_rows
from osler.data.values import as_dates, as_numbers, as_texts, date_format
from osler.errors import InputError
from osler.records import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("train", "validation", "test")
MOST = 10**9  # rows of a class that NumPy can draw from
# The pieces in order → for each row, the index of its part in NAMES.
Dealer = Callable[[Piece], "NDArray[np.int64]"]


class RandomDeal:
    """Deals rows out at random, each class in its share: the parts have the sizes of a split in memory.

    Every piece draws from the places left in each part (hypergeometric), so that every choice of rows is equally
    likely (selection sampling, Knuth, 1969), and nothing about a row has to be kept.
    """

    def __init__(self, sizes: NDArray[np.int64], missing: list[str], task: Task, seed: int):
        refuse_too_few(int(sizes.sum()), len(missing) + 1)
        if sizes.max() >= MOST:
            raise InputError(f"{sizes.max():,} rows are more than can be split at random (10^9 of a class): split them")
        self.task = task
        self.seed = seed
        left, total = sizes.copy(), int(sizes.sum())
        self.parts = np.zeros((len(sizes), len(NAMES)), dtype=np.int64)
        for name in ("test", "validation"):
            if name in missing:
                share = held_share(name, total, int(left.sum()))
                held, there = np.zeros_like(left), left > 0
                held[there] = held_of_each(left[there], share) if len(left) > 1 else held_size(int(left[0]), share)
                self.parts[:, NAMES.index(name)] = held
                left -= held
        self.parts[:, 0] = left

    @property
    def sizes(self) -> dict[str, int]:
        return dict(zip(NAMES, self.parts.sum(axis=0).tolist(), strict=True))

    def dealer(self) -> Dealer:
        random = np.random.default_rng(self.seed)
        left = self.parts.copy()

        def deal(piece: Piece) -> NDArray[np.int64]:
            several = len(left) > 1
            classes = class_indices(piece.part, self.task) if several else np.zeros(len(piece), dtype=np.int64)
            given = np.zeros(len(piece), dtype=np.int64)
            for c in np.unique(classes):
                mine = np.flatnonzero(classes == c)
                taken = random.multivariate_hypergeometric(left[c], len(mine))
                left[c] -= taken
                given[mine] = random.permutation(np.repeat(np.arange(len(NAMES)), taken))
            return given

        return deal


class GroupDeal:
    """Deals out whole groups, the same ones as in memory. All their names are held in memory."""

    def __init__(self, column: str, groups: Counter[str], missing: list[str], seed: int):
        total = sum(groups.values())
        refuse_few_groups(column, len(groups), total, len(missing) + 1)
        self.column = column
        self.part = dict.fromkeys(groups, 0)
        self.sizes = dict.fromkeys(NAMES, 0)
        left = dict(sorted(groups.items()))
        for name in ("test", "validation"):
            if name in missing:
                names, counts = list(left), np.array(list(left.values()), dtype=np.int64)
                for place in held_groups(counts, held_share(name, total, int(counts.sum())), seed).tolist():
                    self.part[names[place]] = NAMES.index(name)
                    self.sizes[name] += left.pop(names[place])
        self.sizes["train"] = sum(left.values())

    def dealer(self) -> Dealer:
        return lambda piece: np.array([self.part[text] for text in group_texts(piece, self.column)], dtype=np.int64)


def group_texts(piece: Piece, column: str) -> list[str]:
    return [str(text) for text in as_texts(piece.part.inputs[column])]


class TimeDeal:
    """Holds out the last rows, the same ones as in memory. A number for each row is held in memory, then a byte."""

    def __init__(self, times: NDArray[Any], missing: list[str]):
        total = len(times)
        refuse_too_few(total, len(missing) + 1)
        self.given = np.zeros(total, dtype=np.uint8)
        rest = np.arange(total)
        for name in ("test", "validation"):
            if name in missing:
                kept, held = split_rows(len(rest), held_share(name, total, len(rest)), 0, times=times[rest])
                self.given[rest[held]] = NAMES.index(name)
                rest = rest[kept]
        counts = np.bincount(self.given, minlength=len(NAMES)).tolist()
        self.sizes = dict(zip(NAMES, counts, strict=True))

    def dealer(self) -> Dealer:
        at = 0

        def deal(piece: Piece) -> NDArray[np.int64]:
            nonlocal at
            at += len(piece)
            return self.given[at - len(piece) : at].astype(np.int64)

        return deal


class Times:
    """The times of rows that come in pieces; the first piece shows how they are written."""

    def __init__(self, column: str):
        self.column = column
        self.form: str | None = None
        self.found: list[NDArray[Any]] = []

    def add(self, piece: Piece) -> None:
        """Raises InputError, with file and row, for a row without a date or a number."""
        series = piece.part.inputs[self.column]
        if not self.found:
            self.form = date_format(series)
        times = as_dates(series, self.form).to_numpy() if self.form else as_numbers(series)
        odd = np.flatnonzero(np.isnat(times) if self.form else np.isnan(times))
        if len(odd):
            like = f", written like the first ones ({self.form})" if self.form else ""
            raise InputError(
                f"time column {self.column!r} holds {as_texts(series)[odd[0]]!r} in {piece.row(odd[0])}: "
                f"every row needs a date or a number{like}"
            )
        self.found.append(times)

    def all(self) -> NDArray[Any]:
        return np.concatenate(self.found)


Deal = RandomDeal | GroupDeal | TimeDeal
