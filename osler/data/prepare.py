"""From a source to what training needs: rows split, preprocessing fitted on the training rows, all of it as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.audioencoder import AudioEncoder
from osler.data.batches import Dataset
from osler.data.condition import set_apart
from osler.data.holdout import class_indices, hold_out
from osler.data.kinds import reads_as_text
from osler.data.parts import LookedUp, Part, Source
from osler.data.prepareseries import prepare_series
from osler.data.preprocess import ImageEncoder, Preprocess
from osler.data.rowfiles import Cache, StreamedDataset
from osler.data.targets import TargetEncoder
from osler.data.task import infer_task
from osler.data.values import as_numbers, as_texts
from osler.errors import InputError
from osler.records import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osler.data.largetable import LargeTable
    from osler.data.streamimages import LargeImages


@dataclass(frozen=True)
class Options:
    """What `prepare` is told about a source."""

    task: str | None
    group: str | None
    time: str | None
    weight: str | None
    drop: tuple[str, ...]
    scale: bool
    seed: int


@dataclass(frozen=True)
class Prepared:
    """The parts "train", "validation" and "test": as read (`raw`) and encoded (`parts`), in memory or on disk.

    `raw` of what is on disk has a length, and rows are looked up with `take`. `cache` holds it: `close` removes it.
    """

    task: Task
    preprocess: Preprocess
    raw: Mapping[str, LookedUp]
    parts: Mapping[str, Dataset | StreamedDataset]
    features: list[dict[str, Any]] = field(default_factory=list)
    cache: Cache | None = None

    def describe(self) -> list[dict[str, Any]]:
        """One record per column of a table, for people, about the training rows."""
        train = self.raw["train"]
        return self.preprocess.describe(train) if isinstance(train, Part) else self.features

    def class_counts(self, name: str) -> NDArray[np.int64] | None:
        """How many samples of the part each class has (pixels, of masks); None where there are no classes."""
        if self.task.kind not in ("binary", "multiclass", "segmentation"):
            return None
        part = self.parts[name]
        if isinstance(part, StreamedDataset):
            return np.array(part.class_counts)
        assert part.targets is not None
        classes = len(self.task.classes)
        counts: NDArray[np.int64] = np.bincount(part.targets.numpy().astype(np.int64).reshape(-1), minlength=classes)
        return counts[:classes]  # without what is void in masks

    def sample(self, name: str, count: int = 100_000) -> Dataset:
        """The part where it is in memory; else so many of its samples, from all over it."""
        part = self.parts[name]
        return part.sample(count) if isinstance(part, StreamedDataset) else part

    def as_published(self, pixels: str) -> Prepared:
        """The same data, pictures scaled as those that published weights were learned from."""
        inputs = self.preprocess.inputs
        if not isinstance(inputs, ImageEncoder):
            raise InputError(f"pixels={pixels} is for pictures, but this source is of kind {self.preprocess.kind!r}")
        return replace(self, preprocess=replace(self.preprocess, inputs=inputs.as_published(pixels)))

    def as_frames(self) -> Prepared:
        """The same data, recordings as sequences of frames."""
        assert isinstance(self.preprocess.inputs, AudioEncoder)
        return replace(self, preprocess=replace(self.preprocess, inputs=self.preprocess.inputs.as_frames()))

    def close(self) -> None:
        """Removes what was encoded to disk."""
        if self.cache is not None:
            self.cache.close()


def prepare(
    source: Source | LargeTable | LargeImages,
    notes: list[str],
    *,
    task: str | None = None,
    group: str | None = None,
    time: str | None = None,
    weight: str | None = None,
    drop: Sequence[str] = (),
    scale: bool = True,
    seed: int = 0,
    tokens: Mapping[str, Any] | None = None,
    length: int | None = None,
    cache: Path | None = None,
    test: str | None = None,
    features: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    horizon: int | None = None,
    window: int | None = None,
    sizes: Sequence[int] | None = None,
) -> Prepared:
    """Splits the source's rows (given parts stay as they are) and fits the preprocessing on the training part.

    `group`, `time`, `weight` name columns of a table: rows of one group stay on one side; later rows are held out;
    how much each row counts. `drop` names columns to leave out. `test`: a condition on a column ("take<5"), by which
    rows are held out to test on. What was decided goes to `notes` as sentences. `tokens`, `length`: into what texts are
    cut, and how much of them is kept (`TextEncoder.fit`). `features`, `seconds`: of recordings (`AudioEncoder.fit`).
    `cache`: in which folder a source too large for the memory is encoded (default: that of temporary files); the result
    removes what it put there when it goes, or is closed. Raises InputError if the disk has no room for it.
    `horizon`, `window`, `sizes` (of the parts): of a series, as `prepare_series` takes them.
    """
    if isinstance(source, Source) and source.kind == "series":
        for option, value in (("group", group), ("weight", weight)):
            if value is not None:
                raise InputError(
                    f"{option} is for rows that know nothing of each other, not for a series: leave it out"
                )
        if tokens is not None or length is not None:
            raise InputError("tokens and length are of texts, but a series holds numbers: leave them out")
        series = source.parts["all"].inputs
        forecasting = prepare_series(series, notes, horizon=horizon, window=window, given=sizes, scale=scale)
        return Prepared(forecasting[0].targets.task, *forecasting)
    asked = tokens is not None or length is not None
    if not isinstance(source, Source):
        if asked:
            raise InputError(f"{source.where} does not fit into memory, and texts are read only where they do")
        if test is not None:
            raise InputError(f"test {test!r} chooses rows in memory, but {source.where} is larger: give it a test file")
        return _on_disk(source, notes, Options(task, group, time, weight, tuple(drop), scale, seed), cache)
    if source.kind in ("corpus", "pairs"):
        return _tokens_alone(
            source, notes, Options(task, group, time, weight, tuple(drop), scale, seed), tokens, length
        )
    main = "all" if "all" in source.parts else "train"
    parts = {}
    given = source.parts
    if test is not None:
        if main != "all":
            raise InputError(f"test {test!r} chooses rows, but {source.where} has a part to test on: leave it out")
        given = set_apart(given["all"], test, notes)
        main = "train"
    for name, part in given.items():
        part = _columns_left_out(known_targets(part, name, notes), drop)
        if len(part) == 0 and name != main:
            continue
        parts[name] = part if weight is None else _weighted(part, weight)
    if hasattr(parts[main].inputs, "columns"):
        columns = parts[main].inputs
        refuse_empty_columns([name for name in columns if columns[name].isna().all()])
    # Published test files may spell their labels otherwise, so the training file decides.
    the_task = (
        infer_task(parts[main].targets, task, spoken=source.kind == "audio")
        if source.task is None
        else _given_task(source, task)
    )
    raw = hold_out(parts, the_task, notes, group=group, time=time, seed=seed)
    if the_task.kind in ("binary", "multiclass"):
        indices = class_indices(raw["train"], the_task)
        check_classes(np.bincount(indices, minlength=len(the_task.classes)), the_task, notes)
    targets = TargetEncoder.fit(the_task, raw["train"].targets, scale)
    the_task = targets.task  # which may know more by now: the characters of texts
    kind = source.kind
    if kind == "table" and raw["train"].inputs.shape[1] == 1 and reads_as_text(raw["train"].inputs.iloc[:, 0], asked):
        kind = "text"
    if asked and kind != "text":
        raise InputError(
            f"tokens and length are for texts, but {source.where} is a source of kind {kind!r}; of a table the only "
            "column beside the target is read as text (leave others out with --drop)"
        )
    how: dict[str, Any] = {"tokens": tokens, "length": length, "features": features, "seconds": seconds}
    preprocess = Preprocess.fit(kind, raw["train"], targets, scale, notes, **how)
    # Values that are new in the held-out parts say nothing about the user's data: they were split off by us.
    encoded = {name: preprocess.encode(part, notes if name in parts else None) for name, part in raw.items()}
    return Prepared(the_task, preprocess, raw, encoded)


def _tokens_alone(
    source: Source, notes: list[str], options: Options, tokens: Mapping[str, Any] | None, length: int | None
) -> Prepared:
    """Running text, and pairs of texts, which have no columns."""
    from osler.data.corpus import prepare_corpus
    from osler.data.pairencoder import prepare_pairs

    _given_task(source, options.task)
    asked = {"group": options.group, "time": options.time, "weight": options.weight, "drop": options.drop}
    if wrong := next((name for name, value in asked.items() if value), None):
        raise InputError(
            f"{wrong} names a column of a table, but {source.where} is for {_given_task(source, None).kind}"
        )
    if source.kind == "corpus":
        return prepare_corpus(source, notes, tokens, length)
    return prepare_pairs(source, notes, tokens, length, options.seed)


def _on_disk(source: LargeTable | LargeImages, notes: list[str], options: Options, parent: Path | None) -> Prepared:
    from osler.data.largetable import LargeTable
    from osler.data.streamimages import prepare_images
    from osler.data.streamtable import prepare_table

    cache = Cache(parent)
    try:
        if isinstance(source, LargeTable):
            return prepare_table(source, notes, options, cache)
        return prepare_images(source, notes, options, cache)
    except BaseException:
        cache.close()
        raise


def _given_task(source: Source, wanted: str | None) -> Task:
    """The task that the source itself poses. Raises InputError where another one is asked for."""
    assert source.task is not None
    if wanted not in (None, source.task.kind):
        raise InputError(f"task {wanted!r} asked for, but {source.where} is for {source.task.kind} ({source.task.why})")
    return source.task


def known_targets(part: Part, name: str, notes: list[str]) -> Part:
    """Targets as a DataFrame, without the rows whose target is unknown (counted)."""
    part = part.with_target("class")
    if not hasattr(part.targets, "columns"):
        return part
    unknown = part.targets.isna().any(axis=1).to_numpy()
    if unknown.all() and name in ("all", "train"):
        raise InputError(f"target {', '.join(map(repr, part.targets.columns))}: empty in all {len(part)} rows")
    if not unknown.any():
        return part
    where = "" if name == "all" else f" of the {name} part"
    notes.append(f"{unknown.sum()} of {len(part)} rows{where} dropped: their target is missing")
    return part.take(np.flatnonzero(~unknown))


def _columns_left_out(part: Part, drop: Sequence[str]) -> Part:
    for column in dict.fromkeys(drop):
        part.column(column, "drop")
        part = part.without(column)
    return part


def _weighted(part: Part, column: str) -> Part:
    series = part.column(column, "weight")
    weights = as_numbers(series)
    odd = np.flatnonzero(~(weights >= 0))
    if len(odd):
        value, row = as_texts(series)[odd[0]], part.row(odd[0])
        raise InputError(f"weight column {column!r} holds {value!r} in row {row}: every row needs a number >= 0")
    if not weights.any():
        raise InputError(f"weight column {column!r} is 0 in every row: nothing would count")
    # Of mean 1, so that the loss keeps its scale.
    return replace(part.without(column), weights=weights / weights.mean())


def refuse_empty_columns(empty: list[str]) -> None:
    if empty:
        options = " ".join(f"--drop {name!r}" for name in empty)
        raise InputError(
            f"nothing but missing values in column {', '.join(map(repr, empty))}: leave it out with {options}"
        )


def check_classes(counts: NDArray[np.int64], task: Task, notes: list[str]) -> None:
    """A split by groups or time may take all rows of a class away from training."""
    if np.count_nonzero(counts) < 2:
        only = task.classes[int(counts.argmax())]
        raise InputError(f"after the split all {counts.sum()} training rows are of class {only!r}: split another way")
    absent = [name for name, count in zip(task.classes, counts, strict=True) if count == 0]
    if absent:
        notes.append(f"no training row has the class {', '.join(map(repr, absent))}: it cannot be learned")
