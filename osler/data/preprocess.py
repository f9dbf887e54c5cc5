"""The fitted way from raw rows to tensors, learned on training rows only; a run keeps it as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from osler.data.audioencoder import AudioEncoder
from osler.data.batches import Dataset
from osler.data.corpus import CorpusEncoder
from osler.data.pairencoder import PairEncoder
from osler.data.parts import Part, SourceKind
from osler.data.pixels import scaler_of
from osler.data.scaling import Standardizer
from osler.data.seriesencoder import SeriesEncoder
from osler.data.table import TableEncoder
from osler.data.targets import TargetEncoder
from osler.data.textencoder import TextEncoder
from osler.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageEncoder:
    """Pictures stay uint8 (N, channels, height, width) in memory; a batch is standardised per channel when used."""

    shape: tuple[int, int, int]
    scaler: Standardizer

    @classmethod
    def fit(cls, images: Tensor, scale: bool) -> ImageEncoder:
        channels, height, width = images.shape[1:]
        return cls.of_counts((channels, height, width), count_values(images) if scale else None)

    @classmethod
    def of_counts(cls, shape: tuple[int, int, int], counts: NDArray[np.int64] | None) -> ImageEncoder:
        """Of how often each of the 256 values comes, (channels, 256): what `count_values` gives. None: not scaled."""
        if counts is None:
            return cls(shape, Standardizer(np.zeros((1, 1, 1)), np.full((1, 1, 1), 255.0)))
        shares, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256)
        mean = shares @ values
        std = np.sqrt(((values - mean[:, None]) ** 2 * shares).sum(axis=1))
        return cls(shape, Standardizer(mean[:, None, None], np.where(std > 0, std, 1.0)[:, None, None]))

    def as_published(self, pixels: str) -> ImageEncoder:
        """The same pictures, scaled as those that published weights were learned from. Raises unless they have RGB."""
        scaler = scaler_of(pixels)
        if self.shape[0] != 3:
            raise InputError(
                f"pixels={pixels} is for pictures in colour, but these have {self.shape[0]} channel"
                f"{'' if self.shape[0] == 1 else 's'}: say pixels=data, for networks made for them"
            )
        return replace(self, scaler=scaler)

    def encode(self, images: Tensor, notes: list[str] | None) -> Tensor:
        if tuple(images.shape[1:]) != self.shape:
            raise InputError(
                f"the network was trained on pictures of shape {self.shape}, but got {tuple(images.shape[1:])}"
            )
        return images

    def transform(self) -> Callable[[Tensor], Tensor]:
        mean, std = (torch.from_numpy(a.astype(np.float32)) for a in (self.scaler.mean, self.scaler.std))
        return lambda images: (images - mean.to(images.device)) / std.to(images.device)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "images", "shape": list(self.shape), "scaler": self.scaler.to_json()}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ImageEncoder:
        return cls(tuple(record["shape"]), Standardizer.from_json(record["scaler"]))


def count_values(images: Tensor) -> NDArray[np.int64]:
    """How often each value comes in each channel: mean and deviation without a float copy of the pictures."""
    channels = [torch.bincount(images[:, c].reshape(-1), minlength=256) for c in range(images.shape[1])]
    return torch.stack(channels).numpy()


@dataclass(frozen=True)
class ArrayEncoder:
    """Arrays of numbers (N, …), standardised per feature (the last axis).

    Told not to scale, floats stay as they are, and so do integers (indices for an embedding).
    """

    shape: tuple[int, ...]
    scaler: Standardizer | None
    integers: bool

    @classmethod
    def fit(cls, values: NDArray[Any], scale: bool) -> ArrayEncoder:
        _refuse_gaps(values)
        axes = tuple(range(values.ndim - 1))
        return cls(values.shape[1:], Standardizer.fit(values, axes) if scale else None, values.dtype.kind in "iu")

    def encode(self, values: NDArray[Any], notes: list[str] | None) -> Tensor:
        if values.shape[1:] != self.shape:
            raise InputError(f"the network was trained on samples of shape {self.shape}, but got {values.shape[1:]}")
        _refuse_gaps(values)
        if self.scaler is not None:
            return torch.from_numpy(self.scaler.apply(values))
        if not self.integers:
            with np.errstate(over="ignore"):
                single = values.astype(np.float32)
            _refuse_gaps(single)
            return torch.from_numpy(single)
        if values.dtype.kind == "f":
            raise InputError(f"the network was trained on integers, but got an array of {values.dtype}")
        return torch.from_numpy(values.astype(np.int64))

    def transform(self) -> None:
        return None

    def to_json(self) -> dict[str, Any]:
        scaler = self.scaler.to_json() if self.scaler else None
        return {"kind": "arrays", "shape": list(self.shape), "scaler": scaler, "integers": self.integers}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ArrayEncoder:
        scaler = Standardizer.from_json(record["scaler"]) if record["scaler"] else None
        return cls(tuple(record["shape"]), scaler, record["integers"])


def _refuse_gaps(values: NDArray[Any]) -> None:
    bad = values.dtype.kind == "f" and ~np.isfinite(values)
    if np.any(bad):
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"the inputs hold {np.sum(bad)} values that are NaN or infinite, the first at {place}; clean them, or give "
            "a DataFrame: missing values of its columns are filled in"
        )


InputEncoder = (
    TableEncoder
    | ImageEncoder
    | ArrayEncoder
    | TextEncoder
    | AudioEncoder
    | SeriesEncoder
    | CorpusEncoder
    | PairEncoder
)
ENCODERS: dict[str, type[InputEncoder]] = {
    "table": TableEncoder,
    "images": ImageEncoder,
    "arrays": ArrayEncoder,
    "text": TextEncoder,
    "audio": AudioEncoder,
    "series": SeriesEncoder,
    "corpus": CorpusEncoder,
    "pairs": PairEncoder,
}


@dataclass(frozen=True)
class Preprocess:
    """Inputs and targets of a source, encoded the way the training rows taught."""

    kind: SourceKind
    inputs: InputEncoder
    targets: TargetEncoder

    @classmethod
    def fit(
        cls,
        kind: SourceKind,
        train: Part,
        targets: TargetEncoder,
        scale: bool,
        notes: list[str],
        *,
        tokens: Mapping[str, Any] | None = None,
        length: int | None = None,
        features: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Preprocess:
        """Learns from the training part. `tokens`, `length` are of texts, `features`, `seconds` of recordings."""
        if kind == "table":
            return cls(kind, TableEncoder.fit(train.inputs, notes), targets)
        if kind == "text":
            return cls(kind, TextEncoder.fit(train.inputs, tokens, length, notes), targets)
        if kind == "audio":
            whole = targets.task.kind == "transcription"
            how: dict[str, Any] = {"features": features, "seconds": seconds, "open_end": whole}
            return cls(kind, AudioEncoder.fit(train.inputs, scale, notes, **how), targets)
        encoder = ImageEncoder if kind == "images" else ArrayEncoder
        return cls(kind, encoder.fit(train.inputs, scale), targets)

    def encode(self, part: Part, notes: list[str] | None) -> Dataset:
        """The part as tensors; targets only where the part has them. `notes` None: odd values are not counted."""
        if isinstance(self.inputs, SeriesEncoder):
            known = part.targets is not None
            return Dataset(*self.inputs.both(part.inputs)) if known else Dataset(self.inputs.encode(part.inputs))
        if isinstance(self.inputs, CorpusEncoder | PairEncoder):
            return self.inputs.encode(part, notes)  # whose targets are tokens, too
        part = part.with_target(self.targets.task.names[0])
        inputs = self.inputs.encode(part.inputs, notes)
        targets = None if part.targets is None else torch.from_numpy(self.targets.encode(part.targets))
        weights = None if part.weights is None else torch.from_numpy(part.weights.astype(np.float32))
        return Dataset(torch.as_tensor(inputs), targets, weights)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one encoded sample."""
        return (len(self.inputs.features),) if isinstance(self.inputs, TableEncoder) else tuple(self.inputs.shape)

    def describe(self, part: Part) -> list[dict[str, Any]]:
        """One record per column of a table or of texts, for people."""
        return self.inputs.describe(part.inputs) if isinstance(self.inputs, TableEncoder | TextEncoder) else []

    @property
    def vocabulary(self) -> int | None:
        """How many tokens there are, padding included; None of what is no text."""
        if isinstance(self.inputs, PairEncoder):
            return len(self.inputs.source)
        return len(self.inputs.tokenizer) if isinstance(self.inputs, TextEncoder | CorpusEncoder) else None

    def transform(self) -> Callable[[Tensor], Any] | None:
        """What a batch still needs when it is used."""
        return None if isinstance(self.inputs, TableEncoder) else self.inputs.transform()

    def to_json(self) -> dict[str, Any]:
        return {"inputs": self.inputs.to_json(), "targets": self.targets.to_json()}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Preprocess:
        kind = record["inputs"]["kind"]
        return cls(kind, ENCODERS[kind].from_json(record["inputs"]), TargetEncoder.from_json(record["targets"]))
