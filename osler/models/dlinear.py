"""Linear networks for forecasts (Zeng et al., "Are transformers effective for time series forecasting?", 2023)."""

from torch import Tensor, nn
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.sequences import check_numbers
from osler.nn.options import whole


class DLinear(nn.Module):
    """A series cut into its trend and the rest, each continued by a linear layer over time (Zeng et al., 2023).

    Formula: t = moving average of x, s = x − t; ŷ = W_t·t + b_t + W_s·s + b_s, the same weights for each variable.
    Shapes: (N, L, F) → (N, H·F), which reshapes to (N, H, F): all F variables of the first step to come, then of the
    next; `outputs` is H·F. Parameters: 2·(L + 1)·H.
    Options: `window` of the moving average, an odd number, default 25; the first and last values are repeated at the
    ends.
    Raises: InputError for inputs that are no (L, F), outputs that are no multiple of F, and an even window.
    Use: forecasts; the first thing to try, and often not beaten by larger networks.
    Source: Zeng, Chen, Zhang and Xu, 2023.

        >>> DLinear(inputs=(96, 7), outputs=24 * 7)(torch.zeros(2, 96, 7)).reshape(2, 24, 7).shape
        torch.Size([2, 24, 7])
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int, *, window: int = 25):
        super().__init__()
        horizon = check_forecast("dlinear", inputs, outputs)
        if whole("dlinear: window", window) % 2 == 0:
            raise InputError(f"dlinear: window must be odd, to have a middle, but got {window!r}")
        self.window = window
        self.trend = nn.Linear(inputs[0], horizon)
        self.rest = nn.Linear(inputs[0], horizon)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)  # (N, F, L)
        side = self.window // 2
        trend = F.avg_pool1d(F.pad(x, (side, side), mode="replicate"), self.window, stride=1)  # (N, F, L)
        ahead: Tensor = self.trend(trend) + self.rest(x - trend)  # (N, F, H)
        return ahead.transpose(1, 2).flatten(1)


class NLinear(nn.Module):
    """One linear layer over time, on a series from which its last value is taken away (Zeng et al., 2023).

    Formula: ŷ = W·(x − x_L) + b + x_L, the same weights for each variable.
    Shapes: (N, L, F) → (N, H·F), which reshapes to (N, H, F): all F variables of the first step to come, then of the
    next; `outputs` is H·F. Parameters: (L + 1)·H.
    Raises: InputError for inputs that are no (L, F) and outputs that are no multiple of F.
    Use: forecasts of series whose level drifts.
    Source: Zeng, Chen, Zhang and Xu, 2023.

        >>> NLinear(inputs=(96, 7), outputs=24 * 7)(torch.zeros(2, 96, 7)).shape
        torch.Size([2, 168])
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int):
        super().__init__()
        horizon = check_forecast("nlinear", inputs, outputs)
        self.linear = nn.Linear(inputs[0], horizon)

    def forward(self, x: Tensor) -> Tensor:
        last = x[:, -1:]  # (N, 1, F)
        ahead: Tensor = self.linear((x - last).transpose(1, 2)).transpose(1, 2) + last  # (N, H, F)
        return ahead.flatten(1)


def check_forecast(name: str, inputs: tuple[int, ...], outputs: int) -> int:
    """How many steps are forecast; InputError unless the outputs are so many times the variables."""
    variables = check_numbers(name, inputs, outputs)
    if outputs % variables:
        raise InputError(
            f"{name} forecasts all {variables} variables for so many steps, so outputs must be a multiple of "
            f"{variables}, but got {outputs!r}"
        )
    return outputs // variables
