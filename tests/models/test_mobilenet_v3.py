import torch
from torch import nn

from osler.models.mobilenet_v3 import MobileNetV3Small


def test_shapes_of_the_paper() -> None:
    maps = []
    with torch.device("meta"):
        model = MobileNetV3Small()
        for block in model.features:
            block.register_forward_hook(lambda _m, _i, out: maps.append(tuple(out.shape[1:])))
        model(torch.zeros(2, 3, 224, 224))
    expected = [(16, 112, 112), (16, 56, 56), *[(24, 28, 28)] * 2, *[(40, 14, 14)] * 3, *[(48, 14, 14)] * 2]
    assert maps == [*expected, *[(96, 7, 7)] * 3, (576, 7, 7)]


def test_nine_of_eleven_blocks_squeeze() -> None:
    with torch.device("meta"):
        model = MobileNetV3Small()
    assert sum(isinstance(m, nn.Hardsigmoid) for m in model.modules()) == 9
    without = [i for i, block in enumerate(model.features[1:-1], start=1) if not block.shortcut]
    assert without == [1, 2, 4, 7, 9]  # where the map gets smaller or the channels more
