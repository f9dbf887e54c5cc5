"""Receptive fields against what gradients say: which pixels of the input a number in the middle depends on."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from osler.models import MODELS
from osler.nn.receptive_field import ReceptiveFields
from osler.nn.trace import layers


def positive(module: nn.Module) -> nn.Module:
    """Every weight above zero, so that no way through the network cancels another."""
    for tensor in (*module.parameters(), *(b for name, b in module.named_buffers() if "running_mean" in name)):
        tensor.data = torch.rand_like(tensor) + 0.1
    return module.double().eval()


def smooth(module: nn.Module) -> nn.Module:
    """With averages instead of maxima, and nothing clipped: every pixel that can count does."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        elif isinstance(child, nn.ReLU | nn.Tanh):
            setattr(module, name, nn.Identity())
        else:
            smooth(child)
    return module


def seen(module: nn.Module, size: tuple[int, ...], channels: int = 1) -> tuple[int, ...]:
    """The largest extents of pixels with a gradient, over a few outputs near the middle."""
    x = torch.ones(1, channels, *size, dtype=torch.float64, requires_grad=True)
    y = module(x)[0].sum(0)
    middle = [n // 2 for n in y.shape]
    extents = [0] * len(size)
    for shift in range(min(8, *(n - m for n, m in zip(y.shape, middle, strict=True)))):
        [gradient] = torch.autograd.grad(y[tuple(m + shift for m in middle)], [x], retain_graph=True)
        for axis in range(len(size)):
            where = gradient[0].sum(0).movedim(axis, 0).reshape(size[axis], -1).sum(1).nonzero()
            extents[axis] = max(extents[axis], int(where.max() - where.min() + 1))
    return tuple(extents)


def claimed(
    module: nn.Module, size: tuple[int, ...], channels: int = 1
) -> tuple[tuple[int | None, ...], tuple[float, ...]]:
    x = torch.ones(1, channels, *size, dtype=torch.float64)
    with ReceptiveFields(x) as fields, torch.no_grad():
        y = module(x)
    return fields.of(y)


class Branches(nn.Module):
    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Upwards(nn.Module):
    """A step down and up again beside the way straight on, as U-Net has it."""

    def __init__(self, up: nn.Module) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 1, 3, padding=1))
        self.up = up
        self.last = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.up(self.down(x)) + x)


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "kernels": (nn.Sequential(nn.Conv2d(1, 2, 5), nn.AvgPool2d(2), nn.Conv2d(2, 2, (3, 1))), (40, 44)),
    "strides": (nn.Sequential(nn.Conv2d(1, 2, 7, 2, 3), nn.AvgPool2d(3, 2, 1), nn.Conv2d(2, 1, 3, 1, 1)), (96, 96)),
    "dilation": (
        nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2), nn.Conv2d(1, 1, 3, dilation=(4, 1), stride=2)),
        (50, 50),
    ),
    "same": (
        nn.Sequential(nn.Conv2d(1, 1, 5, padding="same"), nn.Conv2d(1, 1, 3, padding="same", dilation=3)),
        (40, 40),
    ),
    "line": (nn.Sequential(nn.Conv1d(1, 2, 5, 2), nn.AvgPool1d(3), nn.Conv1d(2, 1, 4)), (120,)),
    "volume": (nn.Sequential(nn.Conv3d(1, 1, 3, 2), nn.AvgPool3d(2), nn.Conv3d(1, 1, (1, 2, 3))), (25, 25, 27)),
    "reflected": (
        nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), nn.ReplicationPad2d(1)),
        (20, 20),
    ),
    "branches": (Branches(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 3, padding=1)), (20, 20)),
    "aside": (Branches(nn.ZeroPad2d((2, 0, 0, 0)), nn.ZeroPad2d((0, 2, 0, 0))), (20, 20)),
    "transposed": (Upwards(nn.ConvTranspose2d(1, 1, 2, 2)), (32, 32)),
    "wide_transposed": (nn.Sequential(nn.AvgPool2d(2), nn.ConvTranspose2d(1, 1, 5, 2, 2, output_padding=1)), (32, 32)),
    "nearest": (Upwards(nn.Upsample(scale_factor=2)), (32, 32)),
    "linear": (Upwards(nn.Upsample(scale_factor=2, mode="bilinear")), (32, 32)),
    "adaptive": (nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(6)), (38, 38)),
    "normalised": (nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.LocalResponseNorm(3)), (20, 20)),
    "shuffled": (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ChannelShuffle(2), nn.Softmax(1)), (20, 20)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_small_network_sees_what_its_gradient_says(name: str) -> None:
    torch.manual_seed(0)
    module, size = NETWORKS[name]
    assert claimed(positive(module), size)[0] == seen(module, size)


@pytest.mark.parametrize(
    ("name", "inputs", "options"),
    [("lenet5", (1, 64, 64), {}), ("resnet20", (3, 128, 128), {}), ("unet", (1, 256, 256), {"width": 1})],
)
def test_a_network_sees_what_its_gradient_says(name: str, inputs: tuple[int, ...], options: dict[str, int]) -> None:
    torch.manual_seed(0)
    model = smooth(positive(MODELS.create(name, inputs=inputs, outputs=2, **options)))
    last = {"lenet5": "s4", "resnet20": "layer3", "unet": "output"}[name]
    kept: list[Tensor] = []
    model.get_submodule(last).register_forward_hook(lambda *call: kept.append(call[2]))

    class Part(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            kept.clear()
            model(x)
            return kept[0]

    assert claimed(Part(), inputs[1:], inputs[0])[0] == seen(Part(), inputs[1:], inputs[0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2)), max_size=3))
def test_any_chain_of_windows(windows: list[tuple[int, int, int, int]]) -> None:
    chain = nn.Sequential(*(nn.Conv1d(1, 1, f, s, min(p, f - 1), d) for f, s, d, p in windows))
    size, jump = 1, 1.0
    for f, s, d, _ in windows:  # Araujo et al., equation 1 and 2
        size, jump = size + (f - 1) * d * jump, jump * s
    assume(size < 60)
    torch.manual_seed(0)
    assert claimed(positive(chain), (240,)) == ((size,), (jump,))
    assert seen(chain, (240,)) == (size,)


# Araujo et al., table of convolutional networks; ResNets with the stride in the 3×3 convolution have smaller fields.
@pytest.mark.parametrize(
    ("name", "layer", "size", "jump"),
    [("alexnet", "avgpool", 195, 32), ("vgg16", "avgpool", 212, 32), ("mobilenet_v1", "features.13.1.2", 315, 32)],
)
def test_published_sizes(name: str, layer: str, size: int, jump: int) -> None:
    with torch.device("meta"):
        model, x = MODELS.create(name, inputs=(3, 227, 227)), torch.zeros(1, 3, 227, 227)
    row = next(r for r in layers(model, x) if r.name == layer)
    assert (row.receptive_field, row.jump) == ((size, size), (jump, jump))


def test_dense_layers_and_global_pools_see_everything() -> None:
    for last in (
        nn.Sequential(nn.Flatten(), nn.Linear(36, 2)),
        nn.AdaptiveMaxPool2d(1),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 3)),
        nn.GroupNorm(1, 1),
    ):
        assert claimed(nn.Sequential(nn.Conv2d(1, 1, 3), last).double(), (8, 8))[0] == (None, None)

    class Squeezed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean((2, 3), keepdim=True).sigmoid()

    assert claimed(nn.Sequential(nn.Conv2d(1, 1, 3, 2), Squeezed()).double(), (8, 8)) == ((None, None), (2.0, 2.0))


def test_what_cannot_be_followed_is_not_known() -> None:
    class Cropped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.pad(x[:, :, 2:-1, 3:], (1, 0)).squeeze(1).unsqueeze(1)

    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mT

    class Written(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            out = torch.zeros_like(x)
            out[:, :, :4] = x[:, :, 4:]
            return out

    class Tokens(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2).mT @ x.flatten(2)

    assert claimed(Cropped(), (8, 8)) == ((1, 1), (1.0, 1.0))
    for module in (Turned(), Written(), Tokens(), nn.Linear(8, 2).double()):
        assert claimed(module, (8, 8)) == ((), ())
    x = torch.zeros(2, 5)
    with ReceptiveFields(x) as fields:
        y = x + 1
    assert fields.of(y) == ((), ())
