import pytest
import torch

from osler.errors import InputError
from osler.nn.convolution import CONVOLUTIONS
from osler.nn.trace import layers


@pytest.mark.parametrize(
    ("name", "axes", "parameters"),
    [
        ("conv1d", 1, 8 * 16 * 3 + 16),
        ("conv2d", 2, 8 * 16 * 9 + 16),
        ("conv3d", 3, 8 * 16 * 27 + 16),
        ("pointwise", 2, 8 * 16 + 16),
        ("depthwise_separable", 2, 8 * 9 + 8 + 8 * 16 + 16),
    ],
)
def test_their_weights_by_hand(name: str, axes: int, parameters: int) -> None:
    module = CONVOLUTIONS.create(name)
    assert sum(p.numel() for p in module.parameters()) == parameters
    assert module(torch.zeros(2, 8, *[6] * axes)).shape[:2] == (2, 16)


def test_a_separable_convolution_is_a_full_one_of_rank_one() -> None:
    torch.manual_seed(0)
    module = CONVOLUTIONS.create("depthwise_separable", inputs=3, outputs=4).double()
    depthwise, pointwise = module
    full = torch.nn.Conv2d(3, 4, 3, padding=1).double()
    full.weight.data = pointwise.weight * depthwise.weight.squeeze(1)  # (4, 3, 1, 1) · (3, 3, 3)
    full.bias.data = pointwise.bias + pointwise.weight.flatten(1) @ depthwise.bias
    x = torch.randn(2, 3, 6, 6).double()
    torch.testing.assert_close(module(x), full(x))


def test_it_takes_the_share_of_multiply_adds_that_its_page_says() -> None:
    x = torch.zeros(1, 32, 10, 10)
    work = {
        name: sum(r.multiply_adds or 0 for r in layers(CONVOLUTIONS.create(name, inputs=32, outputs=64, **how), x))
        for name, how in (("depthwise_separable", {}), ("conv2d", {"padding": 1}))
    }
    assert work["depthwise_separable"] / work["conv2d"] == pytest.approx(1 / 64 + 1 / 9)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="outputs must be a whole number of at least 1, got 0"):
        CONVOLUTIONS.create("conv2d", outputs=0)
