"""A look leaves everything as it was."""

import pytest
import torch
from torch import nn

from osler.training.looking import looking


def test_modes_and_random_numbers_come_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model[1].eval()
    state, statistics = torch.get_rng_state(), model[1].running_mean.clone()
    with looking(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        model(torch.randn(5, 3))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(statistics, model[1].running_mean)
    assert torch.is_grad_enabled()


def test_after_an_error_too() -> None:
    model, state = nn.Dropout(), torch.get_rng_state()

    def interrupted() -> None:
        with looking(model):
            torch.rand(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert model.training
    assert torch.equal(state, torch.get_rng_state())


def test_what_a_network_keeps_of_a_look_serves_training() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.scale = nn.Linear(2, 1), None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.scale is None:
                self.scale = torch.full((1,), 2.0)
            return self.linear(x) * self.scale

    model = Keeping()
    with looking(model):
        model(torch.ones(1, 2))
    model(torch.ones(1, 2)).sum().backward()
    torch.testing.assert_close(model.linear.weight.grad, torch.full((1, 2), 2.0))
