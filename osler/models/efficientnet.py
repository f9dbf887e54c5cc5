"""EfficientNet (Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019)."""

from torch import Tensor, nn

from osler.models.blocks import ConvNorm, SqueezeExcitation, check_dropout, check_pictures

# (expansion, kernel, stride of the first, channels, blocks) of each stage.
STAGES = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]
DROPPED = 0.2  # the share of the last block's branches that are left out while training; the first block's is 0


class MBConv(nn.Module):
    """1×1 that widens, depthwise convolution, squeeze-and-excitation, 1×1 that narrows; and a shortcut if shapes agree.

    (N, inputs, H, W) → (N, outputs, H / stride, W / stride). While training, whole samples skip the branch with
    probability `dropped` (Huang et al., "Deep networks with stochastic depth", 2016).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, dropped: float):
        super().__init__()
        inside = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.dropped = dropped
        self.block = nn.Sequential(
            *([ConvNorm(inputs, inside, 1, activation=nn.SiLU)] if expansion > 1 else []),
            ConvNorm(inside, inside, kernel, stride=stride, groups=inside, activation=nn.SiLU),
            SqueezeExcitation(inside, inputs // 4, nn.SiLU, nn.Sigmoid),
            ConvNorm(inside, outputs, 1, activation=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.block(x)
        if not self.shortcut:
            return branch
        if self.training and self.dropped:
            kept = branch.new_empty(len(x), 1, 1, 1).bernoulli_(1 - self.dropped)
            branch = branch * kept / (1 - self.dropped)
        return x + branch


class EfficientNetB0(nn.Module):
    """Sixteen inverted residual blocks, found by search, with squeeze-and-excitation and stochastic depth.

        (N, 3, 224, 224) → conv 3×3/2 (N, 32, 112, 112) → (N, 16, 112, 112) → (N, 24, 56, 56) → (N, 40, 28, 28)
        → (N, 80, 14, 14) → (N, 112, 14, 14) → (N, 192, 7, 7) → (N, 320, 7, 7) → conv 1×1 (N, 1280, 7, 7)
        → average (N, 1280) → (N, outputs)

    At its usual size it has 5,288,548 parameters. `inputs` is (channels, height, width), of any size. `dropout` in
    [0, 1), before the last layer. Weights have torchvision's names and shapes. Raises InputError for impossible inputs
    and options.

    Source: Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019.

        >>> EfficientNetB0(inputs=(1, 32, 32), outputs=10)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, dropout: float = 0.2):
        super().__init__()
        seen, channels = check_pictures("efficientnet_b0", inputs, outputs, 1), 32
        self.features = nn.Sequential(ConvNorm(seen, channels, stride=2, activation=nn.SiLU))
        total, done = sum(blocks for *_, blocks in STAGES), 0
        for expansion, kernel, stride, wider, blocks in STAGES:
            stage = nn.Sequential()
            for number in range(blocks):
                first = stride if number == 0 else 1
                stage.append(MBConv(channels, wider, kernel, first, expansion, DROPPED * done / total))
                channels, done = wider, done + 1
            self.features.append(stage)
        self.features.append(ConvNorm(channels, 4 * channels, 1, activation=nn.SiLU))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(check_dropout("efficientnet_b0", dropout)), nn.Linear(4 * channels, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, 1280, 7, 7)
        logits: Tensor = self.classifier(self.avgpool(x).flatten(1))  # (N, outputs)
        return logits
