"""A small modern convolutional network for pictures of any size."""

from collections import OrderedDict

from torch import Tensor, nn

from osler.errors import InputError

SMALLEST = 8
MOST_CHANNELS = 4  # times the width


class ConvNet(nn.Module):
    """Stages of two 3×3 convolutions with batch normalisation and pooling, then a global average and a linear layer.

    A stage is: convolution → max-pool 2×2 → batch norm → ReLU → convolution → batch norm → ReLU. Pooling before the
    normalisation spares three quarters of the work that comes after. There is a stage for each halving that leaves at
    least 3 pixels; channels double at each stage up to 4 times the width.

        28×28, width 32: (N, 1, 28, 28) → (N, 32, 14, 14) → (N, 64, 7, 7) → (N, 128, 3, 3) → (N, 128) → (N, outputs)

    `inputs` is (channels, height, width), from 8×8 up. `width`: channels of the first stage, default 32. `dropout` in
    [0, 1), before the last layer. Weights begin as He et al. (2015) advise for ReLU. Raises InputError for impossible
    inputs and options.

    Source: the stages follow Simonyan and Zisserman, Very deep convolutional networks (2014), with Ioffe and Szegedy,
    Batch normalization (2015), and the global average of Lin et al., Network in network (2013).

        >>> ConvNet(inputs=(1, 28, 28), outputs=10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int, *, width: int = 32, dropout: float = 0.0):
        super().__init__()
        if len(inputs) != 3 or inputs[0] < 1 or min(inputs[1:]) < SMALLEST:
            raise InputError(
                f"convnet takes pictures (channels, height, width) of at least {SMALLEST}×{SMALLEST}, but got "
                f"{tuple(inputs)}; the smallest input is (1, {SMALLEST}, {SMALLEST})"
            )
        if width < 1:
            raise InputError(f"convnet: width must be at least 1, but got {width!r}")
        if not 0 <= dropout < 1:
            raise InputError(f"convnet: dropout must be at least 0 and below 1, but got {dropout!r}")
        channels, *sides = inputs
        side = min(sides)
        self.stages = nn.Sequential()
        while side >= 6:
            wider = width * min(2 ** len(self.stages), MOST_CHANNELS)
            self.stages.append(_stage(channels, wider))
            channels, side = wider, side // 2
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(channels, outputs)
        for module in self.stages.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(x)  # (N, channels, height / 2^stages, width / 2^stages)
        x = self.pool(x).flatten(1)  # (N, channels)
        logits: Tensor = self.output(self.dropout(x))  # (N, outputs)
        return logits


def _stage(channels: int, width: int) -> nn.Sequential:
    """(N, channels, H, W) -> (N, width, H // 2, W // 2)."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),  # batch norm has the bias
            pool=nn.MaxPool2d(2),
            norm1=nn.BatchNorm2d(width),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(width),
            relu2=nn.ReLU(),
        )
    )
