import numpy as np
import pytest
import torch

from osler.errors import InputError
from osler.models.dlinear import DLinear, NLinear


def test_dlinear_by_hand():
    torch.manual_seed(0)
    model, x = DLinear((8, 2), 3 * 2, window=3), torch.randn(4, 8, 2)
    found = model(x).reshape(4, 3, 2).detach().numpy()
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    for n in range(4):
        for f in range(2):
            series = x[n, :, f].numpy()
            longer = np.array([series[0], *series, series[-1]])
            trend = np.convolve(longer, np.ones(3) / 3, mode="valid")
            expected = weights["trend.weight"] @ trend + weights["trend.bias"]
            expected = expected + weights["rest.weight"] @ (series - trend) + weights["rest.bias"]
            np.testing.assert_allclose(found[n, :, f], expected, atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) == 2 * 9 * 3


def test_nlinear_follows_the_level():
    torch.manual_seed(0)
    model, x = NLinear((8, 2), 3 * 2), torch.randn(4, 8, 2)
    level = torch.tensor([100.0, -5.0])
    ahead = model(x).reshape(4, 3, 2)
    torch.testing.assert_close(model(x + level).reshape(4, 3, 2), ahead + level, rtol=1e-4, atol=1e-4)
    expected = (x[1, :, 0] - x[1, -1, 0]) @ model.linear.weight[2] + model.linear.bias[2] + x[1, -1, 0]
    torch.testing.assert_close(ahead[1, 2, 0], expected)
    assert sum(p.numel() for p in model.parameters()) == 9 * 3


@pytest.mark.parametrize("kind", [DLinear, NLinear])
def test_a_linear_trend_goes_on(kind):
    torch.manual_seed(0)
    time = torch.arange(60.0)
    series = (0.1 * time + torch.sin(time / 3)).unsqueeze(1)
    x = torch.stack([series[i : i + 16] for i in range(40)])
    y = torch.stack([series[i + 16 : i + 20].flatten() for i in range(40)])
    model = kind((16, 1), 4)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = (model(x) - y).square().mean()
        value.backward()
        return value

    optimizer.step(loss)
    assert loss() < 1e-3


def test_refusals():
    with pytest.raises(InputError, match="multiple of 7, but got 24"):
        DLinear((96, 7), 24)
    with pytest.raises(InputError, match="window must be odd, to have a middle, but got 4"):
        DLinear((96, 7), 7, window=4)
