"""MobileNet v1 (Howard et al., "MobileNets: efficient convolutional neural networks …", 2017)."""

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.blocks import ConvNorm, check_dropout, check_pictures, multiple_of_8

# (channels, stride) of each separable convolution.
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


class MobileNetV1(nn.Module):
    """Thirteen depthwise separable convolutions: each channel filtered by itself, then all mixed at each pixel.

        (N, 3, 224, 224) → conv 3×3/2 (N, 32, 112, 112) → (N, 64, 112, 112) → ×2 (N, 128, 56, 56) → ×2 (N, 256, 28, 28)
        → ×6 (N, 512, 14, 14) → ×2 (N, 1024, 7, 7) → average (N, 1024) → (N, outputs)

    At its usual size it has 4,231,976 parameters. `inputs` is (channels, height, width), of any size. `width` > 0
    multiplies the number of channels (rounded to a multiple of 8). `dropout` in [0, 1), before the last layer. Raises
    InputError for impossible inputs and options.

    Source: Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017.

        >>> MobileNetV1(inputs=(1, 32, 32), outputs=10)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...] = (3, 224, 224),
        outputs: int = 1000,
        *,
        width: float = 1.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if not width > 0:
            raise InputError(f"mobilenet_v1: width must be above 0, but got {width!r}")
        channels = multiple_of_8(32 * width)
        self.features = nn.Sequential(ConvNorm(check_pictures("mobilenet_v1", inputs, outputs, 1), channels, stride=2))
        for wanted, stride in BLOCKS:
            wider = multiple_of_8(wanted * width)
            self.features.append(_separable(channels, wider, stride))
            channels = wider
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(check_dropout("mobilenet_v1", dropout)), nn.Linear(channels, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, 1024, 7, 7)
        logits: Tensor = self.classifier(self.avgpool(x).flatten(1))  # (N, outputs)
        return logits


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """(N, inputs, H, W) → (N, outputs, H / stride, W / stride)."""
    return nn.Sequential(ConvNorm(inputs, inputs, stride=stride, groups=inputs), ConvNorm(inputs, outputs, 1))
