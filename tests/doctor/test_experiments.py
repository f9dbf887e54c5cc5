import pytest
import torch
import torch.nn.functional as F
from torch import nn

from osler.doctor.experiments import curvature, leak, tiled_ratio


@pytest.mark.parametrize(("reduction", "ratio"), [("mean", 1.0), ("sum", 2.0)])
def test_tiling_tells_sum_from_mean(reduction: str, ratio: float) -> None:
    scores, y = torch.randn(8, 3), torch.randint(0, 3, (8,))
    assert tiled_ratio(nn.CrossEntropyLoss(reduction=reduction), scores, y) == pytest.approx(ratio)


def test_curvature_of_a_quadratic_is_its_largest_eigenvalue() -> None:
    matrix = torch.diag(torch.tensor([1.0, 3.0, 10.0]))
    w = torch.tensor([1.0, 1.0, 1.0], requires_grad=True)

    def objective() -> torch.Tensor:
        return 0.5 * w @ matrix @ w

    [gradient] = torch.autograd.grad(objective(), [w])
    assert curvature(objective, [w], [gradient], steps=8) == pytest.approx(10.0, rel=0.02)


def test_curvature_of_squared_error_is_twice_the_mean_square_of_the_input() -> None:
    x = torch.tensor([[-7.5], [-5.0], [0.5], [3.0], [8.0]])
    model = nn.Linear(1, 1, bias=False)

    def objective() -> torch.Tensor:
        return F.mse_loss(model(x), 2 * x)

    weights = list(model.parameters())
    found = curvature(objective, weights, list(torch.autograd.grad(objective(), weights)))
    assert found == pytest.approx(2 * float(x.pow(2).mean()), rel=0.01)


def test_samples_that_see_one_another_leak() -> None:
    class Alone(nn.Module):
        def forward(self, x):
            return x.softmax(1)

    class Together(nn.Module):
        def forward(self, x):
            return x.softmax(0)

    x = torch.randn(10, 4)
    assert leak(Alone(), x, Alone()(x)) == 0
    assert leak(Together(), x, Together()(x)) > 0.1
