from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from osler.models.squeezenet import Fire, squeezenet1_0, squeezenet1_1


@pytest.mark.parametrize(
    ("make", "maps"),
    [
        (squeezenet1_0, [(96, 54, 54), (256, 27, 27), (512, 13, 13)]),
        (squeezenet1_1, [(64, 55, 55), (128, 27, 27), (256, 13, 13)]),
    ],
)
def test_shapes_after_each_pool(make, maps) -> None:
    found = []
    with torch.device("meta"):
        model = make()
        for layer in model.features:
            if isinstance(layer, nn.MaxPool2d):
                layer.register_forward_hook(lambda _m, _i, out: found.append(tuple(out.shape[1:])))
        model(torch.zeros(2, 3, 224, 224))
    assert found == maps
    assert sum(isinstance(layer, Fire) for layer in model.features) == 8


def test_logits_are_rectified_but_for_a_single_one() -> None:
    x = torch.randn(4, 1, 21, 21, generator=torch.Generator().manual_seed(0))

    def lowest(outputs: int, **options: bool) -> float:
        torch.manual_seed(0)
        model = squeezenet1_0(inputs=(1, 21, 21), outputs=outputs, **options)
        nn.init.constant_(model.classifier[1].bias, -100.0)
        return model(x).min().item()

    assert lowest(3) == 0
    assert lowest(3, rectified=False) < 0
    assert lowest(1) < 0
    assert lowest(1, rectified=True) == 0


def published(folder: Path) -> dict[str, Tensor]:
    """The weights of the paper's authors by our names: their layers stand in the same order."""
    stored = np.load(folder / "squeezenet_v1.0_imagenet_fp32.npz")
    names = squeezenet1_0().state_dict().keys()
    return {name: torch.from_numpy(stored[key]) for name, key in zip(names, stored, strict=True)}


@pytest.mark.slow
def test_published_weights_know_ants_from_bees(real_data: Path) -> None:
    """Of these 50 photos the authors' network was measured to tell ant from bee in 47 (with a rim that ours hasn't)."""
    model = squeezenet1_0().eval()
    model.load_state_dict(published(real_data / "pretrained_squeezenet_imagenet"))
    ant, bee = 310, 309
    mean = torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    right = 0
    for folder, wanted, other in [("ants", ant, bee), ("bees", bee, ant)]:
        for file in sorted((real_data / "hymenoptera" / "val" / folder).glob("*.jpg"))[:25]:
            picture = Image.open(file).convert("RGB").resize((227, 227), Image.Resampling.BILINEAR)
            x = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).flip(0).float() - mean  # BGR
            with torch.no_grad():
                logits = model(x[None])[0]
            right += int(logits[wanted] > logits[other])
    assert right >= 46
