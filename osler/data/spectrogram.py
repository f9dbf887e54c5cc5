"""What a recording sounds like over time: log-mel spectrograms and MFCC, computed for whole batches."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from osler.errors import InputError, unknown_name

FLOOR = 1e-10  # of power, before the logarithm
FEATURES = ("log_mel", "mfcc")


def hertz_to_mel(hertz: Tensor) -> Tensor:
    """Slaney's mel scale: even steps of 66⅔ Hz up to 1000 Hz, then 27 for each factor of 6.4."""
    return torch.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * torch.log(hertz.clamp_min(1000) / 1000) / math.log(6.4))


def mel_to_hertz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * math.log(6.4) / 27))


def mel_filters(rate: int, fft: int, bands: int, low: float = 0.0, high: float | None = None) -> Tensor:
    """Triangular filters (bands, fft / 2 + 1), evenly spaced in mel, each of area 1 over Hz (Slaney's norm)."""
    first, last = hertz_to_mel(torch.tensor([low, rate / 2 if high is None else high], dtype=torch.float64)).tolist()
    corners = mel_to_hertz(torch.linspace(first, last, bands + 2, dtype=torch.float64))
    bins = torch.arange(fft // 2 + 1, dtype=torch.float64) * rate / fft
    gaps = corners.diff()
    slopes = corners[:, None] - bins  # (bands + 2, bins)
    rising, falling = -slopes[:-2] / gaps[:-1, None], slopes[2:] / gaps[1:, None]
    return (torch.minimum(rising, falling).clamp_min(0) * (2 / (corners[2:] - corners[:-2]))[:, None]).float()


@dataclass(frozen=True)
class Spectrogram:
    """From samples (N, L) to features (N, bands, frames) in decibels, the loudest of each recording being 0.

    Power of a short-time Fourier transform (Hann window of `window` seconds every `hop` seconds, centred, silence
    beyond the ends) → `mels` triangular filters on Slaney's mel scale → 10·log₁₀, no more than `range` decibels below
    the loudest. `kind` "mfcc": of these the first `coefficients` of a cosine transform (type 2, orthonormal).
    So that a short window has bins enough, the transform is as long as the next power of two. frames = 1 + L // hop.

    Defaults: 25 ms every 10 ms, 40 bands of 0 Hz to half the rate, 80 dB, 20 coefficients.
    Raises: InputError for options that leave nothing to see.
    Source: Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", 1980;
    mel scale and norm of Slaney, "Auditory toolbox", 1998 (the other usual scale is HTK's, 2595·log₁₀(1 + f/700)).

        >>> Spectrogram(8000)(torch.randn(2, 4000)).shape
        torch.Size([2, 40, 51])
    """

    rate: int
    kind: Literal["log_mel", "mfcc"] = "log_mel"
    mels: int = 40
    window: float = 0.025
    hop: float = 0.010
    low: float = 0.0
    high: float | None = None
    range: float = 80.0
    coefficients: int = 20

    def __post_init__(self) -> None:
        if self.kind not in FEATURES:
            raise unknown_name("kind of features", self.kind, FEATURES)
        for name in ("mels", "coefficients"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1024:
                raise InputError(f"features: {name} must be a whole number, 1 to 1024, but got {value!r}")
        for name in ("window", "hop", "range"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise InputError(f"features: {name} must be a number above 0, but got {value!r}")
        if self.step < 1 or not 2 <= self.width <= 2**16:
            raise InputError(
                f"features: window {self.window:g} s and hop {self.hop:g} s are {self.width} and {self.step} samples "
                f"at {self.rate} Hz; a window has 2 to 65536 of them, a hop 1 or more (seconds, not milliseconds)"
            )
        top = self.rate / 2 if self.high is None else self.high
        if not 0 <= self.low < top <= self.rate / 2:
            raise InputError(
                f"features: low {self.low:g} and high {top:g} Hz must be in order, and high at most half of the rate, "
                f"{self.rate / 2:g}"
            )
        if self.kind == "mfcc" and self.coefficients > self.mels:
            raise InputError(f"features: {self.coefficients} coefficients of {self.mels} mels; take as many at most")

    @property
    def width(self) -> int:
        """Of the window, in samples."""
        return round(self.window * self.rate)

    @property
    def step(self) -> int:
        """From frame to frame, in samples."""
        return round(self.hop * self.rate)

    @property
    def fft(self) -> int:
        return 1 << (self.width - 1).bit_length()

    @property
    def bands(self) -> int:
        """Rows of the features."""
        return self.mels if self.kind == "log_mel" else self.coefficients

    def frames(self, length: int) -> int:
        """Columns of the features of so many samples."""
        return 1 + length // self.step

    def __call__(self, waves: Tensor) -> Tensor:
        window = torch.hann_window(self.width, device=waves.device)
        spectrum = torch.stft(
            waves.float(), self.fft, self.step, self.width, window, center=True, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        power = spectrum.real.square() + spectrum.imag.square()  # (N, fft / 2 + 1, frames)
        mel = mel_filters(self.rate, self.fft, self.mels, self.low, self.high).to(waves.device) @ power
        loud = 10 * mel.clamp_min(FLOOR).log10()
        loud = loud - loud.amax((1, 2), keepdim=True)
        loud = loud.clamp_min(-self.range)
        return loud if self.kind == "log_mel" else cosine_transform(self.mels, self.coefficients).to(loud.device) @ loud

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def cosine_transform(size: int, rows: int) -> Tensor:
    """The first rows of the orthonormal cosine transform of type 2, (rows, size)."""
    k, n = torch.arange(rows, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * k * (2 * n + 1) / (2 * size)) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis.float()
