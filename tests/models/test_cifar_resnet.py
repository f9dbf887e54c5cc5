from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from osler.models import cifar_resnet
from osler.models.cifar_resnet import Padded
from osler.models.resnet import Basic
from osler.weights import read_weights

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_as_many_layers_as_its_name_says(depth: int) -> None:
    with torch.device("meta"):
        model = getattr(cifar_resnet, f"resnet{depth}")()
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules()) == depth


def test_shapes_of_the_paper() -> None:
    maps = []
    with torch.device("meta"):
        model = cifar_resnet.resnet20()
        for stage in (model.layer1, model.layer2, model.layer3):
            stage.register_forward_hook(lambda _m, _i, out: maps.append(tuple(out.shape[1:])))
        model(torch.zeros(2, 3, 32, 32))
    assert maps == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_the_shortcut_has_no_weights() -> None:
    x = torch.arange(2 * 5 * 4.0).reshape(1, 2, 5, 4)
    fitted = Padded(2, stride=2)(x)
    assert fitted.shape == (1, 4, 3, 2)
    assert torch.equal(fitted[:, 1:3], x[:, :, ::2, ::2])
    assert not fitted[:, [0, 3]].any()
    assert not list(Padded(2, stride=2).parameters())


def test_a_block_equals_the_formula() -> None:
    torch.manual_seed(0)
    block, x = Basic(2, 4, stride=2, shortcut=Padded(2, stride=2)).eval(), torch.randn(3, 2, 5, 4)
    w = block.state_dict()

    def normalized(h: Tensor, name: str) -> Tensor:
        return F.batch_norm(h, *(w[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")))

    h = normalized(F.conv2d(x, w["conv1.weight"], stride=2, padding=1), "bn1").clamp(min=0)
    h = normalized(F.conv2d(h, w["conv2.weight"], padding=1), "bn2")
    torch.testing.assert_close(block(x), (h + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))).clamp(min=0))


@pytest.mark.slow
def test_published_weights_classify(real_data: Path) -> None:
    """Of these 2,000 pictures, which JPEG has blurred, the published ResNet-20 was measured to know 81.35 %."""
    weights = read_weights(real_data / "pretrained_resnet_cifar10" / "resnet20-12fca82f.th")
    model = cifar_resnet.resnet20().eval()
    model.load_state_dict(weights.state)
    files = [sorted((real_data / "cifar10_images" / "test" / name).glob("*.jpg")) for name in CLASSES]
    pixels = np.stack([np.asarray(Image.open(file)) for of_class in files for file in of_class])
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, None, :, None, None]
    with torch.no_grad():
        guesses = torch.cat([model(part).argmax(1) for part in ((x - mean) / std).split(250)])
    classes = torch.arange(10).repeat_interleave(torch.tensor([len(of_class) for of_class in files]))
    assert (guesses == classes).float().mean().item() == pytest.approx(0.8135, abs=0.001)
