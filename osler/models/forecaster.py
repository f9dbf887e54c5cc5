"""A network that forecasts whatever level and scale a window has: it sees each one in units of its own."""

from typing import Literal

import torch
from torch import Tensor, nn

from osler.errors import unknown_name

Instance = Literal["none", "last", "revin"]
EPSILON = 1e-5  # of a window's deviation, in that of the whole series
INSTANCES = ("none", "last", "revin")


class Forecaster(nn.Module):
    """A core that continues series, each window normalised by itself and its forecast brought back.

    Formula: ŷ = s·core((x − c)/s) + c. "last": c is the window's last value, s = 1 (as in NLinear). "revin": c and s
    are mean and deviation of the window, reversible instance normalisation (without its affine part). "none": c = 0,
    s = 1.
    Shapes: (N, L, F), of which the first `series` columns are forecast → (N, H·series), or Q·H·series.
    Options: `instance`, as above. `alone`: the core sees those columns only (linear forecasters, which treat all their
    columns alike), without what else is known.
    Source: Kim et al., "Reversible instance normalization for accurate time-series forecasting", 2022; Zeng et al.,
    "Are transformers effective for time series forecasting?", 2023.

        >>> Forecaster(nn.Flatten(), 1, instance="last")(torch.tensor([[[1.0], [3.0]]]))
        tensor([[1., 3.]])
    """

    def __init__(self, core: nn.Module, series: int, *, instance: Instance = "none", alone: bool = False):
        super().__init__()
        if instance not in INSTANCES:
            raise unknown_name("instance normalisation", str(instance), INSTANCES)
        self.core = core
        self.series = series
        self.instance = instance
        self.alone = alone

    def forward(self, x: Tensor) -> Tensor:
        own, known = x[:, :, : self.series], x[:, :, self.series :]
        centre, scale = torch.zeros_like(own[:, :1]), torch.ones_like(own[:, :1])  # (N, 1, series)
        if self.instance == "last":
            centre = own[:, -1:]
        elif self.instance == "revin":
            centre = own.mean(dim=1, keepdim=True)
            scale = own.var(dim=1, keepdim=True, correction=0).add(EPSILON).sqrt()
        own = (own - centre) / scale
        ahead = self.core(own if self.alone else torch.cat([own, known], dim=2))
        forecast: Tensor = ahead.reshape(len(x), -1, self.series) * scale + centre
        return forecast.flatten(1)
