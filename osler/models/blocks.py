"""What several convolutional networks are made of."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from osler.errors import InputError

Activation = Callable[[], nn.Module]
Norm = Callable[[int], nn.Module]

# He et al. (2015): the variance of what goes forward stays level, or that of the gradients that come back.
he: Callable[[Tensor], Tensor] = partial(nn.init.kaiming_normal_, nonlinearity="relu")
he_by_outputs: Callable[[Tensor], Tensor] = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")


def check_pictures(name: str, inputs: Sequence[int], outputs: int, smallest: int) -> int:
    """The number of channels of inputs (channels, height, width).

    Raises InputError, which names the smallest size, for inputs that are no picture or too small, and for no outputs.
    """
    if len(inputs) != 3 or inputs[0] < 1 or min(inputs[1:]) < smallest:
        raise InputError(
            f"{name} takes pictures (channels, height, width) of at least {smallest}×{smallest}, but got "
            f"{tuple(inputs)}; the smallest input is (1, {smallest}, {smallest})"
        )
    if outputs < 1:
        raise InputError(f"{name}: outputs must be at least 1, but got {outputs!r}")
    return inputs[0]


def check_dropout(name: str, dropout: float) -> float:
    """The probability as it is; InputError outside [0, 1)."""
    if not 0 <= dropout < 1:
        raise InputError(f"{name}: dropout must be at least 0 and below 1, but got {dropout!r}")
    return dropout


def dense_layers(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """The end of AlexNet and ZFNet: (N, inputs) → 4096 → 4096 → (N, outputs), dropout before both hidden layers."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(inputs, 4096),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, outputs),
    )


class ConvNorm(nn.Sequential):
    """Convolution without bias → batch norm → activation (none where it is None); the map keeps its size / stride."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int | tuple[int, int] = 1,
        groups: int = 1,
        activation: Activation | None = nn.ReLU,
        norm: Norm = nn.BatchNorm2d,
    ):
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        he(convolution.weight)
        super().__init__(convolution, norm(outputs), *([] if activation is None else [activation()]))


class BasicConv(nn.Module):
    """Convolution without bias → batch norm → ReLU, by the names that the Inception networks give them."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, bias=False)
        he(self.conv.weight)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn(self.conv(x)))
        return x


class SqueezeExcitation(nn.Module):
    """Each channel times a number in (0, 1), which is computed from the averages of all channels.

    Source: Hu, Shen and Sun, "Squeeze-and-excitation networks", 2018.
    """

    def __init__(self, channels: int, squeezed: int, activation: Activation, gate: Activation):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.fc2(self.activation(self.fc1(self.avgpool(x)))))  # (N, C, 1, 1)
        return scale * x


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8, that takes no more than a tenth away."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def start(module: nn.Module, convolution: Callable[[Tensor], Tensor], linear: Callable[[Tensor], Tensor]) -> None:
    """New start values: these rules for the weights of convolutions and linear layers, and biases of 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            (linear if isinstance(layer, nn.Linear) else convolution)(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
