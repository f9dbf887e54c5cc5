"""What TensorBoard itself reads back."""

import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.objectives.classification import Classification
from osler.objectives.objective import Outcome, Turn
from osler.objectives.supervised import Supervised
from osler.training.callbacks.tensorboard import TensorBoard
from osler.training.trainer import Trainer

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = (X.sum(dim=1) > 0).long()
TRAIN = [(X[i::8], Y[i::8]) for i in range(8)]


def trainer(*callbacks: Any, objective: Any = None, **options: Any) -> Trainer:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return Trainer(
        model,
        objective or Classification.multiclass(2, metrics=["accuracy"]),
        **{"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.5), **options},
        callbacks=callbacks,
    )


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def approximately(pairs: Iterable[tuple[int, float]]) -> list[Any]:
    return [(at, pytest.approx(value, rel=1e-6)) for at, value in pairs]  # files hold 32 bits


def test_every_number_stands_at_its_step_and_at_its_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    history = trainer(TensorBoard(tmp_path)).fit(TRAIN, [(X, Y)], epochs=3)
    scalars = read(tmp_path)
    names = {"loss/train", "loss/val", "accuracy/train", "accuracy/val", "seconds"}
    assert scalars.keys() == names | {f"epoch/{name}" for name in (*names, "lr")} | {"lr"}
    for name in names:
        assert scalars[name] == approximately((row["step"], row[name]) for row in history)
        assert scalars[f"epoch/{name}"] == approximately((row["epoch"], row[name]) for row in history)
    assert [step for step, _ in scalars["loss/val"]] == [8, 16, 24]
    assert [epoch for epoch, _ in scalars["epoch/loss/val"]] == [1, 2, 3]


def test_the_learning_rate_is_seen_within_epochs(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")

    def schedule(optimizer: Any, steps: int) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)

    trainer(TensorBoard(tmp_path), schedule=schedule).fit(TRAIN, epochs=4)
    assert read(tmp_path)["lr"] == approximately((step, 0.5 * (1 - step / 32)) for step in (1, 10, 20, 30))


def test_a_rate_that_is_a_tensor_is_not_waited_for(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    optimizer = lambda parameters: torch.optim.Adam(parameters, lr=torch.tensor(0.5))  # noqa: E731
    trainer(TensorBoard(tmp_path), optimizer=optimizer).fit(TRAIN, epochs=2)
    scalars = read(tmp_path)
    assert "lr" not in scalars
    assert scalars["epoch/lr"] == [(1, 0.5), (2, 0.5)]


def test_each_turn_has_its_rate(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")

    class Players(Supervised):
        def turns(self) -> list[Turn]:
            return [Turn(self.play, lambda model: model.parameters(), name) for name in ("generator", "critic")]

        def play(self, model: nn.Module, batch: Any) -> Outcome:
            return self.evaluate(model, batch)

    trainer(TensorBoard(tmp_path), objective=Players(nn.CrossEntropyLoss())).fit(TRAIN, epochs=1)
    scalars = read(tmp_path)
    assert scalars["lr/generator"] == scalars["lr/critic"] == [(1, 0.5)]
    assert {"loss_generator/train", "loss_critic/train"} < scalars.keys()


@pytest.mark.parametrize("again", ["goes on", "begins anew"])
def test_points_that_come_again_replace_those_before(tmp_path: Path, again: str) -> None:
    pytest.importorskip("tensorboard")
    first = trainer(TensorBoard(tmp_path))
    first.fit(TRAIN, epochs=3)
    if again == "begins anew":
        history = trainer(TensorBoard(tmp_path)).fit(TRAIN, epochs=2)
    else:  # as from a checkpoint after the first epoch
        first.epoch, first.step, first.history[1:] = 1, 8, []
        history = first.fit(TRAIN, epochs=1)
    scalars = read(tmp_path)
    assert [row["step"] for row in history] == [8, 16]
    assert scalars["loss/train"] == approximately((row["step"], row["loss/train"]) for row in history)


def test_numbers_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")

    def explode(trainer: Trainer) -> None:
        with torch.no_grad():
            trainer.model.weight.fill_(math.inf)

    trainer(TensorBoard(tmp_path), explode, objective=nn.CrossEntropyLoss()).fit(TRAIN, [(X, Y)], epochs=3)
    losses = read(tmp_path)["loss/train"]
    assert not math.isfinite(losses[-1][1])


def test_no_step_waits_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    board = TensorBoard(tmp_path)
    taught = trainer()
    taught.step = 1

    def wait(tensor: Tensor, *arguments: Any) -> Any:
        raise AssertionError("waits for the device")

    with monkeypatch.context() as patched:
        for name in ("item", "tolist", "numpy", "__bool__", "__float__", "__int__", "cpu"):
            patched.setattr(Tensor, name, wait)
        for _ in range(30):
            board.step(taught)
            taught.step += 1
    board.end(taught)
    assert [step for step, _ in read(tmp_path)["lr"]] == [1, 10, 20, 30]


def test_without_a_step_nothing_is_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with pytest.raises(InputError, match="no batch"):
        trainer(TensorBoard(tmp_path / "board")).fit([])
    assert not (tmp_path / "board").exists()


def test_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch.utils.tensorboard", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pip install 'osler\[tensorboard\]'"):
        TensorBoard(tmp_path)
