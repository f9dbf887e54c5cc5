"""The short way to step, against the usual one: the same bits."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from osler.training.leanstep import LeanStep

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randn(32, 2, generator=torch.Generator().manual_seed(1))
KINDS: dict[str, Any] = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adam with decay": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, betas=(0.8, 0.9), fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, eps=1e-3, fused=True),
    "two groups": lambda p: torch.optim.AdamW([{"params": p[:2], "lr": 0.1}, {"params": p[2:]}], lr=0.01, fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, fused=True),
    "not fused": lambda p: torch.optim.Adam(p, lr=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))


def train(kind: str, lean: bool, steps: int = 20, between: Any = None, freeze: bool = False) -> tuple[Any, Any]:
    """Weights and optimizer state after some steps under a schedule."""
    model = network()
    optimizer = KINDS[kind](list(model.parameters()))
    schedule = OneCycleLR(optimizer, 0.01, total_steps=steps)
    step = LeanStep(optimizer) if lean else optimizer.step
    for number in range(steps):
        optimizer.zero_grad()
        (model(X) - Y).square().mean().backward()
        if freeze and number % 3 == 0:
            model[0].bias.grad = None
        step()
        schedule.step()
        if between is not None and number == steps // 2:
            between(optimizer)
    return model.state_dict(), optimizer.state_dict()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("freeze", [False, True])
def test_the_same_weights_and_state(kind: str, freeze: bool) -> None:
    assert same(train(kind, lean=True, freeze=freeze), train(kind, lean=False, freeze=freeze))


def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    optimizer = KINDS["adamw"](list(model.parameters()))
    step = LeanStep(optimizer)
    for _ in range(3):
        (model(X) - Y).square().mean().backward()
        step()
        monkeypatch.setattr(type(optimizer), "step", None)  # from the second step on nobody asks for it
    assert optimizer.state[model[0].weight]["step"] == 3


def test_state_loaded_in_the_middle_is_used() -> None:
    def reload(optimizer: torch.optim.Optimizer) -> None:
        saved = optimizer.state_dict()
        for state in saved["state"].values():
            state["exp_avg"] = torch.zeros_like(state["exp_avg"])
        optimizer.load_state_dict(saved)

    assert same(train("adamw", lean=True, between=reload), train("adamw", lean=False, between=reload))
    assert not same(train("adamw", lean=True, between=reload), train("adamw", lean=True))


def test_hooks_and_steps_of_ones_own_are_called() -> None:
    seen: list[int] = []

    def hook(optimizer: torch.optim.Optimizer) -> None:
        optimizer.register_step_post_hook(lambda *_: seen.append(1))

    train("adamw", lean=True, steps=10, between=hook)
    assert len(seen) == 4

    def replace(optimizer: torch.optim.Optimizer) -> None:
        optimizer.step = lambda: seen.append(2)  # type: ignore[method-assign,assignment]

    train("adamw", lean=True, steps=10, between=replace)
    assert seen.count(2) == 4
