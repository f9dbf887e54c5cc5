"""Filters and maps as pictures: what is shown is what the weights and the layers say."""

import copy

import pytest
import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.explain.filters import filters, maps


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 70, 5)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Conv2d(70, 20, 3)
        self.head = nn.Linear(20, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.pool(self.act(self.first(x))))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return Network()


def test_filters_in_colour_are_scaled_by_their_largest_weight(network: nn.Module) -> None:
    found = filters(network)
    assert (found.layer, found.shape, found.note) == ("first", (70, 3, 5, 5), "the first 64 of 70")
    weight = network.get_parameter("first.weight").detach()[7]
    back = (found.pictures[7].double() / 127.5 - 1) * float(weight.abs().max())
    torch.testing.assert_close(back, weight.double(), rtol=0, atol=float(weight.abs().max()) / 250)
    largest = found.pictures.flatten(1)
    assert ((largest.amax(1) == 255) | (largest.amin(1) == 0)).all()


def test_filters_over_many_channels_have_a_row_each(network: nn.Module) -> None:
    found = filters(network, "second")
    assert (found.pictures.shape, found.columns) == ((16 * 16, 1, 3, 3), 16)
    assert found.note == "the first 16 of 20 filters, 16 of 70 channels"
    weight = network.get_parameter("second.weight").detach()
    row = found.pictures[3 * 16 : 4 * 16, 0].double() / 127.5 - 1
    torch.testing.assert_close(row, (weight[3, :16] / weight[3].abs().max()).double(), rtol=0, atol=0.005)


def test_a_filter_of_zeros_is_grey() -> None:
    module = nn.Conv2d(1, 1, 3)
    nn.init.zeros_(module.weight)
    assert filters(module).pictures.unique().tolist() in ([127], [128])


def test_maps_are_what_the_layers_give(network: nn.Module) -> None:
    x = torch.randn(3, 16, 18, generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(network.state_dict())
    found = maps(network, x)
    assert [(f.layer, f.shape) for f in found] == [
        *(("first", (70, 12, 14)), ("pool", (70, 6, 7)), ("second", (20, 4, 5))),
    ]
    with torch.no_grad():
        values = network.get_submodule("first")(x[None])[0, 5]
    expected = (values - values.min()) / (values.max() - values.min()) * 255
    assert (found[0].pictures[5, 0].float() - expected).abs().max() <= 0.51  # not overwritten by the activation
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert [f.layer for f in maps(network, x, ["act"])] == ["act"]


@pytest.mark.parametrize(
    ("layer", "message"),
    [("secnd", "'second'"), ("head", "is a Linear, which has no filters; convolutions are first, second")],
)
def test_layers_without_filters_are_refused(network: nn.Module, layer: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        filters(network, layer)


def test_what_gives_no_maps_is_refused(network: nn.Module) -> None:
    x = torch.zeros(3, 16, 16)
    with pytest.raises(InputError, match="'head' gives none"):
        maps(network, x, ["head"])
    with pytest.raises(InputError, match="cannot take a picture of shape"):
        maps(network, torch.zeros(1, 16, 16))
    dense = nn.Sequential(nn.Flatten(), nn.Linear(9, 2))
    with pytest.raises(InputError, match="this network has none"):
        filters(dense)
    with pytest.raises(InputError, match="any convolution or pool of this network gives none"):
        maps(dense, torch.zeros(1, 3, 3))
