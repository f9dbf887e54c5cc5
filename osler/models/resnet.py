"""ResNet (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015)."""

from torch import Tensor, nn

from osler.models.blocks import check_pictures, he_by_outputs


class Basic(nn.Module):
    """Two 3×3 convolutions beside a shortcut: (N, inputs, H, W) → (N, width, H / stride, W / stride).

    `shortcut`: what makes the input fit the output; default a 1×1 convolution where their shapes differ.
    """

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module | None = None):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride) if shortcut is None else shortcut
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu1(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        x = self.relu2(branch + (x if self.downsample is None else self.downsample(x)))
        return x


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 beside a shortcut: (N, inputs, H, W) → (N, 4 · width, H / stride, W / stride)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(inputs, 4 * width, stride)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu1(self.bn1(self.conv1(x)))
        branch = self.relu2(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        x = self.relu3(branch + (x if self.downsample is None else self.downsample(x)))
        return x


class ResNet(nn.Module):
    """Four stages of blocks that add to what they are given, so that gradients reach the first layer undiminished.

        (N, 3, 224, 224) → conv 7×7/2 (N, 64, 112, 112) → pool 3×3/2 (N, 64, 56, 56) → (N, 64e, 56, 56)
        → (N, 128e, 28, 28) → (N, 256e, 14, 14) → (N, 512e, 7, 7) → average (N, 512e) → (N, outputs)

    with e = 1 for basic blocks and 4 for bottlenecks. `depths`: blocks of each stage. `inputs` is (channels, height,
    width), of any size; the last map is a thirty-second of it, so for 32×32 and the like resnet20 and its relatives fit
    better. Weights have torchvision's names and shapes. Raises InputError for inputs that are no picture.

    Deviations: bottlenecks halve the map in their 3×3 convolution (not in the first 1×1), which is more accurate, as
    torchvision has it. Where a shortcut changes the shape it is a 1×1 convolution (the paper's option B).

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015.
    """

    def __init__(
        self,
        name: str,
        block: type[Basic] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        inputs: tuple[int, ...],
        outputs: int,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(check_pictures(name, inputs, outputs, 1), 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, 64, 64, depths[0], stride=1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, depths[1], stride=2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, depths[2], stride=2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * block.expansion, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_by_outputs(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, 56, 56)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, 512e, 7, 7)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))  # (N, outputs)
        return logits


def _stage(block: type[Basic] | type[Bottleneck], inputs: int, width: int, depth: int, stride: int) -> nn.Sequential:
    outputs = width * block.expansion
    return nn.Sequential(block(inputs, width, stride), *(block(outputs, width, 1) for _ in range(depth - 1)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    """What makes the block's input fit its output, where it doesn't already."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def resnet18(inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000) -> ResNet:
    """Residual network with 18 layers in basic blocks: 11,689,512 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015.

        >>> resnet18(inputs=(1, 64, 64), outputs=10)(torch.zeros(2, 1, 64, 64)).shape
        torch.Size([2, 10])
    """
    return ResNet("resnet18", Basic, (2, 2, 2, 2), inputs, outputs)


def resnet34(inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000) -> ResNet:
    """Residual network with 34 layers in basic blocks: 21,797,672 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015.
    """
    return ResNet("resnet34", Basic, (3, 4, 6, 3), inputs, outputs)


def resnet50(inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000) -> ResNet:
    """Residual network with 50 layers in bottleneck blocks: 25,557,032 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015.
    """
    return ResNet("resnet50", Bottleneck, (3, 4, 6, 3), inputs, outputs)


def resnet101(inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000) -> ResNet:
    """Residual network with 101 layers in bottleneck blocks: 44,549,160 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015.
    """
    return ResNet("resnet101", Bottleneck, (3, 4, 23, 3), inputs, outputs)


def resnet152(inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000) -> ResNet:
    """Residual network with 152 layers in bottleneck blocks: 60,192,808 parameters.

    `inputs` is (channels, height, width), of any size.

    Source: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015.
    """
    return ResNet("resnet152", Bottleneck, (3, 8, 36, 3), inputs, outputs)
