import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.unet import UNet, _joined


def test_shapes_of_the_paper() -> None:
    down, up = [], []
    with torch.device("meta"):
        model = UNet(padding="valid")
        for part, maps in ((model.down, down), (model.up, up)):
            for block in part:
                block.register_forward_hook(lambda _m, _i, out, maps=maps: maps.append(tuple(out.shape[1:])))
        assert model(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)
    assert down == [(64, 568, 568), (128, 280, 280), (256, 136, 136), (512, 64, 64), (1024, 28, 28)]
    assert up == [(512, 52, 52), (256, 100, 100), (128, 196, 196), (64, 388, 388)]


def test_parameters_by_hand() -> None:
    widths = [64, 128, 256, 512, 1024]
    convolutions = [(9 * a, b) for a, b in zip([1, *widths], widths, strict=False)] + [(9 * w, w) for w in widths]
    convolutions += [(9 * 2 * w, w) for w in widths[:-1]] + [(9 * w, w) for w in widths[:-1]]
    convolutions += [(64, 2)]
    upwards = [(4 * 2 * w, w) for w in widths[:-1]]
    with torch.device("meta"):
        total = sum(p.numel() for p in UNet().parameters())
    assert total == sum(a * b + b for a, b in [*convolutions, *upwards])


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (31, 47), (33, 50)])
def test_the_map_has_the_size_of_the_picture(size: tuple[int, int]) -> None:
    assert UNet(inputs=(3, *size), outputs=4, width=2)(torch.zeros(2, 3, *size)).shape == (2, 4, *size)


def test_a_bridge_is_cut_to_its_middle_or_what_comes_up_is_filled() -> None:
    bridge, x = torch.arange(12 * 13.0).reshape(1, 1, 12, 13), torch.ones(1, 1, 4, 5)
    assert torch.equal(_joined(bridge, x), torch.cat([bridge[:, :, 4:8, 4:9], x], dim=1))
    filled = _joined(bridge[:, :, :5, :5], x)
    assert torch.equal(filled[:, :1], bridge[:, :, :5, :5])
    assert torch.equal(filled[:, 1:, :4], x)
    assert not filled[:, 1:, 4].any()


def test_the_bridges_carry_what_the_bottom_lost() -> None:
    model = UNet(inputs=(1, 32, 32), outputs=2, width=2).eval()
    for widen in model.widen:
        nn.init.zeros_(widen.weight)
    x = torch.zeros(1, 1, 32, 32)
    before = model(x)
    x[0, 0, 5, 5] = 1.0
    assert (model(x) != before).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "reflect"}, "padding must be 'same' or 'valid', but got 'reflect'"),
        ({"width": 0}, "width must be at least 1, but got 0"),
        ({"padding": "valid", "inputs": (1, 187, 200)}, r"at least 188×188, but got \(1, 187, 200\)"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        UNet(**options)
