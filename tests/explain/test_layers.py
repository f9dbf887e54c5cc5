import pytest
import torch
from torch import nn

import osler
from osler.errors import InputError
from osler.explain.layers import find_layer, last_maps, rim, weighted_layers
from osler.explain.specimen import Specimen
from tests.explain.networks import Conv


def test_layers_by_name() -> None:
    network = Conv()
    assert find_layer(network, "second") is network.second
    with pytest.raises(InputError, match="unknown layer 'secnd'; did you mean 'second'"):
        find_layer(network, "secnd")


@pytest.mark.parametrize(
    ("network", "shape", "name"),
    [
        (Conv(), (1, 1, 8, 8), "second"),
        (osler.model("lenet5", inputs=(1, 28, 28), outputs=10), (1, 1, 28, 28), "s4"),
        (osler.model("convnet", inputs=(1, 28, 28), outputs=2, width=4), (1, 1, 28, 28), "stages.2.relu2"),
        (nn.Sequential(nn.Conv3d(1, 2, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten()), (1, 1, 5, 5, 5), "0"),
    ],
)
def test_the_last_layer_that_gives_maps(network: nn.Module, shape: tuple[int, ...], name: str) -> None:
    assert last_maps(Specimen(network), (torch.zeros(shape),)) == name


def test_layers_with_weights_in_the_order_of_computation() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(3, 2), nn.Linear(4, 3)
            self.unused = nn.Linear(1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x).relu())

    names = [name for name, _ in weighted_layers(Specimen(Backwards()), (torch.zeros(1, 4),))]
    assert names == ["unused", "first", "last"]


def test_what_a_network_puts_around_its_pictures() -> None:
    lenet = Specimen(osler.model("lenet5", inputs=(1, 8, 8), outputs=10))
    assert rim(lenet, (torch.rand(1, 1, 8, 8),), 0) == (12, 12)
    assert rim(Specimen(Conv()), (torch.rand(1, 1, 8, 8),), 0) == (0, 0)
    enlarged = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3), nn.Flatten())
    assert rim(Specimen(enlarged), (torch.rand(1, 1, 8, 8),), 0) == (0, 0)
