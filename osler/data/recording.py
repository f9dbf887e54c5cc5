"""One audio file: its samples, mixed to one channel and brought to one rate, or what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from osler.data.resample import resample
from osler.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".mp3", ".au"}
AT_ONCE = 2**20  # frames read at once
FULL = 2**15  # the loudest sample, in 16 bits


@dataclass(frozen=True)
class Clips:
    """Recordings of different lengths at one rate, their 16-bit samples one after the other in one tensor."""

    samples: Tensor  # int16 (all samples,)
    starts: NDArray[np.int64]  # (N,)
    lengths: NDArray[np.int64]  # (N,)
    rate: int  # samples a second

    @classmethod
    def of(cls, waves: list[Tensor], rate: int) -> Clips:
        lengths = np.array([len(wave) for wave in waves], dtype=np.int64)
        samples = torch.cat(waves) if waves else torch.zeros(0, dtype=torch.int16)
        return cls(samples, np.cumsum(lengths) - lengths, lengths, rate)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: NDArray[np.int64]) -> Clips:
        return Clips(self.samples, self.starts[rows], self.lengths[rows], self.rate)

    def wave(self, place: int) -> Tensor:
        """One of them, int16 (samples,)."""
        start = int(self.starts[place])
        return self.samples[start : start + int(self.lengths[place])]

    def padded(self, length: int) -> Tensor:
        """int16 (N, length): longer ones are cut at their end, shorter ones go on in silence."""
        out = torch.zeros(len(self), length, dtype=torch.int16)
        for i in range(len(self)):
            wave = self.wave(i)[:length]
            out[i, : len(wave)] = wave
        return out


@dataclass(frozen=True)
class Recorded:
    """What a file holds."""

    wave: Tensor  # int16 (samples,)
    rate: int  # of the file itself
    channels: int
    clipped: int  # samples beyond full scale


def file_rate(path: Path) -> int | str:
    """The file's own sampling rate, or why it cannot be used."""
    import soundfile

    try:
        if not path.is_file():
            return "not a file"  # a pipe or a device would never end
        if path.stat().st_size == 0:
            return "empty file"
        return int(soundfile.info(str(path)).samplerate)
    except Exception as error:  # libsndfile has many ways to refuse a stranger's bytes
        return _reason(error)


def read_recording(path: Path, rate: int, limit_bytes: int) -> Recorded | str:
    """Its samples at `rate`, the mean of all channels; or why it cannot be used.

    Raises InputError where it would need more than `limit_bytes`: a few bytes of FLAC may stand for hours of silence.
    """
    import soundfile

    blocks: list[NDArray[np.float32]] = []
    held = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            own, channels = int(file.samplerate), int(file.channels)
            while len(block := file.read(AT_ONCE // channels + 1, dtype="float32", always_2d=True)):
                blocks.append(block.mean(axis=1))
                held += blocks[-1].nbytes
                if held * max(rate / own, 1) > limit_bytes:
                    break
    except Exception as error:
        return _reason(error)
    if held * max(rate / own, 1) > limit_bytes:
        raise InputError(f"{path}: longer than fits into {limit_bytes / 2**30:.2f} GiB of memory; cut it into parts")
    wave = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not len(wave):
        return "no sound in it"
    if not np.isfinite(wave).all():
        return f"{int((~np.isfinite(wave)).sum())} samples that are no finite numbers"
    clipped = int((np.abs(wave) > 1.0001).sum())  # full scale is 1 of floats
    scaled = resample(torch.from_numpy(wave), own, rate) * FULL
    return Recorded(scaled.round_().clamp_(-FULL, FULL - 1).to(torch.int16), own, channels, clipped)


def _reason(error: Exception) -> str:
    text = " ".join(str(getattr(error, "error_string", None) or error).split())
    return f"not readable as audio ({text.rstrip('.')})" if text else "not readable as audio"
