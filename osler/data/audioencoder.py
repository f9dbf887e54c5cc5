"""Recordings on their way to spectrograms: one length for all, and features standardised as the training part says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from osler.data.recording import FULL, Clips
from osler.data.scaling import Standardizer
from osler.data.spectrogram import Spectrogram
from osler.errors import InputError, unknown_name

MOST_BYTES = 8 * 2**30  # of padded samples
FITTING = 0.98  # of the recordings, if a few are far longer than these
AT_ONCE = 2**22  # samples whose features are computed together


@dataclass(frozen=True)
class AudioEncoder:
    """Samples stay int16 (N, length) in memory; a batch becomes spectrograms (N, 1, bands, frames) when it is used.

    `frames`: as sequences (N, frames, bands), for networks that read one. `open_end`: recordings that are longer than
    those trained on keep their length.
    """

    spectrogram: Spectrogram
    length: int  # in samples
    scaler: Standardizer  # of each band
    open_end: bool = False
    frames: bool = False

    @classmethod
    def fit(
        cls,
        clips: Clips,
        scale: bool,
        notes: list[str],
        *,
        features: Mapping[str, Any] | None = None,
        seconds: float | None = None,
        open_end: bool = False,
    ) -> AudioEncoder:
        """`features`: options of Spectrogram, and its kind as "name". `seconds`: the length that all are brought to.

        By default that of the longest; or what 98 % fit into, where it is less than two thirds of that and nothing
        is lost but the ends of some (`open_end`: all of a recording counts).
        """
        spectrogram = _spectrogram(clips.rate, features or {})
        longest = int(clips.lengths.max())
        usual = math.ceil(np.quantile(clips.lengths, FITTING))
        length = longest if open_end or usual * 1.5 >= longest else usual
        if seconds is not None:
            length = round(seconds * clips.rate)
            if length < spectrogram.step:
                raise InputError(f"seconds must be at least a frame's {spectrogram.hop:g}, but got {seconds:g}")
        if clips.lengths.min() < longest or length != longest:
            span = f"{clips.lengths.min() / clips.rate:.2f} to {longest / clips.rate:.2f} s"
            cut, short = int((clips.lengths > length).sum()), int((clips.lengths < length).sum())
            told = f", {cut:,} longer ones cut at their end" if cut else ""
            notes.append(
                f"recordings of {span} brought to {length / clips.rate:.2f} s: {short:,} go on in silence{told}"
            )
        shape = (spectrogram.bands, 1)
        mean, std = _moments(clips, spectrogram, length) if scale else (np.zeros(shape), np.ones(shape))
        return cls(spectrogram, length, Standardizer(mean, std), open_end)

    @property
    def rate(self) -> int:
        return self.spectrogram.rate

    @property
    def shape(self) -> tuple[int, ...]:
        bands, frames = self.spectrogram.bands, self.spectrogram.frames(self.length)
        return (frames, bands) if self.frames else (1, bands, frames)

    def as_frames(self) -> AudioEncoder:
        """The same as sequences of frames."""
        return replace(self, frames=True)

    def encode(self, clips: Clips, notes: list[str] | None) -> Tensor:
        """int16 (N, length). Raises InputError for what is no recording, or of another rate, or more than memory."""
        if not isinstance(clips, Clips):
            raise InputError(f"the network was trained on recordings, but got {type(clips).__name__}")
        if clips.rate != self.rate:
            raise InputError(f"the network was trained on recordings at {self.rate} Hz, but got {clips.rate} Hz")
        longest = int(clips.lengths.max()) if len(clips) else 0
        length = max(self.length, longest) if self.open_end else self.length
        if len(clips) * length * 2 > MOST_BYTES:
            raise InputError(
                f"{len(clips):,} recordings of {length / self.rate:.1f} s need {len(clips) * length * 2 / 2**30:.1f} "
                f"GiB, but at most {MOST_BYTES / 2**30:.0f} GiB are held in memory; cut them, or say seconds=…"
            )
        return clips.padded(length)

    def transform(self) -> Callable[[Tensor], Tensor]:
        return lambda waves: self._laid_out(self._features(waves))

    def augmented(self, augment: Callable[[Tensor, Generator], Tensor]) -> Callable[[Tensor, Generator], Tensor]:
        """The same with spectrograms (N, 1, bands, frames) changed by random numbers, to learn from."""
        return lambda waves, chance: self._laid_out(augment(self._features(waves), chance))

    def _features(self, waves: Tensor) -> Tensor:
        mean, std = (
            torch.from_numpy(a.astype(np.float32)).to(waves.device) for a in (self.scaler.mean, self.scaler.std)
        )
        return ((self.spectrogram(waves / FULL) - mean) / std)[:, None]

    def _laid_out(self, pictures: Tensor) -> Tensor:
        return pictures[:, 0].transpose(1, 2).contiguous() if self.frames else pictures

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "audio",
            "spectrogram": self.spectrogram.to_json(),
            "length": self.length,
            "scaler": self.scaler.to_json(),
            "open_end": self.open_end,
            "frames": self.frames,
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> AudioEncoder:
        return cls(
            Spectrogram(**record["spectrogram"]),
            record["length"],
            Standardizer.from_json(record["scaler"]),
            record["open_end"],
            record["frames"],
        )


def picture_of(clips: Clips, place: int) -> Tensor:
    """A recording's spectrogram for people, uint8 (1, height, width): high sounds above, loud ones bright."""
    spectrogram = Spectrogram(clips.rate)
    loud = spectrogram(clips.wave(place)[None] / FULL)
    bright = (255 * (1 + loud / spectrogram.range)).round().to(torch.uint8).flip(1)
    return bright.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)


def _spectrogram(rate: int, features: Mapping[str, Any]) -> Spectrogram:
    options = dict(features)
    kind: Any = options.pop("name", "") or "log_mel"
    known = [name for name in Spectrogram.__dataclass_fields__ if name not in ("rate", "kind")]
    for name in options:
        if name not in known:
            raise unknown_name("option of features", name, known)
    return Spectrogram(rate, kind, **options)


def _moments(clips: Clips, spectrogram: Spectrogram, length: int) -> tuple[Any, Any]:
    """Mean and deviation of each band, over the frames that have sound: what is padded says nothing."""
    total = np.zeros((3, spectrogram.bands))
    at_once = max(AT_ONCE // length, 1)
    for start in range(0, len(clips), at_once):
        some = clips[np.arange(start, min(start + at_once, len(clips)))]
        loud = spectrogram(some.padded(length) / FULL).double()  # (n, bands, frames)
        own = torch.from_numpy(some.lengths // spectrogram.step + 1)
        inside = (torch.arange(loud.shape[2]) < own[:, None])[:, None]
        sums = (inside.expand_as(loud).double(), loud * inside, loud.square() * inside)
        total += np.stack([part.sum((0, 2)).numpy() for part in sums])
    mean = total[1] / total[0]
    std = np.sqrt(np.maximum(total[2] / total[0] - mean**2, 0))
    return mean[:, None], np.where(std > 1e-6, std, 1.0)[:, None]
