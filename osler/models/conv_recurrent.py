"""Convolutions over a spectrogram, then recurrent layers over time: a network that writes down what is said."""

from typing import Literal

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.blocks import ConvNorm, check_dropout, check_pictures

SMALLEST = 8


class ConvRecurrent(nn.Module):
    """Two strided convolutions → recurrent layers in both directions → a logit for each character at each step.

    A spectrogram loses three quarters of its bands and half (`stride`) of its frames on the way:

        40 bands, 200 frames: (N, 1, 40, 200) → (N, 32, 20, 100) → (N, 32, 10, 100) → (N, 100, 320) → (N, 100, outputs)

    `inputs` is (channels, bands, frames), from 8×8 up; longer and shorter recordings than that are taken too.
    `width`: channels of the convolutions, default 32. `hidden`: units of each of `layers` in each direction, default
    128 and 2. `cell`: "gru" (default) or "lstm". `stride`: over time, default 2. `dropout` in [0, 1) before, between
    and after the recurrent layers, default 0.2. Raises InputError for impossible inputs and options.

    Source: Amodei et al., "Deep Speech 2: end-to-end speech recognition in English and Mandarin", 2016, in small.

        >>> ConvRecurrent(inputs=(1, 40, 200), outputs=28)(torch.zeros(2, 1, 40, 200)).shape
        torch.Size([2, 100, 28])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        width: int = 32,
        hidden: int = 128,
        layers: int = 2,
        cell: Literal["gru", "lstm"] = "gru",
        stride: int = 2,
        dropout: float = 0.2,
    ):
        super().__init__()
        channels = check_pictures("conv_recurrent", inputs, outputs, SMALLEST)
        for name, value in (("width", width), ("hidden", hidden), ("layers", layers), ("stride", stride)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"conv_recurrent: {name} must be a whole number of at least 1, but got {value!r}")
        if cell not in ("gru", "lstm"):
            raise InputError(f"conv_recurrent: cell must be 'gru' or 'lstm', but got {cell!r}")
        self.first = ConvNorm(channels, width, 3, stride=(2, stride))
        self.second = ConvNorm(width, width, 3, stride=(2, 1))
        self.dropout = nn.Dropout(check_dropout("conv_recurrent", dropout))
        bands = (inputs[1] + 3) // 4
        between = dropout if layers > 1 else 0.0
        make = nn.GRU if cell == "gru" else nn.LSTM
        self.recurrent = make(width * bands, hidden, layers, batch_first=True, dropout=between, bidirectional=True)
        self.output = nn.Linear(2 * hidden, outputs)
        for name, weight in self.recurrent.named_parameters():
            if "weight_hh" in name:
                for gate in weight.data.chunk(3 if cell == "gru" else 4):
                    nn.init.orthogonal_(gate)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))  # (N, width, bands / 4, frames / stride)
        x = x.permute(0, 3, 1, 2).flatten(2)  # (N, frames / stride, width · bands / 4)
        h, _ = self.recurrent(self.dropout(x))  # (N, frames / stride, 2 · hidden)
        logits: Tensor = self.output(self.dropout(h))
        return logits
