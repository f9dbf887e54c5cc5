import math

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

import osler
from osler.errors import InputError
from osler.explain.sanity import check, randomise, spearman
from osler.explain.specimen import Inputs, Specimen
from tests.explain.networks import Conv, Located, mlp


def edges(specimen: Specimen, x: Tensor) -> Inputs:
    """Differences of neighbours: looks like an explanation, and asks no network."""
    return (x.diff(dim=3, append=x[..., -1:]).abs() + x.diff(dim=2, append=x[..., -1:, :]).abs(),)


def test_an_edge_detector_is_caught(located: Located) -> None:
    x = located.pictures[:8]
    found = check(Specimen(located.network), lambda specimen: edges(specimen, x), (x,))
    assert not found.trusted
    assert found.correlations == pytest.approx([1.0] * 3)
    assert found.layers == ("output", "second", "first")  # from the top
    assert found.verdict.startswith("hardly depends on the weights")
    assert "1.00" in found.verdict


@pytest.mark.parametrize("method", ["saliency", "smoothgrad", "integrated_gradients", "grad_cam"])
def test_gradients_pass(located: Located, method: str) -> None:
    found = osler.explain(located.network, located.pictures[:8], method, target=1).sanity
    assert found is not None
    assert found.trusted
    assert found.correlations[-1] < 0.5
    assert found.verdict.startswith("can be trusted")


def test_gradients_of_a_table_pass() -> None:
    torch.manual_seed(0)
    found = osler.explain(mlp(), torch.randn(20, 5)).sanity
    assert found is not None
    assert found.trusted


def test_a_map_without_differences_says_nothing() -> None:
    x = torch.randn(2, 1, 8, 8)
    found = check(Specimen(Conv()), lambda _: (torch.zeros_like(x),), (x,))
    assert not found.trusted
    assert math.isnan(found.correlations[-1])
    assert "says nothing" in found.verdict


def test_many_layers_are_randomised_in_five_stages() -> None:
    deep = nn.Sequential(*[nn.Linear(4, 4) for _ in range(12)])
    found = osler.explain(deep, torch.randn(3, 4), "saliency").sanity
    assert found is not None
    assert len(found.correlations) == 5
    assert found.layers[-1] == "0"


def test_without_weights() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum(1)

    with pytest.raises(InputError, match="no weights"):
        osler.explain(Sum(), torch.ones(2, 3))
    assert osler.explain(Sum(), torch.ones(2, 3), sanity=False).sanity is None


def test_randomised_weights_keep_their_scale() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(100, 100)
    layer.weight.data.normal_(0.3, 0.05)
    before = layer.weight.detach().clone()
    randomise(layer)
    assert layer.weight.mean().item() == pytest.approx(0.3, abs=0.01)
    assert layer.weight.std().item() == pytest.approx(0.05, abs=0.005)
    assert abs(torch.corrcoef(torch.stack([before.flatten(), layer.weight.detach().flatten()]))[0, 1]) < 0.05


def test_rank_correlation_is_scipys() -> None:
    torch.manual_seed(0)
    a, b = torch.randint(0, 5, (50,)).double().numpy(), torch.randn(50).double().numpy()
    assert spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert spearman(a, a**3) == pytest.approx(1)
    assert spearman(a, 0 * a) == 0
