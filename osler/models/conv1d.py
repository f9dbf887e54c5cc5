"""A temporal convolutional network: dilated convolutions over time, with shortcuts."""

from torch import Tensor, nn
from torch.nn import functional as F

from osler.models.sequences import Pool, check_numbers, check_pool, pooled
from osler.nn.initialisation import initialize
from osler.nn.options import dropped, whole


class Causal(nn.Module):
    """A dilated convolution that sees what came before, then norm, ReLU and dropout: (N, C, L) → (N, width, L)."""

    def __init__(self, channels: int, width: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.before = (kernel - 1) * dilation
        self.convolution = nn.Conv1d(channels, width, kernel, dilation=dilation, bias=False)  # the norm has the bias
        self.norm = nn.BatchNorm1d(width)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.norm(self.convolution(F.pad(x, (self.before, 0)))))
        out: Tensor = self.dropout(x)
        return out


class TemporalBlock(nn.Module):
    """Two causal convolutions with a shortcut around them: (N, C, L) → (N, width, L)."""

    def __init__(self, channels: int, width: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.first = Causal(channels, width, kernel, dilation, dropout)
        self.second = Causal(width, width, kernel, dilation, dropout)
        self.shortcut = nn.Identity() if channels == width else nn.Conv1d(channels, width, 1)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(self.shortcut(x) + self.second(self.first(x)))
        return out


class TemporalConvNet(nn.Module):
    """Residual dilated convolutions over time, a TCN (Bai, Kolter and Koltun, 2018).

    Block b has two causal convolutions of dilation 2^b with a shortcut, so that b blocks see
    1 + 2·(kernel − 1)·(2^b − 1) steps; there are as many as it takes to see the whole sequence, unless `layers` says.

    Shapes: numbers (N, L, F), with `lengths` (N,) where rows are padded → (N, outputs); with `every` (N, L, outputs).
    Options: `width`: channels, default 64. `kernel`, default 3. `layers`: blocks. `pool`: "mean" (default), "max" or
    "last". `every`: an answer for each step, from what came before. `dropout`, default 0.1.
    Raises: InputError for inputs that are no sequence of numbers and for impossible options.
    Use: audio frames and long measurements; faster than a recurrent network, as all steps are computed at once.
    Deviations from the paper: batch norm, not weight norm; the average over time is the default, not the last step.
    While it learns, batch norm also sees the padding of padded rows.
    Source: Bai, Kolter and Koltun, "An empirical evaluation of generic convolutional and recurrent networks for
    sequence modeling", 2018.

        >>> TemporalConvNet(inputs=(100, 40), outputs=10)(torch.zeros(2, 100, 40)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        width: int = 64,
        kernel: int = 3,
        layers: int | None = None,
        pool: Pool = "mean",
        every: bool = False,
        dropout: float = 0.1,
    ):
        super().__init__()
        channels = check_numbers("conv1d", inputs, outputs)
        whole("conv1d: width", width), whole("conv1d: kernel", kernel), dropped("conv1d: dropout", dropout)
        if layers is None:
            layers = 1
            while kernel > 1 and 1 + 2 * (kernel - 1) * (2**layers - 1) < inputs[0]:
                layers += 1
        self.blocks = nn.Sequential()
        for number in range(whole("conv1d: layers", layers)):
            self.blocks.append(TemporalBlock(channels, width, kernel, 2**number, dropout))
            channels = width
        self.pool, self.every = check_pool("conv1d", pool), every
        self.output = nn.Linear(width, outputs)
        initialize(self)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.blocks(x.transpose(1, 2)).transpose(1, 2)  # (N, L, width)
        logits: Tensor = self.output(x if self.every else pooled(self.pool, x, lengths))
        return logits
