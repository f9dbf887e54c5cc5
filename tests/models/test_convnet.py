import pytest
import torch
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.convnet import ConvNet


def test_the_shapes_its_docstring_shows():
    model = ConvNet(inputs=(1, 28, 28), outputs=10)
    shapes = []
    for stage in model.stages:
        stage.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert shapes == [(32, 14, 14), (64, 7, 7), (128, 3, 3)]


@pytest.mark.parametrize(("side", "last"), [(8, 4), (11, 5), (12, 3), (32, 4), (64, 4), (96, 3), (224, 3)])
def test_stages_halve_as_long_as_three_pixels_remain(side, last):
    model = ConvNet(inputs=(3, side, side), outputs=2, width=2)
    assert model.stages(torch.zeros(1, 3, side, side)).shape[2:] == (last, last)
    assert max(p.shape[0] for p in model.parameters()) <= 8  # four times the width


def test_it_equals_the_formula():
    model = ConvNet(inputs=(2, 9, 8), outputs=3, width=4).eval()
    w = model.state_dict()
    x = torch.randn(5, 2, 9, 8, generator=torch.Generator().manual_seed(0))

    def normalized(h, name):
        mean, variance, scale, shift = (
            w[f"stages.0.{name}.{k}"][:, None, None] for k in ("running_mean", "running_var", "weight", "bias")
        )
        return scale * (h - mean) / (variance + 1e-5).sqrt() + shift

    h = F.max_pool2d(F.conv2d(x, w["stages.0.conv1.weight"], padding=1), 2)
    h = normalized(h, "norm1").clamp(min=0)
    h = normalized(F.conv2d(h, w["stages.0.conv2.weight"], padding=1), "norm2").clamp(min=0)
    torch.testing.assert_close(model(x), h.mean((2, 3)) @ w["output.weight"].T + w["output.bias"])


def test_convolutions_begin_with_he_variance():
    torch.manual_seed(0)
    weight = ConvNet(inputs=(1, 28, 28), outputs=2, width=64).stages[1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)


def test_channels_last_and_bfloat16():
    torch.manual_seed(0)
    model = ConvNet(inputs=(3, 16, 16), outputs=4, width=8).eval()
    x = torch.randn(4, 3, 16, 16)
    expected = model(x)
    model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(x), expected)
    with torch.autocast("cpu", torch.bfloat16):
        low = model(x)
    torch.testing.assert_close(low.float(), expected, atol=0.05, rtol=0.05)


def test_dropout_acts_only_in_training():
    model = ConvNet(inputs=(1, 8, 8), outputs=2, dropout=0.5)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": (1, 7, 28)}, r"at least 8×8, but got \(1, 7, 28\); the smallest input is \(1, 8, 8\)"),
        ({"inputs": (64,)}, r"but got \(64,\)"),
        ({"inputs": (1, 8, 8), "width": 0}, "width must be at least 1, but got 0"),
        ({"inputs": (1, 8, 8), "dropout": -0.1}, "dropout must be at least 0"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        ConvNet(outputs=2, **options)
