import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.mobilenet_v2 import InvertedResidual, MobileNetV2


def test_shapes_of_the_paper() -> None:
    maps = []
    with torch.device("meta"):
        model = MobileNetV2()
        for block in model.features:
            block.register_forward_hook(lambda _m, _i, out: maps.append(tuple(out.shape[1:])))
        model(torch.zeros(2, 3, 224, 224))
    expected = [(32, 112, 112), (16, 112, 112), *[(24, 56, 56)] * 2, *[(32, 28, 28)] * 3, *[(64, 14, 14)] * 4]
    assert maps == [*expected, *[(96, 14, 14)] * 3, *[(160, 7, 7)] * 3, (320, 7, 7), (1280, 7, 7)]


def test_shortcuts_are_where_shapes_agree() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 4, 4)
    for outputs, stride, shortcut in [(8, 1, True), (16, 1, False), (8, 2, False)]:
        block = InvertedResidual(8, outputs, stride, expansion=6).eval()
        expected = block.conv(x) + x if shortcut else block.conv(x)
        assert torch.equal(block(x), expected)
        assert not isinstance(block.conv[-1], nn.ReLU6)  # the bottleneck is linear


@pytest.mark.parametrize(("width", "expected"), [(0.5, 1_968_680), (1.4, 6_108_776)])
def test_other_widths_have_the_published_number_of_parameters(width: float, expected: int) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in MobileNetV2(width=width).parameters()) == expected


def test_refusal() -> None:
    with pytest.raises(InputError, match="width must be above 0, but got -1"):
        MobileNetV2(width=-1)
