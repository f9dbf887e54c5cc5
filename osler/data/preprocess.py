"""The fitted way from raw rows to tensors, learned on training rows only; a run keeps it as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from osler.data.batches import Dataset
from osler.data.parts import Part, SourceKind
from osler.data.scaling import Standardizer
from osler.data.table import TableEncoder
from osler.data.targets import TargetEncoder
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
        if scale:
            # A few thousand pictures give the mean to a hair, and need no float copy of them all.
            sample = images[:: max(len(images) // 5000, 1)].numpy()
            scaler = Standardizer.fit(sample, axes=(0, 2, 3))
        else:
            scaler = Standardizer(np.zeros((1, 1, 1)), np.full((1, 1, 1), 255.0))
        channels, height, width = images.shape[1:]
        return cls((channels, height, width), scaler)

    def encode(self, images: Tensor, notes: list[str]) -> Tensor:
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


@dataclass(frozen=True)
class ArrayEncoder:
    """Arrays of numbers (N, …), standardised per feature (the last axis) unless told not to."""

    shape: tuple[int, ...]
    scaler: Standardizer | None

    @classmethod
    def fit(cls, values: NDArray[Any], scale: bool) -> ArrayEncoder:
        axes = tuple(range(max(values.ndim - 1, 1)))
        return cls(values.shape[1:], Standardizer.fit(values, axes) if scale and values.dtype.kind == "f" else None)

    def encode(self, values: NDArray[Any], notes: list[str]) -> Tensor:
        if values.shape[1:] != self.shape:
            raise InputError(f"the network was trained on samples of shape {self.shape}, but got {values.shape[1:]}")
        if values.dtype.kind != "f":
            return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))  # indices, for an embedding
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise InputError(
                f"the inputs hold {bad} values that are NaN or infinite; clean them, or give a DataFrame: "
                "missing values of its columns are filled in"
            )
        return torch.from_numpy(self.scaler.apply(values) if self.scaler else values.astype(np.float32))

    def transform(self) -> None:
        return None

    def to_json(self) -> dict[str, Any]:
        scaler = self.scaler.to_json() if self.scaler else None
        return {"kind": "arrays", "shape": list(self.shape), "scaler": scaler}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ArrayEncoder:
        return cls(tuple(record["shape"]), Standardizer.from_json(record["scaler"]) if record["scaler"] else None)


InputEncoder = TableEncoder | ImageEncoder | ArrayEncoder
ENCODERS: dict[str, type[InputEncoder]] = {"table": TableEncoder, "images": ImageEncoder, "arrays": ArrayEncoder}


@dataclass(frozen=True)
class Preprocess:
    """Inputs and targets of a source, encoded the way the training rows taught."""

    kind: SourceKind
    inputs: InputEncoder
    targets: TargetEncoder

    @classmethod
    def fit(cls, kind: SourceKind, train: Part, targets: TargetEncoder, scale: bool, notes: list[str]) -> Preprocess:
        if kind == "table":
            return cls(kind, TableEncoder.fit(train.inputs, notes), targets)
        encoder = ImageEncoder if kind == "images" else ArrayEncoder
        return cls(kind, encoder.fit(train.inputs, scale), targets)

    def encode(self, part: Part, notes: list[str]) -> Dataset:
        """The part as tensors; targets only where the part has them."""
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
        """One record per column of a table, for people."""
        return self.inputs.describe(part.inputs) if isinstance(self.inputs, TableEncoder) else []

    def transform(self) -> Callable[[Tensor], Tensor] | None:
        """What a batch still needs when it is used."""
        return None if isinstance(self.inputs, TableEncoder) else self.inputs.transform()

    def to_json(self) -> dict[str, Any]:
        return {"inputs": self.inputs.to_json(), "targets": self.targets.to_json()}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Preprocess:
        kind = record["inputs"]["kind"]
        return cls(kind, ENCODERS[kind].from_json(record["inputs"]), TargetEncoder.from_json(record["targets"]))
