import pytest
import torch

from osler.models.efficientnet import EfficientNetB0, MBConv


def test_shapes_of_the_paper() -> None:
    maps = []
    with torch.device("meta"):
        model = EfficientNetB0()
        for stage in model.features:
            stage.register_forward_hook(lambda _m, _i, out: maps.append(tuple(out.shape[1:])))
        model(torch.zeros(2, 3, 224, 224))
    expected = [(32, 112, 112), (16, 112, 112), (24, 56, 56), (40, 28, 28), (80, 14, 14), (112, 14, 14)]
    assert maps == [*expected, (192, 7, 7), (320, 7, 7), (1280, 7, 7)]


def test_later_blocks_are_left_out_more_often() -> None:
    with torch.device("meta"):
        shares = [block.dropped for block in EfficientNetB0().modules() if isinstance(block, MBConv)]
    assert shares == pytest.approx([0.2 * i / 16 for i in range(16)])


def test_a_branch_is_left_out_for_whole_samples_and_keeps_its_mean() -> None:
    torch.manual_seed(0)
    block = MBConv(4, 4, kernel=3, stride=1, expansion=2, dropped=0.25)
    x = torch.randn(4000, 4, 1, 1)
    block.eval()
    branch = block(x) - x
    block.train()
    for module in block.block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    ratio = ((block(x) - x) / branch).flatten(1)
    left_out = ratio.abs().amax(1) < 1e-3
    torch.testing.assert_close(ratio[~left_out], torch.full_like(ratio[~left_out], 4 / 3), rtol=1e-2, atol=1e-2)
    assert left_out.float().mean().item() == pytest.approx(0.25, abs=0.03)
