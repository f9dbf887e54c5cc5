"""What is judged may stand in the place of what learns: in validation, and not in a checkpoint."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from osler.data.batches import Batches, Dataset
from osler.objectives.classification import Classification
from osler.training.callbacks.averaging import EMA, SWA
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.callbacks.freezing import Freezing
from osler.training.trainer import Trainer

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X @ torch.tensor([1.0, -2.0, 0.5, 0.0]) > 0).long()


def batches() -> Batches:
    return Batches(Dataset(X, Y), 16, shuffle=True, seed=3)


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(X, Y), 16, shuffle=True)


def trainer(*callbacks: Callback) -> Trainer:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    return Trainer(model, Classification.multiclass(2), optimizer=optimizer, callbacks=callbacks)


@pytest.mark.parametrize("make", [lambda: EMA(0.9), lambda: SWA(0.5)])
def test_validation_and_early_stopping_see_the_average(make: Any) -> None:
    class Look(Callback):
        def epoch(self, trainer: Trainer) -> None:
            judged = copy.deepcopy(trainer.model).eval()
            with torch.no_grad():
                losses.append(F.cross_entropy(judged(X), Y).item())
            averaged.append(trainer.model[0].weight.detach().clone())

        def settled(self, trainer: Trainer) -> None:
            learning.append(trainer.model[0].weight.detach().clone())

    losses, averaged, learning = [], [], []
    trained = trainer(EarlyStopping(0), make(), Look())
    history = trained.fit(batches(), [(X, Y)], epochs=4)
    assert [row["loss/val"] for row in history] == pytest.approx(losses, rel=1e-5)
    assert not torch.equal(averaged[-1], learning[-1])
    with torch.no_grad():
        assert F.cross_entropy(trained.model(X), Y).item() == pytest.approx(min(losses), rel=1e-5)


CALLBACKS: dict[str, Callable[[], list[Callback]]] = {
    "ema": lambda: [EarlyStopping(0), EMA(0.9)],
    "swa": lambda: [SWA(0.5)],
    "swa, early stopping": lambda: [EarlyStopping(0), SWA(0.5)],
    "freezing": lambda: [Freezing("0", 2)],
    "gradual unfreezing, ema": lambda: [Freezing(["0", "1"], 2, 1), EMA(0.5)],
}


@pytest.mark.parametrize("data", [batches, loader])
@pytest.mark.parametrize("kind", CALLBACKS)
def test_resumed_from_any_step_or_epoch_the_weights_are_the_same(kind: str, data: Any) -> None:
    class Take(Callback):
        def step(self, trainer: Trainer) -> None:
            states.append(copy.deepcopy(trainer.state_dict()))

        def settled(self, trainer: Trainer) -> None:
            states.append(copy.deepcopy(trainer.state_dict()))

    states: list[dict[str, Any]] = []
    whole = trainer(*CALLBACKS[kind](), Take())
    whole.fit(data(), [(X, Y)], epochs=4)
    assert len(states) == 20
    for state in states:
        rest = trainer(*CALLBACKS[kind](), Callback())
        rest.load_state_dict(state)
        rest.fit(data(), [(X, Y)], epochs=4)
        one, other = whole.model.state_dict(), rest.model.state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one), (state["epoch"], state["batch"])
        assert [row["loss/val"] for row in whole.history] == [row["loss/val"] for row in rest.history]
