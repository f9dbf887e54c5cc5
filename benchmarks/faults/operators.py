"""The mutation operators of DeepCrime (Humbatova, Jahangirova & Tonella, ISSTA 2021), on programs.

Each fault names the ailments of the catalogue that would be a right diagnosis. They were decided from the operator
alone, as what an expert would call it who knows the change: the cause, or the consequence that the change is known for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.faults import spoil
from benchmarks.faults.program import Data, Part, Program

Change = Callable[[Program], Program | None]


@dataclass(frozen=True)
class Fault:
    operator: str
    strength: str
    change: Change  # None where the operator has nothing to change
    accepts: frozenset[str]

    @property
    def name(self) -> str:
        return f"{self.operator}: {self.strength}"


def data(function: Callable[..., Part], value: float, *tasks: str) -> Change:
    """The training rows spoiled, for programs of these tasks."""

    def change(p: Program) -> Program | None:
        if p.task not in tasks:
            return None

        def spoiled(seed: int) -> Data:
            made = p.data(seed)
            chance = torch.Generator().manual_seed(1000 + seed)
            return made._replace(train=function(made.train, p.task, chance, value))

        return replace(p, data=spoiled)

    return change


def setting(when: Callable[[Program], bool] = lambda p: True, **values: Any) -> Change:
    """Other settings; a function is called with the program."""

    def change(p: Program) -> Program | None:
        if not when(p):
            return None
        return replace(p, **{key: value(p) if callable(value) else value for key, value in values.items()})

    return change


def build(when: Callable[[Program], bool], **values: Any) -> Change:
    """Another network."""

    def change(p: Program) -> Program | None:
        if not when(p):
            return None
        made = {key: value(p) if callable(value) else value for key, value in values.items()}
        return replace(p, build=replace(p.build, **made))

    return change


def deep(p: Program) -> bool:
    return "logistic" not in p.name


def steps_down(p: Program) -> bool:
    return p.optimizer in ("sgd", "momentum")


def decays(p: Program) -> bool:
    return p.decay > 0


def stops(p: Program) -> bool:
    return p.patience is not None


EVERY = ("classes", "binary", "numbers")
LABELLED = ("classes", "binary")
SLOW = {"learning-rate-low", "underfitting", "too-few-epochs", "loss-plateau"}
WILD = {"learning-rate-high", "loss-diverges", "loss-oscillates", "exploding-gradient", "nonfinite", "dying-relu"}
EQUAL = {"constant-init", "symmetric-init"}
SCALE = {"init-scale", "saturation", "exploding-gradient"}
HEAVY = {"regularization-dominates", "underfitting"}
WEAK = {"vanishing-gradient", "saturation", "underfitting"}


def all_faults() -> Iterator[tuple[str, str, Change, set[str]]]:
    yield "change labels", "25 %", data(spoil.change_labels, 0.25, *EVERY), {"label-noise"}
    yield "change labels", "50 %", data(spoil.change_labels, 0.5, *EVERY), {"label-noise"}
    yield "change labels", "85 %", data(spoil.change_labels, 0.85, *EVERY), {"label-noise", "misaligned-labels"}
    few = {"overfitting", "too-few-epochs", "underfitting"}
    yield "delete training data", "90 %", data(spoil.delete, 0.9, *EVERY), few
    yield "delete training data", "97 %", data(spoil.delete, 0.97, *EVERY), few
    yield "unbalance training data", "90 %", data(spoil.unbalance, 0.9, *LABELLED), {"class-imbalance"}
    rare = {"class-imbalance", "split-mismatch"}
    yield "unbalance training data", "98 %", data(spoil.unbalance, 0.98, *LABELLED), rare
    noisy = {"split-mismatch", "overfitting"}
    yield "add noise", "1 deviation", data(spoil.add_noise, 1.0, *EVERY), noisy
    yield "add noise", "3 deviations", data(spoil.add_noise, 3.0, *EVERY), noisy
    yield "make classes overlap", "all rows", data(spoil.overlap, 1.0, *LABELLED), {"label-noise"}

    yield "change batch size", "an eighth", setting(batch=lambda p: max(2, p.batch // 8)), WILD | {"small-batch-norm"}
    yield "change batch size", "16 times", setting(batch=lambda p: 16 * p.batch), SLOW
    yield "disable batching", "all rows", setting(batch=None), SLOW
    yield "decrease learning rate", "a 30th", setting(lr=lambda p: p.lr / 30), SLOW
    yield "decrease learning rate", "a 1000th", setting(lr=lambda p: p.lr / 1000), SLOW
    yield "increase learning rate", "30 times", setting(lr=lambda p: 30 * p.lr), WILD
    yield "increase learning rate", "300 times", setting(lr=lambda p: 300 * p.lr), WILD
    short = {"too-few-epochs", "underfitting"}
    yield "change number of epochs", "a fourth", setting(epochs=lambda p: p.epochs // 4), short
    yield "change number of epochs", "one", setting(epochs=1), short

    yield "change activation", "sigmoid", build(deep, activation="sigmoid"), WEAK
    yield "change activation", "softmax", build(deep, activation="softmax"), WEAK | {"too-few-epochs", "loss-plateau"}
    yield "remove activation", "all", build(deep, activation="none"), {"missing-nonlinearity"}
    both = build(deep, activation=lambda p: p.build.activation + "+sigmoid")
    yield "add activation", "sigmoid between", both, WEAK | {"redundant-activation", "output-activation-mismatch"}
    labelled: dict[str, set[str]] = {
        "relu": {"output-activation-mismatch", "dying-relu"},
        "sigmoid": {"output-activation-mismatch", "double-sigmoid"},
        "softmax": {"double-softmax", "softmax-single-unit", "output-activation-mismatch"},
    }
    for name, accepts in labelled.items():
        yield "add activation", f"{name} on scores", build(lambda p: p.task in LABELLED, output=name), accepts
    for name, more in (("relu", {"dying-relu"}), ("sigmoid", set[str]()), ("softmax", {"softmax-single-unit"})):
        bounded = build(lambda p: p.task == "numbers" and p.build.output == "none", output=name)
        yield "add activation", f"{name} on numbers", bounded, {"output-range", "output-activation-mismatch"} | more

    yield "add regularisation", "L1, 0.001", setting(l1=1e-3), HEAVY
    yield "add regularisation", "L1, 0.03", setting(l1=0.03), HEAVY
    yield "add regularisation", "L2, 0.3", setting(lambda p: not p.decay, decay=0.3), HEAVY
    yield "change regularisation", "L2, 1000 times", setting(decays, decay=lambda p: 1000 * p.decay), HEAVY
    yield "remove regularisation", "L2", setting(decays, decay=0.0), {"overfitting"}
    dropped = {"excessive-dropout", "underfitting"}
    yield "change dropout rate", "0.8", build(deep, dropout=0.8), dropped
    yield "change dropout rate", "0.95", build(deep, dropout=0.95), dropped
    yield "change dropout rate", "0", build(lambda p: p.build.dropout > 0, dropout=0.0), {"overfitting"}

    yield "change weights initialisation", "zeros", build(deep, init="zeros"), EQUAL
    yield "change weights initialisation", "ones", build(deep, init="ones"), EQUAL | {"init-scale"}
    yield "change weights initialisation", "N(0, 1)", build(deep, init="normal-1"), SCALE
    yield "change weights initialisation", "N(0, 5²)", build(deep, init="normal-5"), SCALE
    tiny = {"init-scale", "vanishing-gradient"}
    yield "change weights initialisation", "N(0, 0.0001²)", build(deep, init="normal-0.0001"), tiny
    # The catalogue has no name for a bias that is missing; what it does is leave too little capacity.
    yield "remove bias", "hidden layers", build(lambda p: deep(p) and p.build.bias, bias=False), {"underfitting"}
    yield "add bias", "before norms", build(lambda p: not p.build.bias, bias=True), {"bias-before-norm"}

    wrong = {"loss-task-mismatch"}
    for name in ("mse", "mae"):
        classes = setting(lambda p: p.task == "classes", loss=name, one_hot=lambda p: classes_of(p))
        yield "change loss", f"{name} of one-hot labels", classes, wrong
        yield "change loss", f"{name} of two classes", setting(lambda p: p.task == "binary", loss=name), wrong
    raw = setting(lambda p: p.task == "classes", loss="nll")
    yield "change loss", "NLL of scores", raw, wrong | {"probabilities-to-nll", "loss-diverges"}
    real = wrong | {"softmax-single-unit", "output-activation-mismatch"}
    yield "change loss", "cross-entropy of numbers", setting(lambda p: p.task == "numbers", loss="cross-entropy"), real
    crossed = setting(lambda p: p.task == "numbers", loss="bce-with-logits")
    yield "change loss", "BCE of numbers", crossed, wrong | {"double-sigmoid", "loss-diverges"}

    yield "change optimizer", "SGD, same rate", setting(lambda p: not steps_down(p), optimizer="sgd"), SLOW
    yield "change optimizer", "Adadelta, same rate", setting(optimizer="adadelta"), SLOW
    yield "change optimizer", "Adam, same rate", setting(steps_down, optimizer="adam"), WILD
    yield "change gradient clipping", "norm 0.0001", setting(clip=1e-4), SLOW
    unclipped = {"exploding-gradient", "learning-rate-high", "nonfinite", "loss-diverges"}
    yield "change gradient clipping", "none", setting(lambda p: p.clip is not None, clip=None), unclipped

    yield "change early stop patience", "1", setting(stops, patience=1), short
    yield "change early stop patience", "1000", setting(stops, patience=1000), {"overfitting"}
    yield "remove validation data", "all", setting(stops, validates=False, patience=None), {"overfitting"}


def classes_of(p: Program) -> int:
    return int(p.data(0).train.y.max()) + 1


FAULTS = [Fault(operator, strength, change, frozenset(accepts)) for operator, strength, change, accepts in all_faults()]
OPERATORS = list(dict.fromkeys(fault.operator for fault in FAULTS))


def faulty(program: Program, operators: list[str] | None = None) -> list[tuple[Fault, Program]]:
    """The program with each fault that can be put into it."""
    chosen = [fault for fault in FAULTS if operators is None or fault.operator in operators]
    made = [(fault, fault.change(program)) for fault in chosen]
    return [(fault, changed) for fault, changed in made if changed is not None]
