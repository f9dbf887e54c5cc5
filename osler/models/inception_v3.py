"""Inception v3 (Szegedy et al., "Rethinking the Inception architecture for computer vision", 2015)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from osler.models.blocks import BasicConv, check_dropout, check_pictures
from osler.nn.auxiliary import WithAuxiliary

SMALLEST = 75  # a pixel is left after the last grid reduction
AUXILIARY_WEIGHT = 0.3
AUXILIARY_SIDE = 17  # of the map that the auxiliary classifier sees at the usual size


class InceptionA(nn.Module):
    """1×1, 5×5, twice 3×3, and an average: (N, inputs, H, W) → (N, 224 + pooled, H, W)."""

    def __init__(self, inputs: int, pooled: int):
        super().__init__()
        self.branch1x1 = BasicConv(inputs, 64, 1)
        self.branch5x5_1 = BasicConv(inputs, 48, 1)
        self.branch5x5_2 = BasicConv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv(inputs, 64, 1)
        self.branch3x3dbl_2 = BasicConv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv(96, 96, 3, padding=1)
        self.branch_pool = BasicConv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, twice, self.branch_pool(_average(x))], dim=1)


class InceptionB(nn.Module):
    """A map of half the size: (N, inputs, H, W) → (N, inputs + 480, (H − 1) // 2, (W − 1) // 2)."""

    def __init__(self, inputs: int):
        super().__init__()
        self.branch3x3 = BasicConv(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv(inputs, 64, 1)
        self.branch3x3dbl_2 = BasicConv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), twice, F.max_pool2d(x, 3, stride=2)], dim=1)


class InceptionC(nn.Module):
    """7×7 as 1×7 and 7×1: (N, inputs, H, W) → (N, 768, H, W)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.branch1x1 = BasicConv(inputs, 192, 1)
        self.branch7x7_1 = BasicConv(inputs, width, 1)
        self.branch7x7_2 = _row(width, width, 7)
        self.branch7x7_3 = _column(width, 192, 7)
        self.branch7x7dbl_1 = BasicConv(inputs, width, 1)
        self.branch7x7dbl_2 = _column(width, width, 7)
        self.branch7x7dbl_3 = _row(width, width, 7)
        self.branch7x7dbl_4 = _column(width, width, 7)
        self.branch7x7dbl_5 = _row(width, 192, 7)
        self.branch_pool = BasicConv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(_average(x))], dim=1)


class InceptionD(nn.Module):
    """A map of half the size again: (N, inputs, H, W) → (N, inputs + 512, (H − 1) // 2, (W − 1) // 2)."""

    def __init__(self, inputs: int):
        super().__init__()
        self.branch3x3_1 = BasicConv(inputs, 192, 1)
        self.branch3x3_2 = BasicConv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv(inputs, 192, 1)
        self.branch7x7x3_2 = _row(192, 192, 7)
        self.branch7x7x3_3 = _column(192, 192, 7)
        self.branch7x7x3_4 = BasicConv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, stride=2)], dim=1)


class InceptionE(nn.Module):
    """1×3 and 3×1 side by side, for the coarsest maps: (N, inputs, H, W) → (N, 2048, H, W)."""

    def __init__(self, inputs: int):
        super().__init__()
        self.branch1x1 = BasicConv(inputs, 320, 1)
        self.branch3x3_1 = BasicConv(inputs, 384, 1)
        self.branch3x3_2a = _row(384, 384, 3)
        self.branch3x3_2b = _column(384, 384, 3)
        self.branch3x3dbl_1 = BasicConv(inputs, 448, 1)
        self.branch3x3dbl_2 = BasicConv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _row(384, 384, 3)
        self.branch3x3dbl_3b = _column(384, 384, 3)
        self.branch_pool = BasicConv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        cross = [self.branch3x3_2a(once), self.branch3x3_2b(once)]
        cross += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)]
        return torch.cat([self.branch1x1(x), *cross, self.branch_pool(_average(x))], dim=1)


class Auxiliary(nn.Module):
    """A classifier half-way up: (N, inputs, H, W) → (N, outputs)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv0 = BasicConv(inputs, 128, 1)
        self.conv1 = BasicConv(128, 768, 5)
        self.fc = nn.Linear(768, outputs)

    def forward(self, x: Tensor) -> Tensor:
        small = min(x.shape[2:]) < AUXILIARY_SIDE
        x = F.adaptive_avg_pool2d(x, 5) if small else F.avg_pool2d(x, 5, stride=3)  # (N, inputs, 5, 5)
        x = self.conv1(self.conv0(x))  # (N, 768, 1, 1)
        logits: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # (N, outputs)
        return logits


class InceptionV3(nn.Module):
    """Eleven inception modules of five kinds, with large kernels taken apart into rows and columns.

        (N, 3, 299, 299) → three convolutions, pool (N, 64, 73, 73) → two, pool (N, 192, 35, 35)
        → A ×3 (N, 288, 35, 35) → B, C ×4 (N, 768, 17, 17) → D, E ×2 (N, 2048, 8, 8) → average (N, 2048) → (N, outputs)

    With the auxiliary classifier it has 27,161,264 parameters, without (`auxiliary=False`) 23,834,568. While training
    it gives `WithAuxiliary(logits, (its logits,), 0.3)`, otherwise logits only; the supervised objectives understand
    both. `inputs` is (channels, height, width), from 75×75 up. `dropout` in [0, 1), before the last layer. Weights have
    torchvision's names and shapes. Raises InputError for impossible inputs and options.

    Deviations: for pictures below 299×299 the auxiliary classifier averages its map to 5×5. Convolutions begin as
    He et al. (2015) advise (the paper doesn't say how).

    Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception architecture for computer vision",
    2015.

        >>> InceptionV3(inputs=(1, 75, 75), outputs=10).eval()(torch.zeros(2, 1, 75, 75)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...] = (3, 299, 299),
        outputs: int = 1000,
        *,
        auxiliary: bool = True,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv(check_pictures("inception_v3", inputs, outputs, SMALLEST), 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, pooled=32)
        self.Mixed_5c = InceptionA(256, pooled=64)
        self.Mixed_5d = InceptionA(288, pooled=64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, width=128)
        self.Mixed_6c = InceptionC(768, width=160)
        self.Mixed_6d = InceptionC(768, width=160)
        self.Mixed_6e = InceptionC(768, width=192)
        self.AuxLogits = Auxiliary(768, outputs) if auxiliary else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(check_dropout("inception_v3", dropout))
        self.fc = nn.Linear(2048, outputs)

    def forward(self, x: Tensor) -> Tensor | WithAuxiliary:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # (N, 64, 147, 147)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))  # (N, 192, 71, 71)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))  # (N, 288, 35, 35)
        middle = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))  # (N, 768, 17, 17)
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(middle)))  # (N, 2048, 8, 8)
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))  # (N, outputs)
        if self.training and self.AuxLogits is not None:
            return WithAuxiliary(logits, (self.AuxLogits(middle),), AUXILIARY_WEIGHT)
        return logits


def _row(inputs: int, outputs: int, length: int) -> BasicConv:
    return BasicConv(inputs, outputs, (1, length), padding=(0, length // 2))


def _column(inputs: int, outputs: int, length: int) -> BasicConv:
    return BasicConv(inputs, outputs, (length, 1), padding=(length // 2, 0))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1)
