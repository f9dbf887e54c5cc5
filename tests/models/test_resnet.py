import pytest
import torch
from torch import nn
from torch.nn import functional as F

from osler.models import resnet
from osler.models.resnet import Basic, Bottleneck


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_as_many_layers_as_its_name_says(depth: int) -> None:
    with torch.device("meta"):
        model = getattr(resnet, f"resnet{depth}")()
    counted = [m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "down" not in name]
    assert len(counted) == depth


@pytest.mark.parametrize(("name", "expansion"), [("resnet18", 1), ("resnet50", 4)])
def test_shapes_of_the_paper(name: str, expansion: int) -> None:
    maps = []
    with torch.device("meta"):
        model = getattr(resnet, name)()
        for part in (model.conv1, model.layer1, model.layer2, model.layer3, model.layer4):
            part.register_forward_hook(lambda _m, _i, out: maps.append(tuple(out.shape[1:])))
        model(torch.zeros(2, 3, 224, 224))
    stages = [(64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
    assert maps == [(64, 112, 112), *((expansion * c, h, w) for c, h, w in stages)]


def normalized(x: torch.Tensor, w: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return F.batch_norm(x, *(w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))


def test_blocks_equal_the_formula() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 7, 6)
    block = Basic(8, 16, stride=2).eval()
    w = block.state_dict()
    h = normalized(F.conv2d(x, w["conv1.weight"], stride=2, padding=1), w, "bn1").clamp(min=0)
    h = normalized(F.conv2d(h, w["conv2.weight"], padding=1), w, "bn2")
    h = h + normalized(F.conv2d(x, w["downsample.0.weight"], stride=2), w, "downsample.1")
    torch.testing.assert_close(block(x), h.clamp(min=0))

    block = Bottleneck(8, 2, stride=1).eval()  # 4 · 2 channels come out: nothing to fit
    w = block.state_dict()
    h = normalized(F.conv2d(x, w["conv1.weight"]), w, "bn1").clamp(min=0)
    h = normalized(F.conv2d(h, w["conv2.weight"], padding=1), w, "bn2").clamp(min=0)
    h = normalized(F.conv2d(h, w["conv3.weight"]), w, "bn3")
    torch.testing.assert_close(block(x), (x + h).clamp(min=0))
    assert block.downsample is None
