"""GoogLeNet (Szegedy et al., "Going deeper with convolutions", 2014), with batch norm."""

import torch
from torch import Tensor, nn

from osler.models.blocks import BasicConv, check_dropout, check_pictures
from osler.nn.auxiliary import WithAuxiliary

SMALLEST = 15  # every pool has something to pool
AUXILIARY_WEIGHT = 0.3


class Inception(nn.Module):
    """Four branches side by side: 1×1, 3×3 and twice 3×3 after a 1×1 that narrows, and a pool; their maps joined."""

    def __init__(self, inputs: int, one: int, narrow: int, three: int, narrower: int, five: int, pool: int):
        super().__init__()
        self.branch1 = BasicConv(inputs, one, 1)
        self.branch2 = nn.Sequential(BasicConv(inputs, narrow, 1), BasicConv(narrow, three, 3, padding=1))
        self.branch3 = nn.Sequential(BasicConv(inputs, narrower, 1), BasicConv(narrower, five, 3, padding=1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), BasicConv(inputs, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class Auxiliary(nn.Module):
    """A classifier half-way up: (N, inputs, H, W) → (N, outputs)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.conv = BasicConv(inputs, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.pool(x)).flatten(1)  # (N, 2048)
        logits: Tensor = self.fc2(self.dropout(self.relu(self.fc1(x))))  # (N, outputs)
        return logits


class GoogLeNet(nn.Module):
    """Nine inception modules, which look at several scales at once, and two classifiers half-way up; won ImageNet 2014.

        (N, 3, 224, 224) → conv 7×7/2, pool (N, 64, 56, 56) → conv 1×1, conv 3×3, pool (N, 192, 28, 28)
        → inception ×2, pool (N, 480, 14, 14) → inception ×5, pool (N, 832, 7, 7) → inception ×2 (N, 1024, 7, 7)
        → average (N, 1024) → (N, outputs)

    With the auxiliary classifiers it has 13,004,888 parameters, without (`auxiliary=False`) 6,624,904. While training
    it gives `WithAuxiliary(logits, their logits, 0.3)`, otherwise logits only; the supervised objectives understand
    both. `inputs` is (channels, height, width), from 15×15 up. `dropout` in [0, 1), before the last layer (the paper
    has 0.4). Weights have torchvision's names and shapes. Raises InputError for impossible inputs and options.

    Deviations: as in torchvision, batch norm follows each convolution (the paper's network has none, but responses
    normalised at two places), the 5×5 convolutions are 3×3, and the heads average to 4×4 whatever the size.
    Convolutions begin as He et al. (2015) advise (the paper doesn't say how).

    Source: Szegedy et al., "Going deeper with convolutions", 2014; Ioffe and Szegedy, "Batch normalization", 2015.

        >>> GoogLeNet(inputs=(1, 32, 32), outputs=10).eval()(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        inputs: tuple[int, ...] = (3, 224, 224),
        outputs: int = 1000,
        *,
        auxiliary: bool = True,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.conv1 = BasicConv(check_pictures("googlenet", inputs, outputs, SMALLEST), 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv(64, 64, 1)
        self.conv3 = BasicConv(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = Auxiliary(512, outputs) if auxiliary else None
        self.aux2 = Auxiliary(528, outputs) if auxiliary else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(check_dropout("googlenet", dropout))
        self.fc = nn.Linear(1024, outputs)

    def forward(self, x: Tensor) -> Tensor | WithAuxiliary:
        x = self.maxpool1(self.conv1(x))  # (N, 64, 56, 56)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N, 192, 28, 28)
        x = self.maxpool3(self.inception3b(self.inception3a(x)))  # (N, 480, 14, 14)
        low = self.inception4a(x)  # (N, 512, 14, 14)
        high = self.inception4d(self.inception4c(self.inception4b(low)))  # (N, 528, 14, 14)
        x = self.maxpool4(self.inception4e(high))  # (N, 832, 7, 7)
        x = self.inception5b(self.inception5a(x))  # (N, 1024, 7, 7)
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))  # (N, outputs)
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return WithAuxiliary(logits, (self.aux1(low), self.aux2(high)), AUXILIARY_WEIGHT)
        return logits
