"""Learning rates by depth: known for small networks, in proportion under every schedule, the same after a resume."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import osler
from osler.build import build_optimizer
from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.models import MODELS
from osler.objectives import Classification
from osler.optim.depth import decay_rates, groups_by_depth, shares, stages
from osler.optim.parameters import parameter_groups
from osler.optim.schedules import SCHEDULES
from osler.recipe import Recipe
from osler.training.callbacks.freezing import Freezing
from osler.training.trainer import Trainer

SMALL: dict[str, Any] = {"model": "mlp", "hidden": [16, 8], "epochs": 2, "threads": 1, "verbose": False}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ["conv1", "layer1", "layer2", "layer3", "layer4", "fc"]),
        ("squeezenet1_1", [*(f"features.{i}" for i in (0, 3, 4, 6, 7, 9, 10, 11, 12)), "classifier.1"]),
        ("vgg11_bn", [f"features.{i}" for i in (0, 4, 8, 11, 15, 18, 22, 25)] + [f"classifier.{i}" for i in (0, 3, 6)]),
        ("lenet5", ["c1", "c3", "c5", "f6", "output"]),
        ("mlp", ["hidden.1", "hidden.2", "output"]),
    ],
)  # fmt: skip
def test_stages_of_known_networks(name: str, expected: list[str]) -> None:
    options = {"inputs": (4,), "hidden": [8, 8]} if name == "mlp" else {}
    if name == "lenet5":
        options = {"inputs": (1, 32, 32)}
    with torch.device("meta"):
        model = MODELS.create(name, outputs=10, **options)
    found = stages(model)
    assert [stage for stage, _ in found] == expected
    assert [id(p) for _, parameters in found for p in parameters] == [id(p) for p in model.parameters()]


class Odd(nn.Module):
    """Holds a parameter itself, and shares one."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(3))
        self.embedding = nn.Embedding(5, 3)
        self.norm = nn.LayerNorm(3)
        self.inner = nn.Linear(3, 3)
        self.output = nn.Linear(3, 5)
        self.output.weight = self.embedding.weight


def test_what_the_model_holds_itself_is_first_and_what_is_shared_comes_once() -> None:
    model = Odd()
    names = {id(p): name for name, p in model.named_parameters()}
    found = {stage: [names[id(p)] for p in parameters] for stage, parameters in stages(model)}
    assert found == {
        "embedding": ["place", "embedding.weight", "norm.weight", "norm.bias"],
        "inner": ["inner.weight", "inner.bias"],
        "output": ["output.bias"],
    }


def test_rates_and_decay_by_hand() -> None:
    """Three layers, a half: rates 1, 1/2 and 1/4 from the head on; weights decay, biases don't."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    recipe = Recipe.build({"optimizer": "adamw", "lr": 0.1, "weight_decay": 0.01, "layer_decay": 0.5})
    names = {id(p): name for name, p in model.named_parameters()}
    groups = build_optimizer(recipe, model).param_groups
    assert [([names[id(p)] for p in g["params"]], g["lr"], g["weight_decay"]) for g in groups] == [
        (["4.weight"], 0.1, 0.01),
        (["4.bias"], 0.1, 0.0),
        (["2.weight"], 0.05, 0.01),
        (["2.bias", "3.weight", "3.bias"], 0.05, 0.0),
        (["0.weight"], 0.025, 0.01),
        (["0.bias"], 0.025, 0.0),
    ]
    assert shares(model, 0.5) == "4 1, 2 0.5, 0 0.25"


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "reduce_on_plateau"])
def test_schedules_keep_the_proportions(name: str) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    groups = groups_by_depth(model, parameter_groups(model, 0.0))
    optimizer = decay_rates(torch.optim.SGD(groups, lr=0.1), 0.4)
    schedule = SCHEDULES.create(name, optimizer, 20)
    for _ in range(19):
        optimizer.step()
        schedule.step()
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([rates[0] * share for share in (1, 1, 0.4, 0.4, 0.16, 0.16)][: len(rates)])


def test_a_floor_above_the_smallest_rate_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = decay_rates(torch.optim.SGD(groups_by_depth(model, parameter_groups(model, 0.0)), lr=0.1), 0.1)
    with pytest.raises(InputError, match=r"at most the learning rate, 0\.01"):
        SCHEDULES.create("cosine", optimizer, 10, minimum=0.05)


@pytest.mark.parametrize("factor", [0, -0.5, 1.5, float("nan")])
def test_factors_out_of_range(factor: float) -> None:
    with pytest.raises(InputError, match=r"layer_decay = .*should be"):
        Recipe.build({"layer_decay": factor})
    model = nn.Linear(2, 2)
    with pytest.raises(InputError, match="above 0 and at most 1"):
        decay_rates(torch.optim.SGD(groups_by_depth(model, parameter_groups(model, 0.0)), lr=1.0), factor)


def weights(run: osler.Run) -> dict[str, torch.Tensor]:
    return load_file(run.folder / "model.safetensors")


def test_training(tmp_path: Path) -> None:
    """At 1 nothing changes; below, the choice and its shares are told, and the recipe gives the same weights again."""
    plain = osler.train("iris", out=tmp_path / "plain", doctor=False, **SMALL)
    one = osler.train("iris", out=tmp_path / "one", layer_decay=1.0, doctor=False, **SMALL)
    assert all(torch.equal(tensor, weights(one)[key]) for key, tensor in weights(plain).items())
    slow = osler.train("iris", out=tmp_path / "slow", layer_decay=0.1, doctor=False, **SMALL)
    why = {choice["what"]: choice["why"] for choice in slow.record["choices"]}["layer decay"]
    assert why == "asked for; shares: output 1, hidden.2 0.1, hidden.1 0.01"
    assert plain.history["lr"].tolist() == slow.history["lr"].tolist()  # the rate that is told is the head's
    again = osler.train(recipe=slow.folder / "recipe.yaml", out=tmp_path / "again", verbose=False, doctor=False)
    assert all(torch.equal(tensor, weights(again)[key]) for key, tensor in weights(slow).items())


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))


def trained(states: list[Any], begun: dict[str, Any] | None = None) -> tuple[nn.Module, list[list[float]]]:
    """Four epochs, or what is left of them; what is behind the head begins to learn layer by layer."""
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    model, recipe = network(), Recipe.build({"optimizer": "adamw", "lr": 0.05, "layer_decay": 0.4})
    rates: list[list[float]] = []

    def keep(trainer: Trainer) -> None:
        states.append(copy.deepcopy(trainer.state_dict()))
        rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    trainer = Trainer(
        model,
        Classification.multiclass(3),
        optimizer=build_optimizer(recipe, model),
        schedule=lambda optimizer, steps: SCHEDULES.create("one_cycle", optimizer, steps),
        callbacks=[Freezing(["0", "2"], unfreeze=2, gradual=1), keep],
    )
    if begun is not None:
        trainer.load_state_dict(begun)
    trainer.fit(Batches(Dataset(x, x.argmax(1) % 3), batch_size=10), epochs=4)
    return model, rates


def test_gradual_unfreezing_and_going_on() -> None:
    """The groups are there from the start, frozen or not, and a training that goes on ends with the same weights."""
    states: list[Any] = []
    whole, rates = trained(states)
    for row in rates:
        assert row == pytest.approx([row[0] * share for share in (1, 1, 0.4, 0.4, 0.16, 0.16)])
    first = [state["model"]["0.weight"] for state in states]
    assert torch.equal(first[0], network()[0].weight)
    assert torch.equal(first[1], first[0])
    assert not torch.equal(first[2], first[1])  # from the third epoch on
    for place in (0, 1, 2):
        again, _ = trained([], states[place])
        assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in whole.state_dict().items())
