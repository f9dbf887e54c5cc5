"""From a recording to the loss in it: what is prediction, what is target, and what is computed between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from osler.doctor.graph import RESHAPING, words
from osler.doctor.replay import FROM_NOTHING, RANDOM, Replay
from osler.doctor.tape import Constant, Made, Operation, Output, Predicted, Tape, Wanted, swap
from osler.doctor.tree import leaves, rows

INDEXING = words("__getitem__ index_select take gather take_along_dim")
COUNTING = words("arange eye")


def follow(tape: Tape, end: Made | Output, call: int, inputs: Any, own: nn.Module, within: bool = False) -> Replay:
    """The loss at `end` as a function of what a call of the model `own` put out, and of targets.

    Targets are the tensors with one row per sample that no model made, as near to their source as they have these rows.
    `within`: a loss that the model computes itself is followed into the model, up to what else it puts out.
    """
    found = _Following(tape, call, inputs, own, within)
    last = found.resolve(end)
    given = [next((i for i, x in enumerate(found.given) if x is t), None) for t in found.targets]
    return Replay(found.steps, last, found.count, found.targets, given, found.predicts, found.scalar)


class _Following:
    def __init__(self, tape: Tape, call: int, inputs: Any, own: nn.Module, within: bool):
        self.tape, self.call, self.count, self.within = tape, call, rows(inputs), within
        self.given = list(leaves(inputs))
        self.own = {id(t) for t in (*own.parameters(), *own.buffers())}
        self.cuts = tape.made_by(call) if within else {}
        self.steps: list[Operation] = []
        self.targets: list[Tensor] = []
        self.predicts = self.scalar = False
        self._places: dict[int, int] = {}
        self._constants: dict[int, Constant] = {}
        self._free: dict[int, bool] = {}
        self._fed: dict[int, bool] = {}

    def resolve(self, source: Any) -> Any:
        if isinstance(source, Output):
            if source.call == self.call and not (self.within and not source.tensor.dim() and source.before):
                self.predicts, self.scalar = True, self.scalar or not source.tensor.dim()
                return Predicted(source.leaf)
            return self.resolve(source.before if source.before is not None else source.tensor)
        if source in self.cuts:
            self.predicts = True
            return Predicted(self.cuts[source])
        if isinstance(source, Made):
            one = self.tape.operations[source.index]
            made = one.made[source.leaf]
            if self._per_sample(made) and self._is_data(source, one):
                return self._outside(made)
            if source.index not in self._places:
                arguments, options = swap((one.arguments, one.options), self.resolve)
                self._places[source.index] = len(self.steps)
                self.steps.append(replace(one, arguments=arguments, options=options, made=()))
            return Made(self._places[source.index], source.leaf)
        return self._outside(source)

    def _per_sample(self, tensor: Tensor) -> bool:
        return tensor.dim() > 0 and len(tensor) == self.count

    def _is_data(self, source: Made, one: Operation) -> bool:
        """Whether a value with a row per sample is where the targets begin."""
        if one.name in FROM_NOTHING:
            return True
        if one.name in COUNTING or not self._independent(source):
            return False
        tensors = [t for m in one.members() if (t := self._tensor(m)) is not None]
        if one.name in INDEXING:
            return not any(t.dtype == torch.bool for t in tensors)
        if not any(self._per_sample(t) for t in tensors):
            return True  # put together here
        return one.name not in RESHAPING and self._from_input(source)

    def _tensor(self, source: Any) -> Tensor | None:
        if isinstance(source, Made):
            return self.tape.operations[source.index].made[source.leaf]
        return source if isinstance(source, Tensor) else source.tensor if isinstance(source, Output) else None

    def _independent(self, source: Any) -> bool:
        """Whether no model and no chance has a part in it."""
        if isinstance(source, Output):
            return False
        if isinstance(source, Tensor):
            return not source.requires_grad and id(source) not in self.own
        if not isinstance(source, Made):
            return True
        if source.index not in self._free:
            one = self.tape.operations[source.index]
            self._free[source.index] = one.name not in RANDOM and all(map(self._independent, one.members()))
        return self._free[source.index]

    def _from_input(self, source: Any) -> bool:
        """Whether the model's input, or a copy of it, has a part in it."""
        tensor = self._tensor(source)
        if tensor is not None and any(
            tensor is x or (tensor.shape == x.shape and tensor.dtype == x.dtype and torch.equal(tensor, x))
            for x in self.given
        ):
            return True
        if not isinstance(source, Made):
            return False
        if source.index not in self._fed:
            self._fed[source.index] = any(map(self._from_input, self.tape.operations[source.index].members()))
        return self._fed[source.index]

    def _outside(self, tensor: Tensor) -> Any:
        if id(tensor) in self.own:
            return tensor
        for at, known in enumerate(self.targets):
            if known is tensor:
                return Wanted(at)
        if self._per_sample(tensor) and not isinstance(tensor, nn.Parameter):
            self.targets.append(tensor)
            return Wanted(len(self.targets) - 1)
        if id(tensor) not in self._constants:
            live = tensor if tensor.is_leaf else tensor.detach()
            self._constants[id(tensor)] = Constant(live, tensor.detach().clone())
        return self._constants[id(tensor)]
