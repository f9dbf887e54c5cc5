"""Remedies as code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from osler.records import Cure


def advice(title: str, *lines: str, **settings: Any) -> Cure:
    """A remedy that changes lines of code (and, where a recipe has it, settings)."""
    return Cure(title, tuple(lines), {key.replace("__", "."): value for key, value in settings.items()})


def drop_module(names: Iterable[str], kinds: tuple[type[nn.Module], ...], title: str, *lines: str) -> Cure:
    """Replaces the modules of these kinds among the named ones by the identity."""
    wanted = tuple(names)

    def action(program: Any) -> None:
        for name in wanted:
            if name and isinstance(program.model.get_submodule(name), kinds):
                parent, _, last = name.rpartition(".")
                setattr(program.model.get_submodule(parent), last, nn.Identity())

    return Cure(title, tuple(lines), {}, action)


def scale_rate(rate: float, factor: float, title: str) -> Cure:
    """Multiplies every learning rate of the optimizer."""

    def action(program: Any) -> None:
        for group in program.optimizer.param_groups:
            group["lr"] = group["lr"] * factor

    new = float(f"{rate * factor:.2g}")
    return Cure(title, (f"- lr={rate:g}", f"+ lr={new:g}"), {"optimizer.lr": new}, action)


def add_parameters(names: Iterable[str]) -> Cure:
    """Gives the optimizer the parameters that it lacks."""
    wanted = set(names)

    def action(program: Any) -> None:
        held = {id(p) for group in program.optimizer.param_groups for p in group["params"]}
        missing = [p for n, p in program.model.named_parameters() if n in wanted and id(p) not in held]
        if missing:
            program.optimizer.add_param_group({"params": missing})

    return Cure(
        "give the optimizer all parameters of the model", ("+ optimizer = ...(model.parameters(), ...)",), {}, action
    )


def initialise(modules: Iterable[str], method: str = "kaiming") -> Cure:
    """Draws the weights of the named layers anew: for those before a ReLU by He (2015), else by Glorot (2010)."""
    wanted = tuple(modules)

    def action(program: Any) -> None:
        for name in wanted:
            for key, p in program.model.get_submodule(name).named_parameters(recurse=False):
                if p.dim() >= 2 and key.startswith("weight_hh"):
                    nn.init.orthogonal_(p)
                elif p.dim() >= 2 and method == "kaiming":
                    nn.init.kaiming_normal_(p, nonlinearity="relu")
                elif p.dim() >= 2:
                    nn.init.xavier_uniform_(p)
                else:
                    nn.init.zeros_(p)

    call = (
        "kaiming_normal_(layer.weight, nonlinearity='relu')" if method == "kaiming" else "xavier_uniform_(layer.weight)"
    )
    he = "he_normal" if method == "kaiming" else "xavier_uniform"
    return Cure(
        "draw the weights by He (before ReLU) or Xavier",
        (f"+ nn.init.{call}", "+ nn.init.zeros_(layer.bias)"),
        {"initialization": he},
        action,
    )


def unfreeze(names: Iterable[str]) -> Cure:
    wanted = set(names)

    def action(program: Any) -> None:
        for name, p in program.model.named_parameters():
            if name in wanted:
                p.requires_grad_(True)

    return Cure("let the layer train", ("+ for p in layer.parameters(): p.requires_grad = True",), {}, action)


def train_mode() -> Cure:
    def action(program: Any) -> None:
        program.model.train()

    return Cure(
        "call model.train() before every training epoch", ("+ model.train()  # after every evaluation",), {}, action
    )


def set_loss(make: Callable[[], Any], title: str, *lines: str, **settings: Any) -> Cure:
    """Replaces the loss of the program."""

    def action(program: Any) -> None:
        program.loss = make()

    return Cure(title, tuple(lines), {key.replace("__", "."): value for key, value in settings.items()}, action)


def lower_dropout(names: Iterable[str], p: float = 0.3) -> Cure:
    wanted = tuple(names)

    def action(program: Any) -> None:
        for name in wanted:
            module = program.model.get_submodule(name)
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = min(module.p, p)

    return Cure(f"lower the dropout to {p:g}", (f"+ nn.Dropout({p:g})",), {"model.dropout": p}, action)


def clip(norm: float = 1.0) -> Cure:
    return Cure(
        "clip gradients to norm 1",
        ("  loss.backward()", f"+ nn.utils.clip_grad_norm_(model.parameters(), {norm:g})"),
        {"clip_norm": norm},
    )


def standardise_input() -> Cure:
    return advice(
        "standardise the inputs with the statistics of the training rows",
        "+ mean, std = x_train.mean(0), x_train.std(0).clamp_min(1e-8)",
        "+ x_train, x_test = (x_train - mean) / std, (x_test - mean) / std",
        scale=True,
    )


def class_weights(counts: tuple[int, ...]) -> Cure:
    total, classes = sum(counts), sum(c > 0 for c in counts)
    weights = [total / (classes * c) if c else 0.0 for c in counts]
    text = ", ".join(f"{w:.3g}" for w in weights[:12]) + (", ..." if len(weights) > 12 else "")

    def make() -> nn.Module:
        return nn.CrossEntropyLoss(weight=torch.tensor(weights))

    return set_loss(
        make,
        "weight each class by the inverse of its frequency",
        f"+ nn.CrossEntropyLoss(weight=torch.tensor([{text}]))",
        class_weights="balanced",
    )
