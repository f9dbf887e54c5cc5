"""Pooling by name: a window slides over the places of each channel and leaves one number of each."""

from typing import Any, Literal

from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.options import whole
from osler.registry import Registry

Axes = Literal[1, 2, 3]


class MinPool1d(nn.MaxPool1d):
    """The smallest number of each window: (N, C, L) → (N, C, L'); arguments as of `torch.nn.MaxPool1d`."""

    def forward(self, input: Tensor) -> Tensor:
        largest: Tensor = super().forward(-input)
        return -largest


class MinPool2d(nn.MaxPool2d):
    """The smallest number of each window: (N, C, H, W) → (N, C, H', W'); arguments as of `torch.nn.MaxPool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        largest: Tensor = super().forward(-input)
        return -largest


class MinPool3d(nn.MaxPool3d):
    """The smallest number of each window: (N, C, D, H, W) → (N, C, D', H', W')."""

    def forward(self, input: Tensor) -> Tensor:
        largest: Tensor = super().forward(-input)
        return -largest


class SumPool1d(nn.AvgPool1d):
    """The sum of each window: (N, C, L) → (N, C, L')."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0):
        super().__init__(kernel_size, stride or kernel_size, padding)
        self.taps = kernel_size

    def forward(self, input: Tensor) -> Tensor:
        mean: Tensor = super().forward(input)
        return mean * self.taps


class SumPool2d(nn.AvgPool2d):
    """The sum of each window: (N, C, H, W) → (N, C, H', W')."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0):
        super().__init__(kernel_size, stride, padding, divisor_override=1)


class SumPool3d(nn.AvgPool3d):
    """The sum of each window: (N, C, D, H, W) → (N, C, D', H', W')."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0):
        super().__init__(kernel_size, stride, padding, divisor_override=1)


class GlobalAveragePool(nn.Module):
    """The mean of each channel, whatever the size of its maps.

    Formula: y = (1/n) Σ xᵢ over all n places
    Shapes: (N, C, …) → (N, C).
    Use: before the last dense layer, instead of flattening: fewer weights, and pictures of any size.
    Source: Lin, Chen and Yan, "Network in network", 2013.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(tuple(range(2, x.dim())))


class GlobalMaxPool(nn.Module):
    """The largest number of each channel, whatever the size of its maps.

    Formula: y = max xᵢ over all places
    Shapes: (N, C, …) → (N, C).
    Use: where it counts whether something is anywhere, not how much of it: weak localisation, text.
    Source: Oquab, Bottou, Laptev and Sivic, "Is object localization for free?", 2015.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(tuple(range(2, x.dim())))


def max_pool(kernel: int = 2, stride: int | None = None, padding: int = 0, axes: Axes = 2) -> nn.Module:
    """The largest number of each window.

    Formula: y = max xᵢ over the window; size ⌊(n + 2p − f)/s⌋ + 1
    Shapes: (N, C, places …) → (N, C, fewer places …), with 1, 2 or 3 `axes` of places; a padded place never wins.
    Use: the usual choice inside a network: it keeps what was found and forgets where exactly.
    Options: kernel f, stride s (default: the kernel, so that windows do not overlap), padding p of at most f/2.
    Source: Riesenhuber and Poggio, "Hierarchical models of object recognition in cortex", 1999.

        >>> picture = torch.tensor([[0.1, 0, 1, 0.4], [0, 0.5, 0.4, 1.6], [0.3, 0.2, 1.7, 1.1], [0.2, 0.4, 1.1, 1.7]])
        >>> max_pool()(picture[None, None])
        tensor([[[[0.5000, 1.6000],
                  [0.4000, 1.7000]]]])
    """
    return _windowed((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), kernel, stride, padding, axes)


def average_pool(kernel: int = 2, stride: int | None = None, padding: int = 0, axes: Axes = 2) -> nn.Module:
    """The mean of each window.

    Formula: y = (1/f²) Σ xᵢ over the window; size ⌊(n + 2p − f)/s⌋ + 1
    Shapes: (N, C, places …) → (N, C, fewer places …), with 1, 2 or 3 `axes` of places; padded zeros count.
    Use: where every place counts alike, and to shrink pictures without jagged edges.
    Options: kernel f, stride s (default: the kernel, so that windows do not overlap), padding p of at most f/2.
    Source: LeCun et al., "Handwritten digit recognition with a back-propagation network", 1989.
    """
    return _windowed((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), kernel, stride, padding, axes)


def min_pool(kernel: int = 2, stride: int | None = None, padding: int = 0, axes: Axes = 2) -> nn.Module:
    """The smallest number of each window.

    Formula: y = min xᵢ over the window = −max(−xᵢ); size ⌊(n + 2p − f)/s⌋ + 1
    Shapes: (N, C, places …) → (N, C, fewer places …), with 1, 2 or 3 `axes` of places; a padded place never wins.
    Use: where dark things on a bright ground matter; in a network that can turn signs, max_pool does as well.
    Options: kernel f, stride s (default: the kernel, so that windows do not overlap), padding p of at most f/2.
    Source: Serra, "Image analysis and mathematical morphology", 1982 (there it is the erosion).
    """
    return _windowed((MinPool1d, MinPool2d, MinPool3d), kernel, stride, padding, axes)


def sum_pool(kernel: int = 2, stride: int | None = None, padding: int = 0, axes: Axes = 2) -> nn.Module:
    """The sum of each window.

    Formula: y = Σ xᵢ over the window = f²·mean; size ⌊(n + 2p − f)/s⌋ + 1
    Shapes: (N, C, places …) → (N, C, fewer places …), with 1, 2 or 3 `axes` of places.
    Use: to count; its numbers grow with the window, so that weights after it have to be smaller.
    Options: kernel f, stride s (default: the kernel, so that windows do not overlap), padding p of at most f/2.
    Source: Babenko and Lempitsky, "Aggregating deep convolutional features for image retrieval", 2015.
    """
    return _windowed((SumPool1d, SumPool2d, SumPool3d), kernel, stride, padding, axes)


def _windowed(kinds: tuple[Any, Any, Any], kernel: int, stride: int | None, padding: int, axes: Axes) -> nn.Module:
    whole("kernel", kernel, 1)
    whole("padding", padding, 0)
    if stride is not None:
        whole("stride", stride, 1)
    if axes not in (1, 2, 3):
        raise InputError(f"axes must be 1, 2 or 3, got {axes!r}")
    if padding > kernel // 2:
        raise InputError(f"padding must be at most half the kernel ({kernel // 2}), got {padding}")
    module: nn.Module = kinds[axes - 1](kernel, stride, padding)
    return module


POOLINGS: Registry[nn.Module] = Registry(
    "pooling",
    {
        "max_pool": max_pool,
        "average_pool": average_pool,
        "min_pool": min_pool,
        "sum_pool": sum_pool,
        "global_average_pool": GlobalAveragePool,
        "global_max_pool": GlobalMaxPool,
    },
    aliases={
        "max_pooling": "max_pool",
        "avg_pool": "average_pool",
        "average_pooling": "average_pool",
        "mean_pool": "average_pool",
        "min_pooling": "min_pool",
        "sum_pooling": "sum_pool",
        "global_average_pooling": "global_average_pool",
        "global_max_pooling": "global_max_pool",
    },
)
