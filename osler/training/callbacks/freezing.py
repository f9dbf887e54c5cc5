"""Freezing: layers keep their weights, for the whole training or until an epoch (transfer learning)."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from osler.errors import InputError, unknown_name
from osler.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from osler.training.trainer import Trainer


class Freezing(Callback):
    """Modules of these names, and all inside them, keep their weights until an epoch, or to the end.

    `modules`: names as in `model.named_modules()`, or patterns with * and ? ("backbone", "layer[12]*").
    `unfreeze`: the epoch, counted from 1, from whose first step on they learn; None: never. `gradual`: they don't
    begin to learn together but one layer after the other, from the last one back, so many epochs apart; 0: together.
    A layer is one of the outermost modules that match, or a child of the only one that does; a normalisation belongs
    to the layer before it.

    Frozen batch normalisation is in evaluation mode: its running statistics stay, and are what it normalises with.
    The optimizer holds frozen parameters from the start, so that its groups and schedule never change: they get no
    gradient, and an optimizer of torch leaves such parameters alone (no decay, no state). After training every
    parameter is as ready to learn as before. Parameters that were frozen before stay frozen.
    Raises InputError for names that match nothing, and where nothing is left to learn.
    Source: gradual unfreezing is Howard and Ruder, "Universal language model fine-tuning for text classification",
    2018.
    """

    def __init__(self, modules: str | Sequence[str], unfreeze: int | None = None, gradual: int = 0):
        if unfreeze is not None and unfreeze < 1:
            raise InputError(f"unfreeze is an epoch, counted from 1, but got {unfreeze}; leave it out for never")
        if gradual < 0:
            raise InputError(f"gradual must be 0 (all at once) or more epochs between two layers, but got {gradual}")
        if gradual and unfreeze is None:
            raise InputError(f"gradual = {gradual} needs the epoch at which the last layer begins: give unfreeze")
        self.patterns = (modules,) if isinstance(modules, str) else tuple(modules)
        self.unfreeze = unfreeze
        self.gradual = gradual
        self.epoch_to_come = 1
        self.layers: list[_Layer] = []

    def begin(self, trainer: Trainer) -> None:
        self.layers = [_Layer(modules) for modules in layers(trainer.model, self.patterns)]
        frozen = {id(parameter) for layer in self.layers for parameter in layer.parameters}
        if all(id(parameter) in frozen for parameter in trainer.model.parameters() if parameter.requires_grad):
            named = ", ".join(map(repr, self.patterns))
            raise InputError(f"freezing {named} leaves nothing that learns: leave out the last layer at least")
        if self.unfreeze is not None:
            self._check_optimizers(trainer)
        for layer in self.layers:
            layer.freeze()
        self._thaw(trainer.epoch + 1)

    def epoch(self, trainer: Trainer) -> None:
        self._thaw(trainer.epoch + 1)

    def end(self, trainer: Trainer) -> None:
        for layer in self.layers:
            layer.thaw()
        self.layers = []

    def state_dict(self) -> dict[str, Any]:
        return {"epoch_to_come": self.epoch_to_come}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for layer in self.layers:
            layer.freeze()
        self._thaw(state["epoch_to_come"])

    def _thaw(self, epoch: int) -> None:
        """Lets learn what learns in this epoch."""
        self.epoch_to_come = epoch
        if self.unfreeze is not None:
            for place, layer in enumerate(reversed(self.layers)):
                if epoch >= self.unfreeze + place * self.gradual:
                    layer.thaw()

    def _check_optimizers(self, trainer: Trainer) -> None:
        held = {id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]}
        names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
        for layer in self.layers:
            for parameter in layer.parameters:
                if id(parameter) not in held:
                    raise InputError(
                        f"{names[id(parameter)]!r} learns from epoch {self.unfreeze} on, but no optimizer holds it: "
                        "give the optimizer all parameters"
                    )


class _Layer:
    """Parameters that freeze together, and the normalisations among their modules."""

    def __init__(self, modules: list[nn.Module]):
        self.parameters = [p for module in modules for p in module.parameters(recurse=False) if p.requires_grad]
        self.norms = [module for module in modules if isinstance(module, _BatchNorm) and module.training]

    def freeze(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(False)
        for norm in self.norms:
            norm.eval()

    def thaw(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        for norm in self.norms:
            norm.train()


def layers(model: nn.Module, patterns: Sequence[str]) -> list[list[nn.Module]]:
    """The modules of each layer that the patterns mean, from the first layer to the last."""
    names = [name for name, _ in model.named_modules() if name]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise unknown_name("module to freeze", pattern, names)
    outermost: list[str] = []
    for name in names:  # a module comes before those inside it
        inside = any(name.startswith(f"{outer}.") for outer in outermost)
        if not inside and any(fnmatchcase(name, pattern) for pattern in patterns):
            outermost.append(name)
    modules = [model.get_submodule(name) for name in outermost]
    found = []
    while len(modules) == 1 and list(modules[0].children()):
        found.append(modules)  # its own parameters, without those of its children
        modules = list(modules[0].children())
    found += [list(module.modules()) for module in modules]

    joined: list[list[nn.Module]] = []
    for layer in found:
        parameters = [p for module in layer for p in module.parameters(recurse=False)]
        if joined and all(p.ndim < 2 for p in parameters):
            joined[-1] += layer
        else:
            joined.append(layer)
    return joined
