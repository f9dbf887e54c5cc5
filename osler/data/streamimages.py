"""Pictures in files that do not fit in memory made ready: each file decoded once, its pixels kept on disk."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.batches import Dataset
from osler.data.holdout import class_indices, hold_out
from osler.data.images import Pictures, Survey
from osler.data.parts import Part, SourceKind
from osler.data.prepare import Options, Prepared, check_classes, known_targets
from osler.data.preprocess import ImageEncoder, Preprocess, count_values
from osler.data.rowfiles import Cache, RowWriter, StreamedDataset
from osler.data.targets import TargetEncoder
from osler.data.task import infer_task
from osler.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 64 * 2**20  # bytes of pixels decoded at once


@dataclass(frozen=True)
class LargeImages:
    """What `Source` is for pictures that fit into memory."""

    pictures: Pictures
    notes: list[str] = field(default_factory=list)
    kind: SourceKind = "images"

    @property
    def where(self) -> str:
        return self.pictures.where


def prepare_images(source: LargeImages, notes: list[str], options: Options, cache: Cache) -> Prepared:
    """What `prepare` does with pictures that fit. The rows are split as they are in memory.

    Training pictures are written in a random order, so that neighbours on disk are not of one class.
    """
    pictures, survey = source.pictures, source.pictures.survey
    parts = pictures.parts(
        np.arange(len(survey.paths)), survey.paths
    )  # a picture is its place in the survey until then
    pictures.check(parts, notes)
    parts = {name: known_targets(part, name, notes) for name, part in parts.items()}
    parts = {name: part for name, part in parts.items() if len(part)}
    asked = {"group": options.group, "time": options.time, "weight": options.weight}
    for option, column in [*asked.items(), *(("drop", name) for name in options.drop)]:
        if column is not None:
            next(iter(parts.values())).column(column, option)  # always refused: pictures have no columns
    task = infer_task(parts["all" if "all" in parts else "train"].targets, options.task)
    raw = hold_out(parts, task, notes, group=None, time=None, seed=options.seed)
    targets = TargetEncoder.fit(task, raw["train"].targets, options.scale)
    cache.check_space(survey.bytes + len(survey.paths) * 8 * task.outputs)

    broken: dict[Any, str] = {}
    counts = np.zeros((survey.shape[0], 256), dtype=np.int64)
    encoded: dict[str, StreamedDataset] = {}
    rows: dict[str, LargePictures] = {}
    for name, part in raw.items():
        if name == "train":
            part = part.take(np.random.default_rng(options.seed).permutation(len(part)))
        classes = len(task.classes) if task.kind in ("binary", "multiclass") else 0
        at_once = max(AT_ONCE // math.prod(survey.shape), 1)
        kept: list[NDArray[np.int64]] = []
        with RowWriter(cache, name, classes) as writer:
            for start in range(0, len(part), at_once):
                places = part.inputs[start : start + at_once]
                pixels, readable = survey.decode(places.tolist(), broken)
                mine = start + np.flatnonzero(np.isin(places, readable))
                writer.add(Dataset(pixels, _tensor(targets.encode(part.take(mine).targets))))
                counts += count_values(pixels) if name == "train" else 0
                kept.append(mine)
        if not writer.count:
            raise InputError(f"{source.where}: no picture of the {name} part can be read: {', '.join(broken.values())}")
        rows[name] = LargePictures(part.take(np.concatenate(kept)), survey)
        encoded[name] = writer.finish()
    notes[:0] = survey.told(broken)
    if task.kind in ("binary", "multiclass"):
        indices = class_indices(rows["train"].places, task)
        check_classes(np.bincount(indices, minlength=len(task.classes)), task, notes)
    preprocess = Preprocess("images", ImageEncoder.of_counts(survey.shape, counts if options.scale else None), targets)
    return Prepared(task, preprocess, rows, encoded, cache=cache)


def _tensor(values: NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(values)


@dataclass(frozen=True)
class LargePictures:
    """A part's pictures, decoded again when asked for."""

    places: Part  # its inputs are places in the survey
    survey: Survey

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: NDArray[np.int64]) -> Part:
        """These pictures, in this order, in memory."""
        some = self.places.take(rows)
        pixels, _ = self.survey.decode(some.inputs.tolist(), {})
        return Part(pixels, some.targets, some.rows)
