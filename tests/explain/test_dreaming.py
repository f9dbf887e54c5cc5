import pytest
import torch
from torch import nn

import osler
from osler.errors import InputError
from osler.explain import dream, maximise
from tests.explain.networks import SIDE, SQUARE, Conv, Located


def test_a_unit_of_a_linear_layer_wants_its_own_weights() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 3))
    found = maximise(network, "0:2", (6,), bounds=(-1.0, 1.0))
    weight = network[0].weight[2].detach()
    assert torch.equal(found.picture[0].sign(), weight.sign())
    large = weight.abs() > 0.5 * weight.abs().mean()
    torch.testing.assert_close(found.picture[0][large].abs(), torch.ones(int(large.sum())))  # a corner of the box


@pytest.mark.parametrize("layer", ["first", "second", "second:3"])
def test_a_dream_excites_its_layer_five_times_as_much(located: Located, layer: str) -> None:
    found = dream(located.network, located.pictures[:2], layer, bounds=(-1.0, 2.0))
    assert found.sizes == ((10, 10), (14, 14), (20, 20))
    assert found.picture.shape == (2, 1, SIDE, SIDE)
    assert found.picture.min() >= -1
    assert found.picture.max() <= 2
    assert found.after >= 5 * abs(found.before)
    again = dream(located.network, located.pictures[:2], layer, bounds=(-1.0, 2.0))
    assert torch.equal(found.picture, again.picture)


def test_what_the_detector_of_squares_wants_is_bright(located: Located) -> None:
    found = maximise(located.network, "output:1", (1, SIDE, SIDE), bounds=(-1.0, 2.0))
    assert found.after > located.network(located.pictures)[:, 1].max()
    blocks = nn.functional.avg_pool2d(found.picture, SQUARE, stride=1)
    assert blocks.max() > 1  # somewhere as bright as a square


def test_smoothness_lowers_the_total_variation() -> None:
    torch.manual_seed(0)
    network, x = Conv(), torch.rand(1, 1, 24, 24)
    rough, smooth = (dream(network, x, "second", smooth=s, bounds=(0.0, 1.0)).picture for s in (0.0, 1.0))
    assert smooth.diff(dim=3).square().sum() < 0.8 * rough.diff(dim=3).square().sum()


def test_a_network_of_one_size_dreams_where_its_layers_allow() -> None:
    network = osler.model("lenet5", inputs=(1, 32, 32), outputs=10)
    x = torch.rand(1, 1, 32, 32)
    # What comes after the layer is not computed; 12 pixels are too few for two convolutions of 5.
    assert dream(network, x, "c3", steps=2).sizes == ((16, 16), (23, 23), (32, 32))
    assert dream(network, x, "output:3", steps=2).sizes == ((32, 32),)


def test_the_network_stays_as_it_was() -> None:
    network = Conv().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    numbers = torch.get_rng_state()
    dream(network, torch.ones(1, 1, 16, 16), "first", steps=2)
    with pytest.raises(InputError, match="cannot take inputs of shape"):
        dream(network, torch.ones(1, 2, 16, 16), "first")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), numbers)
    assert network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks for m in network.modules())


@pytest.mark.parametrize(
    ("layer", "options", "said"),
    [
        ("secnd", {}, "did you mean 'second'"),
        ("second:16", {}, r"'second:16' does not exist: the layer gives \(16, 8, 8\) per sample"),
        ("output:0,1", {}, "does not exist"),
        ("second:x", {}, "given by numbers"),
        ("second", {"steps": 0}, "steps must be above 0"),
        ("second", {"octaves": 0}, "at least 1 octave"),
        ("second", {"jitter": -1}, "jitter must be at least 0"),
    ],
)
def test_bad_wishes(layer: str, options: dict[str, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        dream(Conv(), torch.rand(1, 1, 16, 16), layer, **options)


def test_what_cannot_be_dreamt() -> None:
    with pytest.raises(InputError, match="pictures to dream of have shape"):
        dream(nn.Linear(3, 2), torch.ones(1, 3), "0")
    with pytest.raises(InputError, match="or a run can dream"):
        maximise("lenet5", "c1", (1, 32, 32))
    unused = nn.Sequential(nn.Linear(3, 2))
    unused.register_module("aside", nn.ModuleList([nn.Linear(1, 1)]))
    with pytest.raises(InputError):
        maximise(unused, "aside.0", (3,))
