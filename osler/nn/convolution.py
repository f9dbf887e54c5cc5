"""Convolutions by name, as modules of torch: what the notes call them, and how they are made."""

from collections import OrderedDict

from torch import nn

from osler.nn.options import whole
from osler.registry import Registry


def conv1d(inputs: int = 8, outputs: int = 16, kernel: int = 3, stride: int = 1, padding: int = 0) -> nn.Module:
    """A window slides along a line: series, sound, text.

    Formula: y = b + Σ w·x over the window and all channels; size ⌊(n + 2p − f)/s⌋ + 1; weights C·C'·f + C'
    Shapes: (N, C, n) → (N, C', n').
    Use: series, sound and text, where neighbours belong together.
    Options: kernel f, stride s, padding p; inputs C, outputs C'.
    Source: Waibel et al., "Phoneme recognition using time-delay neural networks", 1989.
    """
    return nn.Conv1d(*_sizes(inputs, outputs, kernel), stride, padding)


def conv2d(inputs: int = 8, outputs: int = 16, kernel: int = 3, stride: int = 1, padding: int = 0) -> nn.Module:
    """A window slides over pictures of one or several channels.

    Formula: y = b + Σ w·x over the window and all channels; size ⌊(n + 2p − f)/s⌋ + 1; weights C·C'·f² + C'
    Shapes: (N, C, n, m) → (N, C', n', m').
    Use: pictures, where the same thing may be anywhere.
    Options: kernel f, stride s, padding p; inputs C, outputs C'.
    Source: LeCun et al., "Backpropagation applied to handwritten zip code recognition", 1989.
    """
    return nn.Conv2d(*_sizes(inputs, outputs, kernel), stride, padding)


def conv3d(inputs: int = 8, outputs: int = 16, kernel: int = 3, stride: int = 1, padding: int = 0) -> nn.Module:
    """A window slides through volumes or films.

    Formula: y = b + Σ w·x over the window and all channels; size ⌊(n + 2p − f)/s⌋ + 1; weights C·C'·f³ + C'
    Shapes: (N, C, n, m, l) → (N, C', n', m', l').
    Use: volumes and short films; it takes f times the work of conv2d for each slice.
    Options: kernel f, stride s, padding p; inputs C, outputs C'.
    Source: Ji, Xu, Yang and Yu, "3D convolutional neural networks for human action recognition", 2013.
    """
    return nn.Conv3d(*_sizes(inputs, outputs, kernel), stride, padding)


def pointwise(inputs: int = 8, outputs: int = 16) -> nn.Module:
    """A 1×1 convolution: a dense layer from channels to channels, the same at every place.

    Formula: y = b + Σ w·x over the channels of one place; weights C·C' + C'
    Shapes: (N, C, n, m) → (N, C', n, m).
    Use: to have fewer or more channels cheaply, as Inception and ResNet do before and after their 3×3 convolutions.
    Source: Lin, Chen and Yan, "Network in network", 2013.
    """
    return nn.Conv2d(*_sizes(inputs, outputs, 1))


def depthwise_separable(inputs: int = 8, outputs: int = 16, kernel: int = 3, stride: int = 1) -> nn.Module:
    """A window for each channel by itself, then a 1×1 convolution that mixes the channels.

    Formula: weights C·f² + C·C' + C + C', instead of C·C'·f² + C'
    Shapes: (N, C, n, m) → (N, C', n', m'), padded to keep the size where the stride is 1.
    Use: about 1/C' + 1/f² of the multiply-adds of a full convolution: networks for telephones (MobileNet, Xception).
    Options: kernel f, stride s; inputs C, outputs C'.
    Source: Sifre and Mallat, 2014; Chollet, "Xception", 2017; Howard et al., "MobileNets", 2017.
    """
    channels, wanted, kernel = _sizes(inputs, outputs, kernel)
    return nn.Sequential(
        OrderedDict(
            depthwise=nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels),
            pointwise=nn.Conv2d(channels, wanted, 1),
        )
    )


def _sizes(inputs: int, outputs: int, kernel: int) -> tuple[int, int, int]:
    return whole("inputs", inputs, 1), whole("outputs", outputs, 1), whole("kernel", kernel, 1)


CONVOLUTIONS: Registry[nn.Module] = Registry(
    "convolution",
    {
        "conv1d": conv1d,
        "conv2d": conv2d,
        "conv3d": conv3d,
        "pointwise": pointwise,
        "depthwise_separable": depthwise_separable,
    },
    aliases={"conv1x1": "pointwise", "1x1": "pointwise", "1×1": "pointwise", "separable": "depthwise_separable"},
)
