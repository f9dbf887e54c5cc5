import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.blocks import ConvNorm, SqueezeExcitation, check_dropout, check_pictures, he, multiple_of_8, start


def test_pictures_are_checked() -> None:
    assert check_pictures("net", (3, 8, 9), 2, 8) == 3
    for inputs in [(3, 7, 9), (3, 9, 7), (0, 9, 9), (9, 9), (1, 3, 9, 9)]:
        with pytest.raises(InputError, match=r"net takes pictures.*at least 8×8, but got \(.*smallest input is \(1, 8"):
            check_pictures("net", inputs, 2, 8)
    with pytest.raises(InputError, match="net: outputs must be at least 1, but got -1"):
        check_pictures("net", (3, 8, 8), -1, 8)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_dropped_is_checked(dropout: float) -> None:
    assert check_dropout("net", 0.5) == 0.5
    with pytest.raises(InputError, match="net: dropout must be at least 0 and below 1"):
        check_dropout("net", dropout)


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(1, 8), (16, 16), (11, 16), (12, 16), (18, 24), (19, 24), (26, 24), (27, 32), (28, 32), (72 / 4, 24)],
)
def test_multiples_of_8_take_no_more_than_a_tenth_away(channels: float, rounded: int) -> None:
    assert multiple_of_8(channels) == rounded


def test_a_depthwise_convolution_begins_with_he_variance_of_its_own_window() -> None:
    torch.manual_seed(0)
    block = ConvNorm(512, 512, groups=512)
    assert block[0].weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
    assert block(torch.zeros(2, 512, 5, 6)).shape == (2, 512, 5, 6)
    assert [type(layer) for layer in ConvNorm(3, 4, 1, activation=None)] == [nn.Conv2d, nn.BatchNorm2d]


def test_squeeze_and_excitation_equals_its_formula() -> None:
    torch.manual_seed(0)
    block = SqueezeExcitation(6, 2, nn.ReLU, nn.Sigmoid)
    x = torch.randn(3, 6, 4, 5)
    squeezed = (x.mean((2, 3)) @ block.fc1.weight[:, :, 0, 0].T + block.fc1.bias).clamp(min=0)
    scale = torch.sigmoid(squeezed @ block.fc2.weight[:, :, 0, 0].T + block.fc2.bias)
    torch.testing.assert_close(block(x), x * scale[:, :, None, None])


def test_start_values() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128), nn.Flatten(), nn.Linear(128, 10))
    start(model, he, nn.init.ones_)
    assert model[0].weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not model[0].bias.any()
    assert not model[3].bias.any()
    assert torch.equal(model[3].weight, torch.ones(10, 128))
