"""A small modern convolutional network for pictures of any size."""

from collections import OrderedDict

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.blocks import check_dropout, check_pictures

SMALLEST = 8
MOST_CHANNELS = 4  # times the width


class ConvNet(nn.Module):
    """Stages of 3×3 convolutions with batch normalisation and pooling, then a global average and a linear layer.

    A stage is: convolution → max-pool 2×2 → batch norm → ReLU, then `depth` − 1 times convolution → batch norm → ReLU.
    Pooling before the normalisation spares three quarters of the work that comes after. There is a stage for each
    halving that leaves at least 3 pixels; channels double at each stage up to 4 times the width.

        28×28, width 32: (N, 1, 28, 28) → (N, 32, 14, 14) → (N, 64, 7, 7) → (N, 128, 3, 3) → (N, 128) → (N, outputs)

    `inputs` is (channels, height, width), from 8×8 up. `width`: channels of the first stage, default 32. `depth`:
    convolutions of a stage, default 2. `average`: whether the last layer sees each channel's average (default), which
    takes pictures of any size, or every pixel, which learns faster. `dropout` in [0, 1), before the last layer. Weights
    begin as He et al. (2015) advise for ReLU. Raises InputError for impossible inputs and options.

    Source: the stages follow Simonyan and Zisserman, Very deep convolutional networks (2014), with Ioffe and Szegedy,
    Batch normalization (2015), and the global average of Lin et al., Network in network (2013).

        >>> ConvNet(inputs=(1, 28, 28), outputs=10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        width: int = 32,
        depth: int = 2,
        average: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        channels = check_pictures("convnet", inputs, outputs, SMALLEST)
        for name, value in (("width", width), ("depth", depth)):
            if value < 1:
                raise InputError(f"convnet: {name} must be at least 1, but got {value!r}")
        sides = list(inputs[1:])
        side = min(sides)
        self.stages = nn.Sequential()
        while side >= 6:
            wider = width * min(2 ** len(self.stages), MOST_CHANNELS)
            self.stages.append(_stage(channels, wider, depth))
            channels, side = wider, side // 2
            sides = [length // 2 for length in sides]
        self.pool = nn.AdaptiveAvgPool2d(1) if average else nn.Identity()
        self.dropout = nn.Dropout(check_dropout("convnet", dropout))
        self.output = nn.Linear(channels if average else channels * sides[0] * sides[1], outputs)
        for module in self.stages.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(x)  # (N, channels, height / 2^stages, width / 2^stages)
        x = self.pool(x).flatten(1)  # (N, channels), or (N, channels · pixels)
        logits: Tensor = self.output(self.dropout(x))  # (N, outputs)
        return logits


def _stage(channels: int, width: int, depth: int) -> nn.Sequential:
    """(N, channels, H, W) -> (N, width, H // 2, W // 2)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, depth + 1):
        # Batch norm has the bias.
        layers[f"conv{number}"] = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        if number == 1:
            layers["pool"] = nn.MaxPool2d(2)
        layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"relu{number}"] = nn.ReLU()
        channels = width
    return nn.Sequential(layers)
