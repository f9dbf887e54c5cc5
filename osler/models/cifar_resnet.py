"""ResNet for small pictures (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015)."""

import torch.nn.functional as F
from torch import Tensor, nn

from osler.models.blocks import check_pictures, he
from osler.models.resnet import Basic


class Padded(nn.Module):
    """A shortcut without weights: every second pixel, and zeros for the new channels, half before and half after."""

    def __init__(self, new: int, stride: int):
        super().__init__()
        self.new, self.stride = new, stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))


class SmallResNet(nn.Module):
    """Three stages of residual blocks at full, half and quarter size: the paper's networks for CIFAR-10.

        (N, 3, 32, 32) → conv 3×3 (N, 16, 32, 32) → (N, 16, 32, 32) → (N, 32, 16, 16) → (N, 64, 8, 8)
        → average (N, 64) → (N, outputs)

    `depth` is 6n + 2 for n blocks a stage. `inputs` is (channels, height, width), of any size. Shortcuts have no
    weights (the paper's option A). Weights have the names and shapes of the published ones by Y. Idelbayev
    (pytorch_resnet_cifar10). Raises InputError for inputs that are no picture.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015 (section 4.2).
    """

    def __init__(self, depth: int, inputs: tuple[int, ...], outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(check_pictures(f"resnet{depth}", inputs, outputs, 1), 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        blocks = (depth - 2) // 6
        self.layer1 = nn.Sequential(*(Basic(16, 16, 1) for _ in range(blocks)))
        self.layer2 = nn.Sequential(Basic(16, 32, 2, Padded(16, 2)), *(Basic(32, 32, 1) for _ in range(blocks - 1)))
        self.layer3 = nn.Sequential(Basic(32, 64, 2, Padded(32, 2)), *(Basic(64, 64, 1) for _ in range(blocks - 1)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.layer3(self.layer2(self.layer1(x)))  # (N, 64, 8, 8)
        logits: Tensor = self.linear(self.avgpool(x).flatten(1))  # (N, outputs)
        return logits


def resnet20(inputs: tuple[int, ...] = (3, 32, 32), outputs: int = 10) -> SmallResNet:
    """Residual network with 20 layers for small pictures: 269,722 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015 (section 4.2).
    """
    return SmallResNet(20, inputs, outputs)


def resnet32(inputs: tuple[int, ...] = (3, 32, 32), outputs: int = 10) -> SmallResNet:
    """Residual network with 32 layers for small pictures: 464,154 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015 (section 4.2).
    """
    return SmallResNet(32, inputs, outputs)


def resnet44(inputs: tuple[int, ...] = (3, 32, 32), outputs: int = 10) -> SmallResNet:
    """Residual network with 44 layers for small pictures: 658,586 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015 (section 4.2).
    """
    return SmallResNet(44, inputs, outputs)


def resnet56(inputs: tuple[int, ...] = (3, 32, 32), outputs: int = 10) -> SmallResNet:
    """Residual network with 56 layers for small pictures: 853,018 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015 (section 4.2).
    """
    return SmallResNet(56, inputs, outputs)


def resnet110(inputs: tuple[int, ...] = (3, 32, 32), outputs: int = 10) -> SmallResNet:
    """Residual network with 110 layers for small pictures: 1,727,962 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015 (section 4.2).
    """
    return SmallResNet(110, inputs, outputs)
