"""A table that does not fit in memory made ready: looked at twice in pieces, split, and encoded once to disk.

What is learned equals what the same training rows teach in memory, to rounding (see `running` for the exceptions:
medians and classes are exact). The split has the sizes of one in memory; rows are drawn piece by piece.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.batches import Dataset
from osler.data.deal import NAMES, Deal, GroupDeal, RandomDeal, TimeDeal, Times, group_texts
from osler.data.holdout import class_indices, missing_groups, refuse_both, split_told
from osler.data.kinds import choose, refuse_cells_of_many
from osler.data.largetable import LargeTable, Piece, column_names
from osler.data.memory import check_fits
from osler.data.parts import Part
from osler.data.prepare import Options, Prepared, check_classes, refuse_empty_columns
from osler.data.preprocess import Preprocess
from osler.data.rowfiles import Cache, RowWriter, StreamedDataset
from osler.data.running import First, Second
from osler.data.scaling import Moments, Standardizer
from osler.data.table import Surprises, TableEncoder, described
from osler.data.targets import TargetEncoder
from osler.data.task import infer_task
from osler.data.values import as_numbers, as_texts, refuse_collections
from osler.errors import InputError
from osler.records import Task

if TYPE_CHECKING:
    import pandas as pd

DIFFERENT = 100_000  # different targets that are told apart: more of them are numbers, not classes
AT_ONCE = 32 * 2**20  # bytes encoded at once


def prepare_table(table: LargeTable, notes: list[str], options: Options, cache: Cache) -> Prepared:
    """What `prepare` does with a table that fits."""
    for option in ("group", "time", "weight"):
        if (name := getattr(options, option)) is not None:
            column_names(table, option, name)
    for name in options.drop:
        column_names(table, "drop", name)
    refuse_both(options.group, options.time)
    main = "all" if "all" in table.files else "train"
    look = first_look(table, main, options, notes)
    task = look.task(options.task)
    others = {name: counted for name in table.files if name != main if (counted := _count(table, name, options, notes))}
    missing = [name for name in ("validation", "test") if name not in others]
    deal = look.deal(task, missing, options)
    if look.without_group:
        notes.append(missing_groups(look.without_group, str(options.group)))
    sizes = {name: others[name].rows if name in others else deal.sizes[name] for name in NAMES}
    notes.append(split_told(task, options.group, options.time, [main, *others], sizes))

    rows = _Rows(table, options, {main: _Counted(look.rows, look.weight), **others}, deal, main)
    seen = second_look(rows, look, task, options)
    if seen.classes is not None:
        check_classes(seen.classes, task, notes)
    said: list[str] = []
    encoder = TableEncoder.of({name: choose(column, said) for name, column in seen.columns.items()}, said, notes)
    preprocess = Preprocess("table", encoder, TargetEncoder(task, seen.scaler()))
    width = 4 * len(encoder.features) + (8 if task.kind == "multiclass" else 4 * task.outputs)
    width += 4 * (options.weight is not None)
    cache.check_space(sum(sizes.values()) * width)
    parts = _encoded(rows, preprocess, cache, notes)
    features = [
        described(column, seen.columns[column.name].rows - seen.columns[column.name].known, *_span(column, seen))
        for column in encoder.columns
    ]
    raw = {name: LargePart(len(parts[name]), rows, name) for name in NAMES}
    return Prepared(task, preprocess, raw, parts, features, cache)


class FirstLook:
    """All rows of the training file: the types of columns, different targets, sums that the split needs."""

    def __init__(self, table: LargeTable, options: Options):
        names = [column for column in table.columns if column not in (*options.drop, options.group, options.weight)]
        self.columns = {name: First(name, seed) for seed, name in enumerate(names)}
        self.options = options
        self.rows = 0
        self.targets = table.targets
        self.different: pd.Series[Any] | None = None  # targets → how many rows have them
        self.all_different = True
        self.groups: Counter[str] = Counter()
        self.without_group = 0
        self.times = Times(options.time) if options.time is not None else None
        self.weight = 0.0

    def add(self, piece: Piece) -> None:
        part, options = piece.part, self.options
        self.rows += len(piece)
        for name, column in self.columns.items():
            series = part.targets[name] if name in self.targets else part.inputs[name]
            if name in self.targets:
                refuse_collections(series, f"target {name!r}", "name a column of single values")
            else:
                refuse_cells_of_many(series)
            column.add(series)
        self._add_targets(part.targets)
        if options.group is not None:
            self.groups.update(group_texts(piece, options.group))
            self.without_group += int(part.inputs[options.group].isna().sum())
        if self.times is not None:
            check_fits(self.rows * 24, f"the order in time of {self.rows:,} rows")
            self.times.add(piece)
        if options.weight is not None:
            self.weight += float(_weights(piece, options.weight).sum())

    def _add_targets(self, targets: pd.DataFrame) -> None:
        import pandas as pd

        if not self.all_different or not len(targets):
            return
        # Categories are told apart by their texts: pieces may have different lists of them.
        plain = pd.DataFrame({i: _plain(targets[name]) for i, name in enumerate(self.targets)})
        counts = plain.groupby(list(plain.columns), sort=False).size()
        if self.different is not None:
            levels: Any = list(range(len(self.targets)))
            counts = pd.concat([self.different, counts]).groupby(level=levels, sort=False).sum()
        self.different = counts
        self.all_different = len(counts) <= DIFFERENT

    def task(self, wanted: str | None) -> Task:
        """Inferred from the different targets that there are."""
        frame = self._different_targets()
        task = infer_task(frame, wanted, self.rows)
        if not self.all_different and task.kind != "regression":
            raise InputError(
                f"target {', '.join(map(repr, self.targets))} has more than {DIFFERENT:,} different values, too many "
                "for classes: name another target, or say --task regression if they are numbers"
            )
        return task

    def _different_targets(self) -> pd.DataFrame:
        import pandas as pd

        assert self.different is not None
        frame = self.different.index.to_frame(index=False)
        frame.columns = pd.Index(self.targets)
        types = {"category": "category", "truth": "boolean"}
        return frame.astype({n: types[k] for n in self.targets if (k := self.columns[n].kind) in types})

    def deal(self, task: Task, missing: list[str], options: Options) -> Deal:
        """Which rows are held out."""
        if options.group is not None:
            return GroupDeal(options.group, self.groups, missing, options.seed)
        if self.times is not None:
            return TimeDeal(self.times.all(), missing)
        sizes = np.array([self.rows])
        if task.kind in ("binary", "multiclass") and self.different is not None:
            classes = class_indices(Part(None, self._different_targets()), task)
            counts = self.different.to_numpy(dtype=np.float64)
            sizes = np.bincount(classes, weights=counts, minlength=len(task.classes)).astype(np.int64)
            sizes = sizes if len(sizes) < self.rows else np.array([self.rows])
        return RandomDeal(sizes, missing, task, options.seed)


def _plain(series: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    return series.astype(object) if isinstance(series.dtype, pd.CategoricalDtype) else series


def first_look(table: LargeTable, main: str, options: Options, notes: list[str]) -> FirstLook:
    """Looks at all rows; again where a column of a text file turns out to hold numbers in some pieces only."""
    while True:
        look, dropped = FirstLook(table, options), 0
        for piece, unknown in table.kept(main, options.drop):
            dropped += unknown
            look.add(piece)
        if table.settled():
            break
    _tell_unknown(dropped, look.rows, main, look.targets, notes)
    refuse_empty_columns(
        [name for name, column in look.columns.items() if not column.known and name not in look.targets]
    )
    return look


def _tell_unknown(dropped: int, kept: int, name: str, targets: list[str], notes: list[str]) -> None:
    if not kept and name in ("all", "train"):
        raise InputError(f"target {', '.join(map(repr, targets))}: empty in all {dropped} rows")
    if dropped:
        where = "" if name == "all" else f" of the {name} part"
        notes.append(f"{dropped} of {dropped + kept} rows{where} dropped: their target is missing")


@dataclass(frozen=True)
class _Counted:
    """The rows of a given part that can be used, and the sum of their weights."""

    rows: int
    weight: float


def _count(table: LargeTable, name: str, options: Options, notes: list[str]) -> _Counted | None:
    while True:
        rows, dropped, weight = 0, 0, 0.0
        for piece, unknown in table.kept(name, options.drop):
            rows, dropped = rows + len(piece), dropped + unknown
            if options.weight is not None:
                weight += float(_weights(piece, options.weight).sum())
        if table.settled():
            break
    _tell_unknown(dropped, rows, name, table.targets, notes)
    return _Counted(rows, weight) if rows else None


def _weights(piece: Piece, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    series = piece.part.inputs[column]
    weights = as_numbers(series)
    odd = np.flatnonzero(~(weights >= 0))
    if len(odd):
        value, row = as_texts(series)[odd[0]], piece.row(odd[0])
        raise InputError(f"weight column {column!r} holds {value!r} in {row}: every row needs a number >= 0")
    return weights


@dataclass(frozen=True)
class _Rows:
    """The rows of the parts "train", "validation" and "test", again and again in the same order."""

    table: LargeTable
    options: Options
    counted: dict[str, _Counted]  # of the parts that are there
    deal: Deal
    main: str

    def of(self, *names: str) -> Iterator[tuple[str, Piece]]:
        """The rows of these parts, in one pass: with their weights, without the columns that only told how."""
        split = [name for name in names if not self.given(name)]
        for source in dict.fromkeys(name if self.given(name) else self.main for name in names):
            dealer = self.deal.dealer() if source == self.main else None
            for piece, _ in self.table.kept(source, self.options.drop):
                if dealer is None:
                    yield source, self._plain(piece, source)
                    continue
                dealt = dealer(piece)
                for name in split:
                    mine = np.flatnonzero(dealt == NAMES.index(name))
                    if len(mine):
                        yield name, self._plain(piece.take(mine), source)

    def given(self, name: str) -> bool:
        return name in self.counted and name != self.main

    def _plain(self, piece: Piece, source: str) -> Piece:
        part, look, options = piece.part, self.counted[source], self.options
        if options.weight is not None:
            if not look.weight:
                raise InputError(f"weight column {options.weight!r} is 0 in every row: nothing would count")
            # Of mean 1, so that the loss keeps its scale.
            weights = _weights(piece, options.weight) / (look.weight / look.rows)
            part = replace(part.without(options.weight), weights=weights)
        return replace(piece, part=part.without(options.group) if options.group is not None else part)


class _Seen:
    """What the training rows teach."""

    def __init__(self, look: FirstLook, task: Task, options: Options):
        self.task = task
        self.columns = {name: Second(first) for name, first in look.columns.items() if name not in look.targets}
        self.moments = [Moments() for _ in task.names] if task.kind == "regression" and options.scale else []
        counted = task.kind in ("binary", "multiclass")
        self.classes = np.zeros(len(task.classes), dtype=np.int64) if counted else None

    def add(self, piece: Piece) -> None:
        for name, column in self.columns.items():
            column.add(piece.part.inputs[name])
        for moments, name in zip(self.moments, self.task.names, strict=False):
            values = as_numbers(piece.part.targets[name])
            moments.add(values[~np.isnan(values)])
        if self.classes is not None:
            self.classes += np.bincount(class_indices(piece.part, self.task), minlength=len(self.classes))

    def scaler(self) -> Standardizer | None:
        if not self.moments:
            return None
        return Standardizer(np.array([m.mean for m in self.moments]), np.array([m.std for m in self.moments]))


def second_look(rows: _Rows, look: FirstLook, task: Task, options: Options) -> _Seen:
    seen = _Seen(look, task, options)
    for _, piece in rows.of("train"):
        seen.add(piece)
    return seen


def _span(column: Any, seen: _Seen) -> tuple[Any, ...]:
    return seen.columns[column.name].span() if column.kind in ("number", "date") else ()


def _encoded(rows: _Rows, preprocess: Preprocess, cache: Cache, notes: list[str]) -> dict[str, StreamedDataset]:
    """The rows of all parts, encoded, on disk."""
    assert isinstance(preprocess.inputs, TableEncoder)
    task = preprocess.targets.task
    classes = len(task.classes) if task.kind in ("binary", "multiclass") else 0
    surprises = {
        name: Surprises(preprocess.inputs.columns) for name in NAMES if name in rows.counted
    }  # not split by us
    at_once = max(AT_ONCE // (4 * len(preprocess.inputs.features)), 1)
    with contextlib.ExitStack() as stack:
        writers = {name: stack.enter_context(RowWriter(cache, name, classes)) for name in NAMES}
        for name, piece in rows.of(*NAMES):
            if name in surprises:
                surprises[name].add(piece.part.inputs)
            for start in range(0, len(piece), at_once):
                some = piece.take(np.arange(start, min(start + at_once, len(piece)))) if len(piece) > at_once else piece
                writers[name].add(_encode(preprocess, some))
    for counted in surprises.values():
        counted.tell(notes)
    return {name: writer.finish() for name, writer in writers.items()}


def _encode(preprocess: Preprocess, piece: Piece) -> Dataset:
    try:
        return preprocess.encode(piece.part, None)
    except InputError:
        low, high = 0, len(piece)  # the first row that cannot be encoded is in between
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _refused(preprocess, piece, low, middle) else (middle, high)
        error = _refused(preprocess, piece, low, high)
        if error is None:
            raise
        raise InputError(f"{piece.path.parent / piece.row(low)}: {error}") from error


def _refused(preprocess: Preprocess, piece: Piece, low: int, high: int) -> InputError | None:
    try:
        preprocess.encode(piece.part.take(np.arange(low, high)), None)
    except InputError as error:
        return error
    return None


@dataclass(frozen=True)
class LargePart:
    """A part's rows as they were read, looked up when asked for: one more pass over the table, up to the last one."""

    count: int
    source: _Rows
    name: str

    def __len__(self) -> int:
        return self.count

    def take(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> Part:
        """These rows, in this order, in memory; called by file and place in it."""
        import pandas as pd

        wanted, found, first = np.unique(rows), [], 0
        if not len(wanted):
            return Part(pd.DataFrame(), pd.DataFrame())
        for _, piece in self.source.of(self.name):
            mine = wanted[(wanted >= first) & (wanted < first + len(piece))] - first
            if len(mine):
                some = piece.take(mine)
                found.append(replace(some.part, rows=tuple(some.row(i) for i in range(len(some)))))
            first += len(piece)
            if first > wanted[-1]:
                break
        inputs, targets = (
            pd.concat([getattr(part, what) for part in found], ignore_index=True) for what in ("inputs", "targets")
        )
        together = Part(inputs, targets, tuple(row for part in found for row in part.rows))
        return together.take(np.searchsorted(wanted, rows))
