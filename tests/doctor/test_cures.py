"""A cure applied to a living program takes the ailment away."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import osler
import osler.records


def data(classes=3):
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    return x, (x[:, :classes].argmax(1))


def softmax_twice():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(1)), nn.CrossEntropyLoss(), 1e-3


def relu_on_scores():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3), nn.ReLU()), nn.CrossEntropyLoss(), 1e-3


def equal_units():
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    return model, nn.CrossEntropyLoss(), 1e-3


def frozen_head():
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    model[2].requires_grad_(False)
    return model, nn.CrossEntropyLoss(), 1e-3


def raw_scores_to_nll():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), nn.NLLLoss(), 1e-3


def far_too_fast():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), nn.CrossEntropyLoss(), 3.0


@pytest.mark.parametrize(
    "make",
    [softmax_twice, relu_on_scores, equal_units, frozen_head, raw_scores_to_nll, far_too_fast],
    ids=lambda f: f.__name__,
)
def test_applied(make) -> None:
    torch.manual_seed(0)
    model, loss, rate = make()
    program = SimpleNamespace(model=model, loss=loss, optimizer=torch.optim.Adam(model.parameters(), lr=rate))

    def findings():
        doctor = osler.Doctor(program.model, program.optimizer, program.loss)
        return [f for f in doctor.examine(train=data()) if f.severity != "hint"]

    first = findings()[0]
    assert any(cure.apply(program) for cure in first.cures)
    assert first.ailment not in [f.ailment for f in findings()]


def test_parameters_are_given_to_the_optimizer() -> None:
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    program = SimpleNamespace(
        model=model, loss=F.cross_entropy, optimizer=torch.optim.SGD(model[0].parameters(), lr=0.1)
    )
    [cure] = osler.Doctor(model, program.optimizer, F.cross_entropy).examine(train=data())[0].cures
    assert cure.apply(program)
    held = {id(p) for group in program.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters()}


def test_advice_cannot_be_applied_and_says_the_lines() -> None:
    cure = osler.records.Cure("shuffle", ("- shuffle=False", "+ shuffle=True"), {"shuffle": True})
    assert not cure.apply(SimpleNamespace())
    assert cure.patch() == "- shuffle=False\n+ shuffle=True"
