import torch
from torch import nn

from osler.objectives.objective import Objective, forward
from osler.objectives.supervised import Supervised


class Difference(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left - right


def test_forward_hands_over_tensors_tuples_and_dicts() -> None:
    a, b = torch.tensor([3.0]), torch.tensor([1.0])
    assert forward(nn.Identity(), a) is a
    assert forward(Difference(), (a, b)).item() == forward(Difference(), [a, b]).item() == 2
    assert forward(Difference(), {"right": a, "left": b}).item() == -2


def test_what_is_an_objective() -> None:
    assert isinstance(Supervised(nn.MSELoss()), Objective)
    assert not isinstance(nn.MSELoss(), Objective)
