"""The fully convolutional network for series (Wang, Yan and Oates, 2017)."""

from torch import Tensor, nn
from torch.nn import functional as F

from osler.models.sequences import check_numbers
from osler.nn.initialisation import initialize
from osler.nn.options import dropped, whole


class ConvolutionOverTime(nn.Module):
    """Convolution with as many steps out as in, batch norm, ReLU: (N, C, L) → (N, width, L)."""

    def __init__(self, channels: int, width: int, kernel: int):
        super().__init__()
        self.around = ((kernel - 1) // 2, kernel // 2)
        self.convolution = nn.Conv1d(channels, width, kernel, bias=False)  # the norm has the bias
        self.norm = nn.BatchNorm1d(width)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.norm(self.convolution(F.pad(x, self.around))))
        return out


class FCN(nn.Module):
    """Three convolutions over time and the average of what they found (Wang, Yan and Oates, 2017).

    Kernels of 8, 5 and 3 steps with width, 2·width and width channels, each with batch norm and ReLU; average over
    time; linear.

    Shapes: numbers (N, L, F) → (N, outputs).
    Options: `width`: default 128, as published; `dropout` before the last layer, default 0.
    Raises: InputError for inputs that are no sequence of numbers and for impossible options.
    Use: classes of series, also with few of them; a pattern counts wherever it comes.
    Source: Wang, Yan and Oates, "Time series classification from scratch with deep neural networks: a strong
    baseline", 2017.

        >>> FCN(inputs=(150, 1), outputs=3, width=8)(torch.zeros(2, 150, 1)).shape
        torch.Size([2, 3])
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int, *, width: int = 128, dropout: float = 0.0):
        super().__init__()
        channels = check_numbers("fcn", inputs, outputs)
        whole("fcn: width", width)
        self.blocks = nn.Sequential(
            ConvolutionOverTime(channels, width, 8),
            ConvolutionOverTime(width, 2 * width, 5),
            ConvolutionOverTime(2 * width, width, 3),
        )
        self.dropout = nn.Dropout(dropped("fcn: dropout", dropout))
        self.output = nn.Linear(width, outputs)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        found = self.blocks(x.transpose(1, 2)).mean(dim=2)  # (N, width)
        logits: Tensor = self.output(self.dropout(found))
        return logits
