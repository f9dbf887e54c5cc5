"""What the baselines read: plain numbers of every epoch, measured as their published programs measure them.

At the end of an epoch a twin of the model, in evaluation mode, is given the first batch of the training rows: kept is
what every layer puts out, and the gradient of every weight. The model that is trained isn't touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.faults.program import LOSSES, Data, Program, Recorder, quality, wanted

CURVED = 5.0  # size of the input beyond which DeepDiagnosis calls a sigmoid or tanh flat

KINDS = {nn.Linear: "dense", nn.Conv2d: "conv", nn.Embedding: "embedding", nn.Flatten: "flatten"}


def kind_of(module: nn.Module) -> str:
    return KINDS.get(type(module), type(module).__name__.lower())


@dataclass(frozen=True)
class Look:
    """What one layer put out."""

    name: str
    kind: str
    mean: float
    zeros: float = 0.0  # share that isn't above 0
    flat: float = 0.0  # share of the inputs beyond ± CURVED
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Weight:
    """A weight (biases count for their zeros only) and its gradient."""

    name: str
    kind: str  # of its layer
    size: int
    bias: bool
    mean: float = 0.0
    variance: float = 1.0
    norm: float = 1.0
    gradient_norm: float = 1.0
    gradient_mean: float = 1.0
    gradient_size: float = 1.0  # mean of the absolute values
    gradient_zeros: float = 0.0  # share


@dataclass(frozen=True)
class Epoch:
    loss: float  # mean over the steps
    accuracy: float | None  # mean over the steps; None where there are no classes
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    score: float | None = None  # the accuracy, or R² where there are no classes
    validation_score: float | None = None
    layers: tuple[Look, ...] = ()
    weights: tuple[Weight, ...] = ()


@dataclass
class Record:
    """A whole training."""

    loss: str = "cross-entropy"
    classifies: bool = True
    lr: float = 1e-3
    planned: int = 20  # epochs
    floating: bool = True  # the inputs
    shape: tuple[int, ...] = (32, 8)
    low: float = 0.0
    high: float = 1.0
    missing: bool = False  # NaN among the inputs
    target_low: float = 0.0
    target_high: float = 1.0
    dropouts: tuple[float, ...] = ()
    epochs: list[Epoch] = field(default_factory=list)


class Keeper:
    """Keeps a `Record`."""

    def __init__(self, program: Program, data: Data, criterion: nn.Module):
        x, y = data.train.x, wanted(program, data.train.y)
        rows = slice(0, program.batch or len(x))
        self.program, self.criterion, self.x, self.y = program, LOSSES[program.loss](), x[rows], y[rows]
        with torch.random.fork_rng():
            self.twin = program.network(program.build).eval()
        self.record = Record(
            loss=program.loss,
            classifies=program.task != "numbers",
            lr=program.lr,
            planned=program.epochs,
            floating=x.is_floating_point(),
            shape=tuple(x.shape),
            low=float(x.min()),
            high=float(x.max()),
            missing=bool(x.isnan().any()),
            target_low=0.0 if program.task == "classes" else float(y.min()),
            target_high=1.0 if program.task == "classes" else float(y.max()),
            dropouts=tuple(m.p for m in self.twin.modules() if isinstance(m, nn.Dropout)),
        )
        self.losses: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.targets: list[Tensor] = []

    def step(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        self.losses.append(loss.detach())
        self.outputs.append(output.detach())
        self.targets.append(target)

    def epoch(self, model: nn.Module, validation: tuple[float, float] | None) -> None:
        score = quality(self.program.task, torch.cat(self.outputs), torch.cat(self.targets))
        held_loss, held_score = validation if validation is not None else (None, None)
        self.twin.load_state_dict(model.state_dict())
        layers, weights = self.look()
        exact = self.record.classifies
        self.record.epochs.append(
            Epoch(
                loss=float(torch.stack(self.losses).mean()),
                accuracy=score if exact else None,
                validation_loss=held_loss,
                validation_accuracy=held_score if exact else None,
                score=score,
                validation_score=held_score,
                layers=layers,
                weights=weights,
            )
        )
        self.losses, self.outputs, self.targets = [], [], []

    def look(self) -> tuple[tuple[Look, ...], tuple[Weight, ...]]:
        """One pass forwards and one backwards through the twin."""
        looks: list[Look] = []

        def seen(name: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                value = (output[0] if isinstance(output, tuple) else output).detach().float()
                given = inputs[0].detach().float()
                looks.append(
                    Look(
                        name,
                        kind_of(module),
                        float(value.mean()),
                        zeros=float((value <= 0).float().mean()),
                        flat=float((given.abs() >= CURVED).float().mean()),
                        low=float(value.min()),
                        high=float(value.max()),
                    )
                )

            return hook

        # Attention and recurrent layers count as one layer; what they hold is not looked into.
        whole = {id(m) for m in self.twin.modules() if isinstance(m, nn.MultiheadAttention)}
        inside = {id(c) for m in self.twin.modules() if id(m) in whole for c in m.children()}
        hooks = [
            module.register_forward_hook(seen(name))
            for name, module in self.twin.named_modules()
            if (id(module) in whole or not list(module.children())) and id(module) not in inside
        ]
        try:
            with torch.enable_grad():
                loss = self.criterion(self.twin(self.x), self.y)
                named = dict(self.twin.named_parameters())
                found = torch.autograd.grad(loss, list(named.values()), allow_unused=True, materialize_grads=True)
        finally:
            for handle in hooks:
                handle.remove()
        kinds = {name: kind_of(module) for name, module in self.twin.named_modules()}
        weights = []
        for (name, p), gradient in zip(named.items(), found, strict=True):
            value, g = p.detach(), gradient
            weights.append(
                Weight(
                    name,
                    kinds[name.rpartition(".")[0]],
                    value.numel(),
                    bias=value.dim() < 2,
                    mean=float(value.mean()),
                    variance=float(value.var()) if value.numel() > 1 else 1.0,
                    norm=float(value.norm()),
                    gradient_norm=float(g.norm()),
                    gradient_mean=float(g.mean()),
                    gradient_size=float(g.abs().mean()),
                    gradient_zeros=float((g == 0).float().mean()),
                )
            )
        return tuple(looks), tuple(weights)


def keeper(kept: list[Keeper]) -> Callable[[Program, Data, nn.Module], Recorder]:
    """A recorder for `train`, which is put into the list."""

    def make(program: Program, data: Data, criterion: nn.Module) -> Recorder:
        kept.append(Keeper(program, data, criterion))
        return kept[-1]

    return make
