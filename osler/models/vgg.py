"""VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014)."""

from functools import partial

from torch import Tensor, nn

from osler.errors import InputError
from osler.models.blocks import check_dropout, check_pictures, he_by_outputs, start

SMALLEST = 32  # five pools leave a pixel
WIDTHS = (64, 128, 256, 512, 512)
# Convolutions of each stage.
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """Five stages of 3×3 convolutions, each followed by a pool that halves the map, and three dense layers.

        (N, 3, 224, 224) → (N, 64, 112, 112) → (N, 128, 56, 56) → (N, 256, 28, 28) → (N, 512, 14, 14) → (N, 512, 7, 7)
        → 4096 → 4096 → (N, outputs)

    `depth`: the layers with weights: 11, 13, 16 or 19. `inputs` is (channels, height, width), from 32×32 up.
    `batch_norm`: whether each convolution is followed by a normalisation. `hidden`: units of both hidden dense layers,
    which have nine tenths of all weights. `dropout` in [0, 1), after both. Weights have torchvision's names and shapes.
    Raises InputError for impossible inputs and options.

    Deviations: batch norm is younger than the paper; other sizes than the paper's are averaged to 7×7 before the dense
    layers; convolutions begin as He et al. (2015) advise, so all depths learn from the start (the paper begins the deep
    ones with the weights of a trained VGG-11).

    Source: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014.
    """

    def __init__(
        self, depth: int, inputs: tuple[int, ...], outputs: int, *, batch_norm: bool, hidden: int, dropout: float
    ):
        super().__init__()
        name = f"vgg{depth}_bn" if batch_norm else f"vgg{depth}"
        channels = check_pictures(name, inputs, outputs, SMALLEST)
        if hidden < 1:
            raise InputError(f"{name}: hidden must be at least 1, but got {hidden!r}")
        self.features = nn.Sequential()
        for width, count in zip(WIDTHS, DEPTHS[depth], strict=True):
            for _ in range(count):
                self.features.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
                if batch_norm:
                    self.features.append(nn.BatchNorm2d(width))
                self.features.append(nn.ReLU())
                channels = width
            self.features.append(nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden),
            nn.ReLU(),
            nn.Dropout(check_dropout(name, dropout)),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )
        start(self, he_by_outputs, partial(nn.init.normal_, std=0.01))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x)).flatten(1)  # (N, 25088)
        logits: Tensor = self.classifier(x)  # (N, outputs)
        return logits


def vgg11(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 11 layers: 132,863,336 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration A).
    """
    return VGG(11, inputs, outputs, batch_norm=False, hidden=hidden, dropout=dropout)


def vgg11_bn(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 11 layers, batch norm after each convolution: 132,868,840 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration A); Ioffe and Szegedy, "Batch normalization", 2015.
    """
    return VGG(11, inputs, outputs, batch_norm=True, hidden=hidden, dropout=dropout)


def vgg13(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 13 layers: 133,047,848 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration B).
    """
    return VGG(13, inputs, outputs, batch_norm=False, hidden=hidden, dropout=dropout)


def vgg13_bn(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 13 layers, batch norm after each convolution: 133,053,736 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration B); Ioffe and Szegedy, "Batch normalization", 2015.
    """
    return VGG(13, inputs, outputs, batch_norm=True, hidden=hidden, dropout=dropout)


def vgg16(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 16 layers: 138,357,544 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration D).
    """
    return VGG(16, inputs, outputs, batch_norm=False, hidden=hidden, dropout=dropout)


def vgg16_bn(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 16 layers, batch norm after each convolution: 138,365,992 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration D); Ioffe and Szegedy, "Batch normalization", 2015.
    """
    return VGG(16, inputs, outputs, batch_norm=True, hidden=hidden, dropout=dropout)


def vgg19(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 19 layers: 143,667,240 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration E).
    """
    return VGG(19, inputs, outputs, batch_norm=False, hidden=hidden, dropout=dropout)


def vgg19_bn(
    inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, hidden: int = 4096, dropout: float = 0.5
) -> VGG:
    """VGG with 19 layers, batch norm after each convolution: 143,678,248 parameters.

    `inputs` is (channels, height, width), from 32×32 up. `hidden`: units of both hidden dense layers. `dropout` in
    [0, 1), after both.

    Source: Simonyan and Zisserman, 2014 (configuration E); Ioffe and Szegedy, "Batch normalization", 2015.
    """
    return VGG(19, inputs, outputs, batch_norm=True, hidden=hidden, dropout=dropout)
