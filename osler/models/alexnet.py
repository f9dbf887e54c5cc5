"""AlexNet (Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", 2012)."""

from typing import Literal

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.blocks import check_dropout, check_pictures, dense_layers

SMALLEST = {1: 63, 2: 67}  # by towers: a pixel is left after the last pool


class AlexNet(nn.Module):
    """Five convolutions and three dense layers: the network that won ImageNet in 2012 and began deep learning's rise.

        (N, 3, 227, 227) → conv 11×11/4 (N, 96, 55, 55) → norm, pool 3×3/2 (N, 96, 27, 27) → conv 5×5 (N, 256, 27, 27)
        → norm, pool (N, 256, 13, 13) → conv 3×3 (N, 384, 13, 13) → conv 3×3 (N, 384, 13, 13) → conv 3×3
        (N, 256, 13, 13) → pool (N, 256, 6, 6) → 4096 → 4096 → (N, outputs)

    `inputs` is (channels, height, width), from 67×67 up. `towers`: 2 as in the paper, whose second, fourth and fifth
    convolution see only the half of the maps that was on their own graphics card, with local response normalisation
    (60,965,224 parameters); or 1, the later form without both (61,100,840 parameters; from 63×63 up; 64-192-384-256-256
    maps), whose weights have torchvision's names and shapes. `dropout` in [0, 1), before both hidden dense layers.
    Raises InputError for impossible inputs and options.

    Deviations: the normalisation looks across the border of the two halves; other sizes than the paper's are averaged
    to 6×6 before the dense layers; weights begin as torch has it (not from N(0, 0.01²), with biases of 1).

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012;
    one tower: Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.

        >>> AlexNet(inputs=(1, 96, 96), outputs=10)(torch.zeros(2, 1, 96, 96)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...] = (3, 227, 227),
        outputs: int = 1000,
        *,
        towers: Literal[1, 2] = 2,
        dropout: float = 0.5,
    ):
        super().__init__()
        if towers not in SMALLEST:
            raise InputError(f"alexnet: towers must be 1 or 2, but got {towers!r}")
        channels = check_pictures("alexnet", inputs, outputs, SMALLEST[towers])
        first, second, third = (96, 256, 384) if towers == 2 else (64, 192, 256)
        self.features = nn.Sequential(
            nn.Conv2d(channels, first, kernel_size=11, stride=4, padding=0 if towers == 2 else 2),
            *_pooled(towers == 2),
            nn.Conv2d(first, second, kernel_size=5, padding=2, groups=towers),
            *_pooled(towers == 2),
            nn.Conv2d(second, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, third, kernel_size=3, padding=1, groups=towers),
            nn.ReLU(),
            nn.Conv2d(third, 256, kernel_size=3, padding=1, groups=towers),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = dense_layers(256 * 6 * 6, outputs, check_dropout("alexnet", dropout))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x)).flatten(1)  # (N, 9216)
        logits: Tensor = self.classifier(x)  # (N, outputs)
        return logits


def _pooled(normalised: bool) -> list[nn.Module]:
    # The paper has k = 2, n = 5, α = 1e-4 and β = 0.75, and adds α times the sum of squares; torch, times their mean.
    norm = [nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)] if normalised else []
    return [nn.ReLU(), *norm, nn.MaxPool2d(3, stride=2)]
