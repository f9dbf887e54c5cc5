"""Frozen layers against networks that never had those weights to learn."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.optim import OPTIMIZERS, parameter_groups
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.freezing import Freezing, layers
from osler.training.trainer import Trainer

X = torch.randn(48, 4, generator=torch.Generator().manual_seed(0))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0]) > 0).long()


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.backbone = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()
        )
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.backbone(x))


def batches() -> Batches:
    return Batches(Dataset(X, Y), 16, shuffle=True, seed=3)


class Watch(Callback):
    """What changed in each epoch, by name."""

    def begin(self, trainer: Trainer) -> None:
        self.before = copy.deepcopy(trainer.model.state_dict())
        self.changed: list[set[str]] = []

    def epoch(self, trainer: Trainer) -> None:
        now = copy.deepcopy(trainer.model.state_dict())
        self.changed.append({name for name in now if not torch.equal(now[name], self.before[name])})
        self.before = now


HEAD = {"head.weight", "head.bias"}
NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
SECOND = {"backbone.3.weight", "backbone.3.bias"} | {f"backbone.4.{name}" for name in NORM}
FIRST = {"backbone.0.weight", "backbone.0.bias"} | {f"backbone.1.{name}" for name in NORM}
ALL = HEAD | SECOND | FIRST


def trained(freezing: Freezing, epochs: int = 4, kind: str = "adamw", model: nn.Module | None = None) -> Watch:
    model, watch = model or Network(), Watch()
    optimizer = OPTIMIZERS.create(kind, parameter_groups(model, 0.0 if kind == "ftrl" else 0.1))
    trainer = Trainer(model, Classification.multiclass(2), optimizer=optimizer, callbacks=[freezing, watch])
    trainer.fit(batches(), [(X, Y)], epochs=epochs)
    return watch


@pytest.mark.parametrize(
    ("modules", "options", "changed"),
    [
        ("backbone", {}, [HEAD] * 4),
        ("backbone*", {}, [HEAD] * 4),
        (["backbone.0", "backbone.1"], {}, [HEAD | SECOND] * 4),
        ("backbone.[01]", {}, [HEAD | SECOND] * 4),
        ("backbone", {"unfreeze": 3}, [HEAD, HEAD, ALL, ALL]),
        ("backbone", {"unfreeze": 1}, [ALL] * 4),
        ("backbone", {"unfreeze": 2, "gradual": 1}, [HEAD, HEAD | SECOND, ALL, ALL]),
        ("backbone*", {"unfreeze": 1, "gradual": 2}, [HEAD | SECOND] * 2 + [ALL] * 2),
        ("backbone.?", {"unfreeze": 2, "gradual": 2}, [HEAD, HEAD | SECOND, HEAD | SECOND, ALL]),
        ("head", {"unfreeze": 4}, [SECOND | FIRST] * 3 + [ALL]),
    ],
)
def test_what_learns_in_each_epoch(modules: Any, options: dict[str, int], changed: list[set[str]]) -> None:
    model = Network()
    assert trained(Freezing(modules, **options), model=model).changed == changed
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_leaves_frozen_weights_alone(kind: str) -> None:
    model = Network()
    nn.init.constant_(model.head.weight, 0.01)
    (first, *_) = trained(Freezing("backbone"), 1, kind, model).changed
    assert first <= HEAD
    assert "head.weight" in first


def test_the_rest_learns_as_if_the_frozen_part_were_data() -> None:
    model, apart = Network(), Network()
    apart.backbone.eval()
    with torch.no_grad():
        features = apart.backbone(X)

    def optimizer(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=0.01)

    frozen = Trainer(model, Classification.multiclass(2), optimizer=optimizer, callbacks=[Freezing("backbone")])
    frozen.fit(batches(), epochs=3)
    alone = Trainer(apart.head, Classification.multiclass(2), optimizer=optimizer)
    alone.fit(Batches(Dataset(features, Y), 16, shuffle=True, seed=3), epochs=3)
    torch.testing.assert_close(model.head.weight, apart.head.weight)


def test_after_unfreezing_it_learns_as_if_training_began_there() -> None:
    def sgd(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.1)

    model, by_hand = Network(), Network()
    train = [(X, Y)]
    Trainer(model, nn.CrossEntropyLoss(), optimizer=sgd, callbacks=[Freezing("backbone", 2)]).fit(train, epochs=2)
    by_hand.backbone.eval()
    steps = torch.optim.SGD(by_hand.head.parameters(), lr=0.1)
    nn.functional.cross_entropy(by_hand(X), Y).backward()
    steps.step()
    by_hand.train()
    by_hand.zero_grad()
    steps = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    nn.functional.cross_entropy(by_hand(X), Y).backward()
    steps.step()
    for name, value in by_hand.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value)


def test_the_optimizer_keeps_its_groups_and_nothing_of_what_never_learned() -> None:
    model = Network()
    optimizer = OPTIMIZERS.create("adamw", parameter_groups(model, 0.1))
    groups = [list(map(id, group["params"])) for group in optimizer.param_groups]
    Trainer(model, Classification.multiclass(2), optimizer=optimizer, callbacks=[Freezing("backbone")]).fit(batches())
    assert [list(map(id, group["params"])) for group in optimizer.param_groups] == groups
    assert {id(parameter) for parameter in optimizer.state} == {id(p) for p in model.head.parameters()}


def test_gradients_of_before_are_forgotten() -> None:
    model = Network()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    trained(Freezing("backbone"), 1, model=model)
    assert all(parameter.grad is None for parameter in model.backbone.parameters())


def test_when_training_goes_on_epochs_are_counted_on() -> None:
    model, watch = Network(), Watch()
    trainer = Trainer(model, Classification.multiclass(2), callbacks=[Freezing("backbone", 3), watch])
    changed = []
    for _ in range(4):
        trainer.fit(batches(), epochs=1)
        changed += watch.changed
    assert changed == [HEAD, HEAD, ALL, ALL]


def test_what_was_frozen_before_stays_frozen() -> None:
    model = Network()
    model.backbone[0].requires_grad_(False)
    watch = trained(Freezing("backbone", 2), model=model)
    assert watch.changed[-1] == ALL - {"backbone.0.weight", "backbone.0.bias"}
    assert not model.backbone[0].weight.requires_grad
    assert model.backbone[3].weight.requires_grad


def test_it_goes_on_from_its_state() -> None:
    class Restart(Callback):
        """Forgets in the middle of an epoch, and is told again."""

        def step(self, trainer: Trainer) -> None:
            state = freezing.state_dict()
            freezing.end(trainer)
            freezing.__init__("backbone", 2, 2)  # type: ignore[misc]
            epoch, trainer.epoch = trainer.epoch, 0
            freezing.begin(trainer)
            trainer.epoch = epoch
            freezing.load_state_dict(state)

    freezing, watch, model = Freezing("backbone", 2, 2), Watch(), Network()
    Trainer(model, Classification.multiclass(2), callbacks=[freezing, watch, Restart()]).fit(batches(), epochs=4)
    assert watch.changed == [HEAD, HEAD | SECOND, HEAD | SECOND, ALL]
    later = Freezing("backbone", 2, 2)
    trainer = Trainer(model, Classification.multiclass(2))
    model.train()
    later.begin(trainer)
    later.load_state_dict({"epoch_to_come": 3})
    assert [p.requires_grad for p in model.backbone.parameters()] == [False] * 4 + [True] * 4
    trainer.epoch = 7  # back to an earlier state
    later.end(trainer)
    later.begin(trainer)
    assert all(p.requires_grad for p in model.parameters())
    later.load_state_dict({"epoch_to_come": 1})
    assert not any(p.requires_grad for p in model.backbone.parameters())
    assert [m.training for m in (model.backbone[1], model.backbone[4])] == [False, False]


class Pictures(nn.Module):
    """A token of its own beside its layers, as vision transformers have."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 4))
        self.patches = nn.Linear(4, 4)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.LayerNorm(4)])


@pytest.mark.parametrize(
    ("model", "patterns", "expected"),
    [
        (Network(), ["backbone"], [["backbone"], ["backbone.0", "backbone.1", "backbone.2"], ["backbone.3", "…"]]),
        (Network(), ["head", "backbone.3"], [["backbone.3"], ["head"]]),
        (nn.Sequential(nn.Sequential(Pictures())), ["0"], [["0"], ["0.0"], ["0.0.patches"], ["0.0.blocks", "…"]]),
    ],
)
def test_layers(model: nn.Module, patterns: list[str], expected: list[list[str]]) -> None:
    names = {id(module): name for name, module in model.named_modules()}
    found = [[names[id(module)] for module in layer] for layer in layers(model, patterns)]
    for layer, wanted in zip(found, expected, strict=True):
        beginning = [name for name in wanted if name != "…"]
        assert layer[: len(beginning)] == beginning
        assert len(layer) == len(beginning) or wanted[-1] == "…"


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: trained(Freezing("bakbone")), "unknown module to freeze 'bakbone'; did you mean 'backbone'"),
        (lambda: trained(Freezing(["head", "tail.*"])), r"unknown module to freeze 'tail.\*'"),
        (lambda: trained(Freezing("*")), r"freezing '\*' leaves nothing that learns"),
        (lambda: Freezing("a", unfreeze=0), "counted from 1, but got 0"),
        (lambda: Freezing("a", unfreeze=2, gradual=-1), "but got -1"),
        (lambda: Freezing("a", gradual=2), "give unfreeze"),
    ],
)
def test_what_cannot_be_used(make: Callable[[], Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        make()


def test_what_is_to_learn_must_be_in_an_optimizer() -> None:
    model = Network()
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer=optimizer, callbacks=[Freezing("backbone", 2)])
    with pytest.raises(InputError, match=r"'backbone.0.weight' learns from epoch 2 on, but no optimizer holds it"):
        trainer.fit(batches())
    assert all(parameter.requires_grad for parameter in model.parameters())
    Trainer(model, nn.CrossEntropyLoss(), optimizer=optimizer, callbacks=[Freezing("backbone")]).fit(
        batches(), epochs=1
    )
