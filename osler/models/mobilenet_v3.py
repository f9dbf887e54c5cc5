"""MobileNet v3 (Howard et al., "Searching for MobileNetV3", 2019)."""

from functools import partial

from torch import Tensor, nn

from osler.models.blocks import (
    ConvNorm,
    SqueezeExcitation,
    check_dropout,
    check_pictures,
    multiple_of_8,
)

# (kernel, channels inside, channels, squeeze-and-excitation, activation, stride) of each block.
BLOCKS = [
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
]

_norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


class Block(nn.Module):
    """1×1 that widens, depthwise convolution, squeeze-and-excitation, 1×1 that narrows; and a shortcut if shapes agree.

    (N, inputs, H, W) → (N, outputs, H / stride, W / stride).
    """

    def __init__(
        self,
        inputs: int,
        kernel: int,
        inside: int,
        outputs: int,
        squeezed: bool,
        activation: type[nn.Module],
        stride: int,
    ):
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        self.block = nn.Sequential()
        if inside != inputs:
            self.block.append(ConvNorm(inputs, inside, 1, activation=activation, norm=_norm))
        self.block.append(
            ConvNorm(inside, inside, kernel, stride=stride, groups=inside, activation=activation, norm=_norm)
        )
        if squeezed:
            self.block.append(SqueezeExcitation(inside, multiple_of_8(inside // 4), nn.ReLU, nn.Hardsigmoid))
        self.block.append(ConvNorm(inside, outputs, 1, activation=None, norm=_norm))

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.block(x)
        return x + branch if self.shortcut else branch


class MobileNetV3Small(nn.Module):
    """Eleven inverted residual blocks, found by search, with squeeze-and-excitation and hard-swish.

        (N, 3, 224, 224) → conv 3×3/2 (N, 16, 112, 112) → (N, 16, 56, 56) → (N, 24, 28, 28) → (N, 40, 14, 14)
        → (N, 48, 14, 14) → (N, 96, 7, 7) → conv 1×1 (N, 576, 7, 7) → average (N, 576) → 1024 → (N, outputs)

    At its usual size it has 2,542,856 parameters. `inputs` is (channels, height, width), of any size. `dropout` in
    [0, 1), before the last layer. Weights have torchvision's names and shapes. Raises InputError for impossible inputs
    and options.

    Source: Howard et al., "Searching for MobileNetV3", 2019 (table 2).

        >>> MobileNetV3Small(inputs=(1, 32, 32), outputs=10)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, dropout: float = 0.2):
        super().__init__()
        seen, channels = check_pictures("mobilenet_v3_small", inputs, outputs, 1), 16
        self.features = nn.Sequential(ConvNorm(seen, channels, stride=2, activation=nn.Hardswish, norm=_norm))
        for kernel, inside, wider, squeezed, activation, stride in BLOCKS:
            self.features.append(Block(channels, kernel, inside, wider, squeezed, activation, stride))
            channels = wider
        self.features.append(ConvNorm(channels, 6 * channels, 1, activation=nn.Hardswish, norm=_norm))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, 1024),
            nn.Hardswish(),
            nn.Dropout(check_dropout("mobilenet_v3_small", dropout)),
            nn.Linear(1024, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, 576, 7, 7)
        logits: Tensor = self.classifier(self.avgpool(x).flatten(1))  # (N, outputs)
        return logits
