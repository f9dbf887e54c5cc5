import pytest
import torch
from torch import nn
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.alexnet import AlexNet


def shapes_of(model: nn.Sequential, x: torch.Tensor, kinds: tuple[type, ...]) -> list[tuple[int, ...]]:
    found = []
    for layer in model:
        x = layer(x)
        if isinstance(layer, kinds):
            found.append(tuple(x.shape[1:]))
    return found


def test_shapes_and_parameters_of_the_paper() -> None:
    with torch.device("meta"):
        model = AlexNet()
        maps = shapes_of(model.features, torch.zeros(1, 3, 227, 227), (nn.Conv2d, nn.MaxPool2d))
    expected = [(96, 55, 55), (96, 27, 27), (256, 27, 27), (256, 13, 13), (384, 13, 13), (384, 13, 13), (256, 13, 13)]
    assert maps == [*expected, (256, 6, 6)]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert counts == [34_944, 307_456, 885_120, 663_936, 442_624]


def test_the_normalisation_is_the_papers() -> None:
    x = torch.rand(1, 96, 2, 2, generator=torch.Generator().manual_seed(0)) * 50
    norm = next(
        layer for layer in AlexNet(inputs=(1, 67, 67), outputs=2).features if isinstance(layer, nn.LocalResponseNorm)
    )
    padded = F.pad(x.square(), (0, 0, 0, 0, 2, 2))  # two neighbours on either side
    sums = sum(padded[:, i : i + 96] for i in range(5))
    torch.testing.assert_close(norm(x), x / (2 + 1e-4 * sums) ** 0.75)


def test_a_tower_does_not_see_the_other_except_where_the_paper_says() -> None:
    with torch.device("meta"):
        groups = [[m.groups for m in AlexNet(towers=n).modules() if isinstance(m, nn.Conv2d)] for n in (2, 1)]
    assert groups == [[1, 2, 1, 2, 2], [1, 1, 1, 1, 1]]


def test_one_tower_takes_a_little_smaller_pictures() -> None:
    with torch.device("meta"):
        assert AlexNet(inputs=(1, 63, 63), outputs=2, towers=1)(torch.zeros(1, 1, 63, 63)).shape == (1, 2)
    with pytest.raises(InputError, match="smallest input is"):
        AlexNet(inputs=(1, 63, 63), outputs=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"towers": 3}, "towers must be 1 or 2, but got 3"), ({"dropout": 1.0}, "dropout must be at least 0 and below 1")],
)
def test_refusals(options: dict[str, float], message: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=message):
        AlexNet(**options)
