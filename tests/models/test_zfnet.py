import torch
from torch import nn

from osler.models.zfnet import ZFNet


def test_shapes_of_the_paper() -> None:
    with torch.device("meta"):
        x, maps = torch.zeros(1, 3, 224, 224), []
        for layer in ZFNet().features:
            x = layer(x)
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                maps.append(tuple(x.shape[1:]))
    expected = [(96, 110, 110), (96, 55, 55), (256, 26, 26), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13)]
    assert maps == [*expected, (256, 6, 6)]


def test_parameters_by_hand() -> None:
    layers = [(3 * 49, 96), (96 * 25, 256), (256 * 9, 384), (384 * 9, 384), (384 * 9, 256)]
    layers += [(9216, 4096), (4096, 4096), (4096, 1000)]
    with torch.device("meta"):
        assert sum(p.numel() for p in ZFNet().parameters()) == sum(a * b + b for a, b in layers) == 62_357_608
