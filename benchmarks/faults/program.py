"""A training program as data, so that faults can be put into it, and the one loop that trains them all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

Task = Literal["classes", "binary", "numbers"]


class Part(NamedTuple):
    """Inputs and targets."""

    x: Tensor
    y: Tensor


class Data(NamedTuple):
    train: Part
    validation: Part
    test: Part


@dataclass(frozen=True)
class Build:
    """What a network is made of; names of activations are those of `networks.ACTIVATIONS`, "none" for none."""

    activation: str = "relu"  # after hidden layers
    output: str = "none"  # after the last layer
    init: str = "default"  # of the weights of layers: a name of `networks.INITIALISATIONS`
    bias: bool = True  # of hidden layers
    dropout: float = 0.0
    width: int = 64


@dataclass(frozen=True)
class Program:
    """Everything that defines a training."""

    name: str
    task: Task
    data: Callable[[int], Data]  # of a seed
    network: Callable[[Build], nn.Module]
    build: Build = field(default_factory=Build)
    loss: str = "cross-entropy"  # a name of LOSSES
    one_hot: int = 0  # how many classes, where the targets are given as one-hot rows
    optimizer: str = "adam"  # a name of OPTIMIZERS
    lr: float = 1e-3
    decay: float = 0.0  # L2, by the optimizer
    l1: float = 0.0  # weight of a penalty of the absolute values of all weights, in the loss
    batch: int | None = 32  # None: all rows at once
    epochs: int = 20
    clip: float | None = None  # largest norm of the gradient
    patience: int | None = None  # epochs without a better validation loss after which training stops
    validates: bool = True
    shuffles: bool = True
    floor: float = 0.8  # quality that the healthy program reaches


LOSSES: dict[str, Callable[[], nn.Module]] = {
    "cross-entropy": nn.CrossEntropyLoss,
    "nll": nn.NLLLoss,
    "mse": nn.MSELoss,
    "mae": nn.L1Loss,
    "bce-with-logits": nn.BCEWithLogitsLoss,
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "momentum": lambda parameters, **more: torch.optim.SGD(parameters, momentum=0.9, **more),
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
}


class Watcher(Protocol):
    """What a doctor is asked for in a loop."""

    def examine(self, train: Any, validation: Any) -> Any: ...
    def observe(self, loss: Tensor) -> None: ...
    def validate(self, loss: float, **metrics: float) -> None: ...


class Recorder(Protocol):
    """What keeps records for judges that read them."""

    def step(self, loss: Tensor, output: Tensor, target: Tensor) -> None: ...
    def epoch(self, model: nn.Module, validation: tuple[float, float] | None) -> None: ...


class Nobody:
    """Watches nothing."""

    def examine(self, train: Any, validation: Any) -> None: ...
    def observe(self, loss: Tensor) -> None: ...
    def validate(self, loss: float, **metrics: float) -> None: ...
    def step(self, loss: Tensor, output: Tensor, target: Tensor) -> None: ...
    def epoch(self, model: nn.Module, validation: tuple[float, float] | None) -> None: ...


def nobody(*_: Any) -> Nobody:
    return Nobody()


class Criterion(nn.Module):
    """A loss, and an L1 penalty of a model's weights."""

    def __init__(self, loss: nn.Module, model: nn.Module, l1: float):
        super().__init__()
        self.loss, self.l1 = loss, l1
        self.weights = [p for p in model.parameters() if p.dim() > 1]

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        penalty: Tensor = sum(w.abs().sum() for w in self.weights)  # type: ignore[assignment]
        loss: Tensor = self.loss(output, target)
        return loss + self.l1 * penalty


def wanted(program: Program, y: Tensor) -> Tensor:
    """The targets as the loss takes them."""
    return nn.functional.one_hot(y, program.one_hot).float() if program.one_hot else y


def train(
    program: Program,
    seed: int,
    doctor: Callable[[nn.Module, torch.optim.Optimizer, nn.Module], Watcher] = nobody,
    recorder: Callable[[Program, Data, nn.Module], Recorder] = nobody,
) -> float:
    """Trains it, and returns the quality on the test rows.

    `doctor` is called with the model, the optimizer and the loss; `recorder` with the program, its data and the loss.
    """
    data = program.data(seed)
    torch.manual_seed(seed)
    x, y = data.train.x, wanted(program, data.train.y)
    held_x, held_y = data.validation.x, wanted(program, data.validation.y)
    model = program.network(program.build)
    criterion = LOSSES[program.loss]()
    if program.l1:
        criterion = Criterion(criterion, model, program.l1)
    optimizer = OPTIMIZERS[program.optimizer](model.parameters(), lr=program.lr, weight_decay=program.decay)
    watcher, record = doctor(model, optimizer, criterion), recorder(program, data, criterion)
    watcher.examine(train=(x, y), validation=(held_x, held_y) if program.validates else None)
    best, waited = math.inf, 0
    for _ in range(program.epochs):
        model.train()
        order = torch.randperm(len(x)) if program.shuffles else torch.arange(len(x))
        for rows in order.split(program.batch or len(x)):
            optimizer.zero_grad()
            output = model(x[rows])
            loss = criterion(output, y[rows])
            loss.backward()
            if program.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), program.clip)
            optimizer.step()
            watcher.observe(loss)
            record.step(loss, output, data.train.y[rows])
        if not program.validates:
            record.epoch(model, None)
            continue
        model.eval()
        with torch.no_grad():
            output = model(held_x)
            loss = criterion(output, held_y)
        score = quality(program.task, output, data.validation.y)
        watcher.validate(loss.item(), **{"r2" if program.task == "numbers" else "accuracy": score})
        record.epoch(model, (loss.item(), score))
        best, waited = (loss.item(), 0) if loss.item() < best else (best, waited + 1)
        if program.patience is not None and waited >= program.patience:
            break
    model.eval()
    with torch.no_grad():
        return quality(program.task, model(data.test.x), data.test.y)


def quality(task: Task, output: Tensor, target: Tensor) -> float:
    """The share of right classes, or R² from −1 (also where it is worse, or no number) to 1."""
    if task == "classes":
        return (output.argmax(-1) == target).float().mean().item()
    if task == "binary":
        return ((output > 0) == (target > 0.5)).float().mean().item()
    if output.shape != target.shape:
        return -1.0
    r2 = 1 - (output - target).pow(2).sum() / (target - target.mean(0)).pow(2).sum()
    return max(-1.0, r2.item()) if math.isfinite(r2) else -1.0
