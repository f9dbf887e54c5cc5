"""SqueezeNet (Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size")."""

from functools import partial

import torch
from torch import Tensor, nn

from osler.models.blocks import check_dropout, check_pictures, start


class Fire(nn.Module):
    """Few 1×1 convolutions, then many of 1×1 and 3×3 side by side: (N, inputs, H, W) → (N, 2 · expanded, H, W)."""

    def __init__(self, inputs: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        one, three = self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))
        return torch.cat([one, three], dim=1)


class SqueezeNet(nn.Module):
    """Eight fire modules and no dense layer: AlexNet's accuracy with a fiftieth of its parameters.

    The last convolution gives one map for each output, whose average over the picture is the logit.

    `inputs` is (channels, height, width). `dropout` in [0, 1), before the last convolution. `rectified`: whether the
    last convolution is followed by a ReLU, as published, so that no logit is below 0; by default it is, except for a
    single output, which could never say "no". Weights have torchvision's names and shapes. Raises InputError for
    impossible inputs and options.

    Source: Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer
    parameters and <0.5MB model size", 2016.
    """

    def __init__(
        self,
        name: str,
        features: nn.Sequential,
        outputs: int,
        *,
        dropout: float,
        rectified: bool | None,
    ):
        super().__init__()
        self.features = features
        rectified = outputs > 1 if rectified is None else rectified
        last = nn.Conv2d(512, outputs, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(check_dropout(name, dropout)),
            last,
            nn.ReLU() if rectified else nn.Identity(),
            nn.AdaptiveAvgPool2d(1),
        )
        start(self, nn.init.kaiming_uniform_, nn.init.kaiming_uniform_)
        nn.init.normal_(last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)  # (N, 512, height, width)
        logits: Tensor = self.classifier(x).flatten(1)  # (N, outputs)
        return logits


_pool = partial(nn.MaxPool2d, 3, stride=2, ceil_mode=True)


def squeezenet1_0(
    inputs: tuple[int, ...] = (3, 224, 224),
    outputs: int = 1000,
    *,
    dropout: float = 0.5,
    rectified: bool | None = None,
) -> SqueezeNet:
    """SqueezeNet 1.0, as in the paper: 1,248,424 parameters.

        (N, 3, 224, 224) → conv 7×7/2 (N, 96, 109, 109) → pool (N, 96, 54, 54) → fire ×3 (N, 256, 54, 54)
        → pool (N, 256, 27, 27) → fire ×4 (N, 512, 27, 27) → pool (N, 512, 13, 13) → fire (N, 512, 13, 13)
        → conv 1×1 (N, outputs, 13, 13) → average (N, outputs)

    `inputs` is (channels, height, width), from 21×21 up. `dropout` in [0, 1), before the last convolution.
    `rectified`: a ReLU on the logits; by default there is one unless there is a single output.

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016.

        >>> squeezenet1_0(inputs=(1, 28, 28), outputs=10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """
    features = nn.Sequential(
        nn.Conv2d(check_pictures("squeezenet1_0", inputs, outputs, 21), 96, 7, stride=2),
        nn.ReLU(),
        _pool(),
        Fire(96, 16, 64),
        Fire(128, 16, 64),
        Fire(128, 32, 128),
        _pool(),
        Fire(256, 32, 128),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        _pool(),
        Fire(512, 64, 256),
    )
    return SqueezeNet("squeezenet1_0", features, outputs, dropout=dropout, rectified=rectified)


def squeezenet1_1(
    inputs: tuple[int, ...] = (3, 224, 224),
    outputs: int = 1000,
    *,
    dropout: float = 0.5,
    rectified: bool | None = None,
) -> SqueezeNet:
    """SqueezeNet 1.1, which pools earlier and so takes 2.4 times less work: 1,235,496 parameters.

        (N, 3, 224, 224) → conv 3×3/2 (N, 64, 111, 111) → pool (N, 64, 55, 55) → fire ×2 (N, 128, 55, 55)
        → pool (N, 128, 27, 27) → fire ×2 (N, 256, 27, 27) → pool (N, 256, 13, 13) → fire ×4 (N, 512, 13, 13)
        → conv 1×1 (N, outputs, 13, 13) → average (N, outputs)

    `inputs` is (channels, height, width), from 17×17 up. `dropout` in [0, 1), before the last convolution.
    `rectified`: a ReLU on the logits; by default there is one unless there is a single output.

    Source: Iandola et al., 2016, and the authors' repository (DeepScale/SqueezeNet).
    """
    features = nn.Sequential(
        nn.Conv2d(check_pictures("squeezenet1_1", inputs, outputs, 17), 64, 3, stride=2),
        nn.ReLU(),
        _pool(),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        _pool(),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        _pool(),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )
    return SqueezeNet("squeezenet1_1", features, outputs, dropout=dropout, rectified=rectified)
