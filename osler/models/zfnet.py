"""ZFNet (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2013)."""

from torch import Tensor, nn

from osler.models.blocks import check_dropout, check_pictures, dense_layers

SMALLEST = 53  # a pixel is left after the last pool


class ZFNet(nn.Module):
    """AlexNet with a smaller window and stride at the start, as looking at its filters suggested; won ImageNet in 2013.

        (N, 3, 224, 224) → conv 7×7/2 (N, 96, 110, 110) → pool 3×3/2, norm (N, 96, 55, 55) → conv 5×5/2 (N, 256, 26, 26)
        → pool, norm (N, 256, 13, 13) → conv 3×3 (N, 384, 13, 13) → conv 3×3 (N, 384, 13, 13) → conv 3×3
        (N, 256, 13, 13) → pool (N, 256, 6, 6) → 4096 → 4096 → (N, outputs)

    At its usual size it has 62,357,608 parameters. `inputs` is (channels, height, width), from 53×53 up. `dropout` in
    [0, 1), before both hidden dense layers. Raises InputError for impossible inputs and options.

    Deviations: contrasts are normalised as in AlexNet, across maps (the paper doesn't say how); other sizes than the
    paper's are averaged to 6×6 before the dense layers; weights begin as torch has it (not from N(0, 0.01²)); filters
    are not clipped to a length while training.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2013.

        >>> ZFNet(inputs=(1, 64, 64), outputs=10)(torch.zeros(2, 1, 64, 64)).shape
        torch.Size([2, 10])
    """

    def __init__(self, inputs: tuple[int, ...] = (3, 224, 224), outputs: int = 1000, *, dropout: float = 0.5):
        super().__init__()
        channels = check_pictures("zfnet", inputs, outputs, SMALLEST)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 96, kernel_size=7, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0),
            nn.Conv2d(96, 256, kernel_size=5, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0),
            nn.Conv2d(256, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = dense_layers(256 * 6 * 6, outputs, check_dropout("zfnet", dropout))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x)).flatten(1)  # (N, 9216)
        logits: Tensor = self.classifier(x)  # (N, outputs)
        return logits
