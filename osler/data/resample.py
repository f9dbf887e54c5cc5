"""A recording at another sampling rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROSSINGS = 10  # of zero, on each side of the filter's middle
BETA = 5.0  # of the Kaiser window
AT_ONCE = 2**14  # samples computed together


def resample(wave: Tensor, before: int, after: int) -> Tensor:
    """A recording (samples,) at `before` Hz as float32 at `after` Hz, ceil(samples · after / before) of them.

    Formula: y[m] = Σ_k x[k]·h(m·down − k·up), where after/before = up/down in lowest terms; h is a sinc that cuts at
    the lower of the two Nyquist frequencies, within a Kaiser window (β = 5) of 10 zero crossings on each side.
    Only the phases of h that are met are computed, so that any two rates will do.
    Source: Crochiere and Rabiner, "Multirate digital signal processing", 1983; the same filter as SciPy's
    `resample_poly`.

        >>> resample(torch.ones(800), 8000, 4000)[100:102].round(decimals=2)
        tensor([1., 1.])
    """
    wave = wave.float()
    common = math.gcd(before, after)
    up, down = after // common, before // common
    if up == down:
        return wave
    half = CROSSINGS * max(up, down)  # of the filter, in steps of the finer grid
    count = -(-len(wave) * up // down)
    reach = half // up + 1  # samples on each side of the place in time
    padded = F.pad(wave, (reach, reach + 1))
    windows = padded.unfold(0, 2 * reach + 1, 1)  # a view: window i is around sample i
    near = torch.arange(-reach, reach + 1)
    phases = min(up, count)  # of the filter; they come again and again
    filters = (
        _filter((torch.arange(phases) * down % up)[:, None] - near * up, half, up, down) if phases <= 4096 else None
    )
    parts = [torch.zeros(0)]
    for first in range(0, count, AT_ONCE):
        places = torch.arange(first, min(first + AT_ONCE, count))
        offset = places * down % up
        weights = filters[places % up] if filters is not None else _filter(offset[:, None] - near * up, half, up, down)
        parts.append((windows[places * down // up] * weights).sum(1))
    return torch.cat(parts)


def _filter(place: Tensor, half: int, up: int, down: int) -> Tensor:
    """The filter at these places, 0 outside of it; its sum over the whole grid is `up`, so that loudness stays."""
    cutoff = 1 / max(up, down)

    def at(x: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = np.maximum(1 - (x / half) ** 2, 0)
        return np.asarray(np.sinc(cutoff * x) * np.i0(BETA * np.sqrt(inside)) * (np.abs(x) <= half))

    whole = at(np.arange(-half, half + 1, dtype=np.float64)).sum()
    return torch.from_numpy((at(place.numpy().astype(np.float64)) * (up / whole)).astype(np.float32))
