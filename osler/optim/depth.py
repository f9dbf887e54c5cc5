"""Discriminative learning rates: the further a layer is from the head, the smaller its steps."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parameter import Parameter
from torch.optim import Optimizer

from osler.errors import InputError

FEW = 3  # stages: with fewer, what holds the layers is opened


def stages(model: nn.Module) -> list[tuple[str, list[Parameter]]]:
    """Names of the model's stages and their parameters, from the first to the head: in the order they were registered.

    A stage is a module of the outermost level (ResNet: conv1, layer1 … layer4, fc). Where these are fewer than three,
    they are opened (VGG: features.0, features.2 …, classifier.6). What holds no matrices, as a normalisation, belongs
    to the stage before it; what the model itself holds, to the first. Shared parameters count where they come first.

        >>> [name for name, _ in stages(osler.model("mlp", inputs=(4,), outputs=3, hidden=[8, 8]))]
        ['hidden.1', 'hidden.2', 'output']
    """
    modules = [(name, child) for name, child in model.named_children() if any(True for _ in child.parameters())]
    while len(modules) < FEW and any(_opens(module) for _, module in modules):
        modules = [inner for name, module in modules for inner in _inside(name, module)]
    seen: set[int] = set()
    found: list[tuple[str, list[Parameter]]] = []
    loose = [("", list(model.parameters(recurse=False)))]
    for name, parameters in [*loose, *((name, list(module.parameters())) for name, module in modules)]:
        new = [p for p in dict.fromkeys(parameters) if id(p) not in seen]
        seen.update(map(id, new))
        if found and (not found[-1][0] or all(p.ndim < 2 for p in parameters)):
            found[-1] = (found[-1][0] or name, found[-1][1] + new)
        elif new:
            found.append((name, new))
    return found


def groups_by_depth(model: nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An optimizer's groups, each cut into those of the stages; the head's come first, whose rate is the one asked for.

    `depth`, in each, counts the stages between it and the head.
    """
    last = stages(model)[::-1]
    depths = {id(p): depth for depth, (_, parameters) in enumerate(last) for p in parameters}
    return [
        {**group, "params": members, "depth": depth}
        for depth in range(len(last))
        for group in groups
        if (members := [p for p in group["params"] if depths[id(p)] == depth])
    ]


def decay_rates(optimizer: Optimizer, factor: float) -> Optimizer:
    """The optimizer of `groups_by_depth`, each stage with `factor` times the learning rate of the one behind it.

    Formula: lr of a stage = lr · factor^depth. Schedules move all of them in proportion.
    Raises InputError unless 0 < factor ≤ 1.
    Use: networks that begin with published weights, whose first layers are general and should change least.
    Source: Howard and Ruder, "Universal language model fine-tuning for text classification", 2018, with 1/2.6.

        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
        >>> groups = groups_by_depth(model, [{"params": list(model.parameters())}])
        >>> [group["lr"] for group in decay_rates(torch.optim.SGD(groups, lr=1.0), 0.5).param_groups]
        [1.0, 0.5, 0.25]
    """
    if not 0 < factor <= 1:
        raise InputError(f"layer_decay must be above 0 and at most 1, which makes all rates equal, but got {factor!r}")
    for group in optimizer.param_groups:
        group["lr"] *= factor ** group["depth"]
    return optimizer


def shares(model: nn.Module, factor: float) -> str:
    """What each stage's rate is of the head's, in words: "fc 1, layer4 0.4, …"."""
    return ", ".join(f"{name} {factor**depth:.3g}" for depth, (name, _) in enumerate(stages(model)[::-1]))


def _opens(module: nn.Module) -> bool:
    own = any(True for _ in module.parameters(recurse=False))
    return not own and any(True for _ in module.parameters())


def _inside(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    if not _opens(module):
        return [(name, module)]
    children = module.named_children()
    return [(f"{name}.{child}", inner) for child, inner in children if any(True for _ in inner.parameters())]
