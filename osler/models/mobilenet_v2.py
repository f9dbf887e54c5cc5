"""MobileNet v2 (Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", 2018)."""

from functools import partial

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.blocks import ConvNorm, check_dropout, check_pictures, he, multiple_of_8, start

# (expansion, channels, blocks, stride of the first) of each stage.
STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


class InvertedResidual(nn.Module):
    """Wide inside, narrow outside: 1×1 that widens, depthwise 3×3, 1×1 that narrows without an activation.

    (N, inputs, H, W) → (N, outputs, H / stride, W / stride), beside a shortcut where the shapes agree.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        inside = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([ConvNorm(inputs, inside, 1, activation=nn.ReLU6)] if expansion > 1 else []),
            ConvNorm(inside, inside, stride=stride, groups=inside, activation=nn.ReLU6),
            nn.Conv2d(inside, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.conv(x)
        return x + branch if self.shortcut else branch


class MobileNetV2(nn.Module):
    """Seventeen inverted residual blocks: shortcuts between narrow maps, depthwise convolutions on wide ones.

        (N, 3, 224, 224) → conv 3×3/2 (N, 32, 112, 112) → (N, 16, 112, 112) → (N, 24, 56, 56) → (N, 32, 28, 28)
        → (N, 64, 14, 14) → (N, 96, 14, 14) → (N, 160, 7, 7) → (N, 320, 7, 7) → conv 1×1 (N, 1280, 7, 7)
        → average (N, 1280) → (N, outputs)

    At its usual size it has 3,504,872 parameters. `inputs` is (channels, height, width), of any size. `width` > 0
    multiplies the number of channels (rounded to a multiple of 8; the last 1280 are never fewer). `dropout` in [0, 1),
    before the last layer. Weights have torchvision's names and shapes. Raises InputError for impossible inputs and
    options.

    Source: Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", 2018.

        >>> MobileNetV2(inputs=(1, 32, 32), outputs=10)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...] = (3, 224, 224),
        outputs: int = 1000,
        *,
        width: float = 1.0,
        dropout: float = 0.2,
    ):
        super().__init__()
        if not width > 0:
            raise InputError(f"mobilenet_v2: width must be above 0, but got {width!r}")
        channels, last = multiple_of_8(32 * width), multiple_of_8(1280 * max(1.0, width))
        seen = check_pictures("mobilenet_v2", inputs, outputs, 1)
        self.features = nn.Sequential(ConvNorm(seen, channels, stride=2, activation=nn.ReLU6))
        for expansion, wanted, blocks, stride in STAGES:
            wider = multiple_of_8(wanted * width)
            for number in range(blocks):
                self.features.append(InvertedResidual(channels, wider, stride if number == 0 else 1, expansion))
                channels = wider
        self.features.append(ConvNorm(channels, last, 1, activation=nn.ReLU6))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(check_dropout("mobilenet_v2", dropout)), nn.Linear(last, outputs))
        start(self, he, partial(nn.init.normal_, std=0.01))

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, 1280, 7, 7)
        logits: Tensor = self.classifier(self.avgpool(x).flatten(1))  # (N, outputs)
        return logits
