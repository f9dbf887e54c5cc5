import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.nn.steps import binary_step, bipolar_step, straight_through_step


def test_values_around_the_threshold():
    x = torch.tensor([-1e4, 0.49, 0.5, 0.51, 1e4])
    assert binary_step(0.5)(x).tolist() == [0, 0, 1, 1, 1]
    assert bipolar_step(0.5)(x).tolist() == [-1, -1, 1, 1, 1]
    assert straight_through_step(0.5)(x).tolist() == [0, 0, 1, 1, 1]
    assert straight_through_step(0.5, bipolar=True)(x).tolist() == [-1, -1, 1, 1, 1]


@pytest.mark.parametrize("step", [binary_step, bipolar_step])
def test_training_through_a_step_is_refused_with_reason_and_cure(step):
    network = nn.Sequential(nn.Linear(2, 3), step(), nn.Linear(3, 1))
    loss = network(torch.randn(4, 2)).square().mean()
    with pytest.raises(InputError, match=r"derivative is 0.*straight_through_step"):
        loss.backward()


@pytest.mark.parametrize("step", [binary_step, bipolar_step])
def test_using_a_step_without_training_below_it_is_fine(step):
    network = nn.Sequential(nn.Linear(2, 3), step())
    with torch.no_grad():
        assert not network(torch.randn(4, 2)).requires_grad
    head = nn.Linear(3, 1)
    head(step()(torch.randn(4, 3))).sum().backward()
    assert head.weight.grad is not None


def test_straight_through_gradient_is_that_of_the_clipped_line():
    x = torch.tensor([-2.0, -0.6, -0.5, 0.5, 1.5, 1.6], requires_grad=True)
    straight_through_step(threshold=0.5)(x).backward(torch.full((6,), 3.0))
    assert x.grad.tolist() == [0, 0, 3, 3, 3, 0]


def test_straight_through_network_learns_xor():
    torch.manual_seed(0)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    network = nn.Sequential(nn.Linear(2, 16), straight_through_step(bipolar=True), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.mse_loss(network(x), y).backward()
        optimizer.step()
    assert ((network(x) > 0.5) == y.bool()).all()


def test_threshold_must_be_a_number():
    with pytest.raises(InputError, match="threshold"):
        binary_step(float("nan"))
