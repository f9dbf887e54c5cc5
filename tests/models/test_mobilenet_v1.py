import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.mobilenet_v1 import MobileNetV1


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_shapes_of_the_paper() -> None:
    maps = []
    with torch.device("meta"):
        model = MobileNetV1()
        for block in model.features:
            block.register_forward_hook(lambda _m, _i, out: maps.append(tuple(out.shape[1:])))
        model(torch.zeros(2, 3, 224, 224))
    expected = [(32, 112, 112), (64, 112, 112), *[(128, 56, 56)] * 2, *[(256, 28, 28)] * 2]
    assert maps == [*expected, *[(512, 14, 14)] * 6, *[(1024, 7, 7)] * 2]
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == 27


@pytest.mark.parametrize(("width", "expected"), [(0.25, 470_072), (0.5, 1_331_592)])
def test_narrower_ones_have_the_published_number_of_parameters(width: float, expected: int) -> None:
    with torch.device("meta"):  # those that Keras trains
        assert parameters(MobileNetV1(width=width)) == expected


def test_refusal() -> None:
    with pytest.raises(InputError, match="width must be above 0, but got 0"):
        MobileNetV1(width=0)
