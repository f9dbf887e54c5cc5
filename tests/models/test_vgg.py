import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models import vgg


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
@pytest.mark.parametrize("suffix", ["", "_bn"])
def test_as_many_layers_as_its_name_says(depth: int, suffix: str) -> None:
    with torch.device("meta"):
        model = getattr(vgg, f"vgg{depth}{suffix}")()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) + sum(isinstance(m, nn.Linear) for m in model.modules()) == depth
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == (len(convolutions) if suffix else 0)


def test_shapes_of_the_curriculum() -> None:
    with torch.device("meta"):
        x, maps = torch.zeros(1, 3, 224, 224), []
        for layer in vgg.vgg16().features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(tuple(x.shape[1:]))
    assert maps == [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]


def test_signals_neither_fade_nor_explode() -> None:
    torch.manual_seed(0)
    model = vgg.vgg19(inputs=(3, 96, 96), outputs=2, hidden=8)
    convolutions = [m for m in model.features if isinstance(m, nn.Conv2d)]
    sizes = []
    for convolution in convolutions:
        convolution.register_forward_hook(lambda _m, _i, out: sizes.append(out.detach().std().item()))
    model(torch.randn(2, 3, 96, 96))
    assert all(0.3 < size / sizes[0] < 3 for size in sizes)


def test_fewer_hidden_units() -> None:
    model = vgg.vgg11(inputs=(3, 32, 32), outputs=2, hidden=8)
    assert [tuple(m.weight.shape) for m in model.classifier if isinstance(m, nn.Linear)] == [(8, 25088), (8, 8), (2, 8)]
    with pytest.raises(InputError, match="vgg11: hidden must be at least 1, but got 0"):
        vgg.vgg11(hidden=0)
