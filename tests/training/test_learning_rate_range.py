"""The range test against trainings by hand, and on curves whose answer is known."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.nn.penalties import PENALTIES
from osler.objectives.classification import Classification
from osler.objectives.objective import Outcome
from osler.objectives.supervised import Supervised
from osler.training.learning_rate_range import RangeTest, _smooth, _suggestions, find_learning_rate

X = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0]) > 0).long()


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


def batches() -> Batches:
    return Batches(Dataset(X, Y), 16, shuffle=True, seed=3)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


@pytest.mark.parametrize("clip", [{}, {"clip_norm": 0.5}, {"clip_value": 0.01}])
def test_equals_a_loop_written_by_hand(clip: dict[str, float]) -> None:
    by_hand, data = network(), batches()
    steps = sgd(by_hand.parameters())
    rates = 1e-4 * 1000 ** (np.arange(12) / 11)
    losses: list[float] = []
    torch.manual_seed(5)
    while len(losses) < 12:
        for batch in data:
            loss = F.cross_entropy(by_hand(batch.inputs), batch.targets)
            steps.zero_grad()
            loss.backward()
            if "clip_norm" in clip:
                nn.utils.clip_grad_norm_(by_hand.parameters(), clip["clip_norm"])
            if "clip_value" in clip:
                nn.utils.clip_grad_value_(by_hand.parameters(), clip["clip_value"])
            steps.param_groups[0]["lr"] = rates[len(losses)]
            steps.step()
            losses.append(loss.item())
    torch.manual_seed(5)
    model, fresh = network(), batches()
    torch.manual_seed(5)
    found = find_learning_rate(model, nn.CrossEntropyLoss(), fresh, sgd, lowest=1e-4, highest=0.1, steps=12, **clip)
    assert found.rates == pytest.approx(rates)
    assert found.losses == pytest.approx(losses, rel=1e-6)
    assert not found.diverged


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.mark.parametrize("loader", [batches, lambda: DataLoader(TensorDataset(X, Y), 16, shuffle=True)])
def test_everything_is_as_before(loader: Any) -> None:
    model, data = network(), loader()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss = F.cross_entropy(model(X), Y)
    loss.backward()
    optimizer.step()  # it has a state to lose
    model[1].eval()
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    gradient, modes = model[0].weight.grad.clone(), [module.training for module in model.modules()]
    chance = torch.get_rng_state()
    find_learning_rate(model, Classification.multiclass(2), data, optimizer)
    assert equal(before, (model.state_dict(), optimizer.state_dict()))
    assert torch.equal(gradient, model[0].weight.grad)
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(chance, torch.get_rng_state())
    torch.set_rng_state(chance)
    order = [list(map(_first, data)), list(map(_first, data))]
    torch.set_rng_state(chance)
    fresh = loader()
    assert order == [list(map(_first, fresh)), list(map(_first, fresh))]


def _first(batch: Any) -> float:
    return float(getattr(batch, "inputs", batch[0] if isinstance(batch, list) else None)[0, 0])


def test_an_optimizer_and_how_to_make_one_give_the_same() -> None:
    model = network()
    made = find_learning_rate(model, nn.CrossEntropyLoss(), batches(), torch.optim.SGD(model.parameters(), lr=3.0))
    assert made == find_learning_rate(model, nn.CrossEntropyLoss(), batches(), sgd)


def test_groups_keep_the_ratios_of_their_rates() -> None:
    model = nn.Linear(1, 1)
    nn.init.ones_(model.weight), nn.init.zeros_(model.bias)
    groups = [{"params": [model.weight], "lr": 0.5}, {"params": [model.bias], "lr": 0.0}]
    x = torch.ones(4, 1)
    found = find_learning_rate(model, nn.MSELoss(), [(x, 0 * x)], torch.optim.SGD(groups), lowest=1e-3, highest=0.1)
    # only the weight learns: w ← w (1 − 2·lr)
    weights = np.cumprod(1 - 2 * np.asarray(found.rates))
    assert found.losses == pytest.approx([1, *np.square(weights[:-1])], rel=1e-4)


def test_a_penalty_that_watches_the_network_watches_the_copy() -> None:
    model = network()
    objective = Classification.multiclass(2)
    objective.penalty = penalty = PENALTIES.create("activity", strength=10.0)
    with penalty.watch(model):
        with_it = find_learning_rate(model, objective, batches(), sgd)
        assert not penalty._seen
    objective.penalty = None
    without = find_learning_rate(model, objective, batches(), sgd)
    assert with_it.losses[0] > without.losses[0] + 1


def test_it_stops_when_the_loss_runs_away() -> None:
    # On x²/2 · 4 a step multiplies the weight by 1 − 4·lr: beyond lr 0.5 it grows.
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    x = torch.full((2, 1), 2.0**0.5)
    found = find_learning_rate(model, nn.MSELoss(), [(x, 0 * x)], sgd, lowest=1e-4, highest=100)
    assert found.diverged
    assert 0.5 < found.rates[-1] < 10
    assert len(found.losses) == len(found.rates) < 100
    assert found.steepest is not None
    assert 0.01 < found.steepest < 0.5
    assert found.tenth is not None
    assert 0.005 < found.tenth < 0.05
    assert str(found).startswith(f"{len(found.rates)} learning rates from 0.0001 to ")
    assert "where the loss ran away: the loss falls fastest at" in str(found)


def test_a_loss_below_zero_is_no_divergence() -> None:
    class Below(Supervised):
        def evaluate(self, model: nn.Module, batch: Any) -> Outcome:
            outcome = super().evaluate(model, batch)
            return outcome._replace(loss=outcome.loss - 10)

    model = nn.Linear(4, 2)
    found = find_learning_rate(model, Below(nn.CrossEntropyLoss()), batches(), sgd, highest=1e-3)
    assert not found.diverged
    assert len(found.rates) == 100


def test_the_suggestions_of_a_known_curve() -> None:
    # A fall around 1e-3 (the logistic curve is steepest in its middle), and a rise from 1e-1 on.
    rates = np.geomspace(1e-7, 10, 161)
    at = np.log10(rates)
    losses = 2 - 1.8 / (1 + np.exp(-3 * (at + 3))) + 5 * np.maximum(at + 1, 0) ** 2
    noisy = losses + 0.02 * np.random.default_rng(0).standard_normal(len(at))
    for curve in (losses, noisy):
        steepest, tenth = _suggestions(list(rates), list(curve), _smooth(list(curve)))
        assert steepest == pytest.approx(1e-3, rel=0.6)
        assert tenth == pytest.approx(rates[np.argmin(losses)] / 10, rel=0.8)


def test_smoothing_keeps_straight_lines_and_moves_nothing() -> None:
    line = np.linspace(5, 1, 60)
    assert _smooth(list(line))[15:-15] == pytest.approx(line[15:-15])
    peak = np.ones(61)
    peak[30] = 2
    smooth = np.asarray(_smooth(list(peak)))
    assert smooth == pytest.approx(smooth[::-1])
    assert smooth.argmax() == 30


def test_noise_alone_suggests_nothing() -> None:
    for seed in range(20):
        losses = 1 + 0.1 * np.random.default_rng(seed).standard_normal(100)
        assert _suggestions(list(np.geomspace(1e-7, 10, 100)), list(losses), _smooth(list(losses))) == (None, None)
    still = find_learning_rate(network(), nn.CrossEntropyLoss(), batches(), sgd, highest=1e-6)
    assert still.suggestion is None
    assert "never fell" in str(still)


def test_the_larger_is_suggested() -> None:
    rates = (0.1, 0.2)
    assert RangeTest(rates, rates, rates, 0.01, 0.02, False).suggestion == 0.02
    assert RangeTest(rates, rates, rates, 0.04, 0.02, False).suggestion == 0.04


def test_a_loss_that_becomes_no_number_ends_the_test() -> None:
    class Later(nn.Module):
        calls = 0

        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            self.calls += 1
            return outputs.square().mean() * (math.nan if self.calls > 20 else 1)

    found = find_learning_rate(nn.Linear(4, 1), Later(), [(X, Y)], sgd)
    assert found.diverged
    assert len(found.losses) == 20
    assert all(map(math.isfinite, found.smooth))


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"lowest": 0.0}, "from a lowest to a highest, but got 0.0 and 10.0"),
        ({"lowest": 1.0, "highest": 0.1}, "but got 1.0 and 0.1"),
        ({"highest": math.inf}, "but got 1e-07 and inf"),
        ({"steps": 9}, "10 steps or more to show a curve, but got 9"),
        ({"batches": []}, "too few batches"),
        ({"batches": iter([(X, Y)])}, "can be used only once"),
        ({"batches": [(X * math.inf, Y)]}, "the loss of the first batch is nan before any learning"),
        ({"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.0)}, "learning rate is 0"),
        ({"device": "gpu"}, "device 'gpu' cannot be used here"),
        ({"objective": "mse"}, "Classification.multiclass"),
        ({"objective": Classification.multiclass(3)}, r"needs \(16, 3\)"),
    ],
)
def test_what_cannot_be_used(options: dict[str, Any], rule: str) -> None:
    given: dict[str, Any] = {"objective": nn.CrossEntropyLoss(), "batches": batches(), "optimizer": sgd, **options}
    with pytest.raises(InputError, match=rule):
        find_learning_rate(network(), **given)
