import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.dlinear import DLinear, NLinear
from osler.models.forecaster import Forecaster


def test_last_is_the_normalisation_of_nlinear():
    x = torch.randn(4, 10, 3)
    core = nn.Linear(10, 2)
    theirs = NLinear((10, 3), 6)
    theirs.linear.load_state_dict(core.state_dict())

    class OverTime(nn.Module):
        def forward(self, x):
            return core(x.transpose(1, 2)).transpose(1, 2).flatten(1)

    torch.testing.assert_close(Forecaster(OverTime(), 3, instance="last")(x), theirs(x))


def test_revin_follows_level_and_scale():
    net = Forecaster(DLinear((10, 2), 6, window=3), 2, instance="revin").double()
    x = torch.randn(4, 10, 2).double() * 50  # so that what keeps a deviation from 0 is too small to count
    torch.testing.assert_close(net(3 * x + 100), 3 * net(x) + 100, atol=1e-4, rtol=1e-6)


def test_only_what_is_forecast_is_normalised_and_linear_ones_see_it_alone():
    x = torch.arange(24.0).reshape(1, 4, 6)
    seen = []

    class Core(nn.Module):
        def forward(self, x):
            seen.append(x)
            return torch.zeros(1, 6)

    ahead = Forecaster(Core(), 2, instance="last")(x)
    assert ahead.tolist() == [[18, 19] * 3]
    assert torch.equal(seen[0][:, :, 2:], x[:, :, 2:])
    assert seen[0][0, -1, :2].tolist() == [0, 0]
    Forecaster(Core(), 2, alone=True)(x)
    assert torch.equal(seen[1], x[:, :, :2])


def test_an_unknown_normalisation_is_named():
    with pytest.raises(InputError, match="did you mean 'revin'"):
        Forecaster(nn.Identity(), 1, instance="revins")
