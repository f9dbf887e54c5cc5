"""The loss as a script computed it, as a function of predictions and targets that can be called again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

import torch
from torch import Tensor, nn

from osler.doctor.graph import words
from osler.doctor.tape import Constant, Made, Operation, Predicted, Wanted, swap
from osler.doctor.tree import leaves, rows

# Made from nothing that was computed, so that what they give is data: the ones that a GAN's discriminator is to say.
FROM_NOTHING = words("""
    ones zeros full tensor as_tensor ones_like zeros_like full_like new_ones new_zeros new_full new_tensor
    """)
RANDOM = words("""
    rand randn randint randperm rand_like randn_like normal bernoulli multinomial uniform exponential dropout
    """)
SIZED = FROM_NOTHING | words("rand randn empty arange view reshape expand repeat tile broadcast_to")


class Replay(nn.Module):
    """A loss (prediction, target) that repeats `steps`, which were recorded with `count` samples, up to `end`.

    `targets`: the targets of the recorded step; `inputs`: which tensor of the model's inputs each of them was, if any.
    `predicts`: whether the model's output has a part in it; `scalar`: whether that is a number that the model computed,
    its own loss. Numbers of samples among the arguments (`x.view(32, -1)`, `/ 32`) follow the batch. A module, so that
    a copy of the model brings a copy of the loss, with the weights that it reads exchanged.
    """

    def __init__(
        self,
        steps: list[Operation],
        end: Any,
        count: int,
        targets: list[Tensor],
        inputs: list[int | None],
        predicts: bool,
        scalar: bool,
    ):
        super().__init__()
        self.steps, self.end, self.count = steps, end, count
        self.targets, self.inputs = [t.detach() for t in targets], inputs
        self.predicts, self.scalar = predicts, scalar
        self.live = True  # whether constants are read as they are now
        # What masks the rows comes after what is to be predicted for them.
        self.order = sorted(range(len(targets)), key=lambda i: targets[i].dtype == torch.bool)

    @property
    def signature(self) -> tuple[str, ...]:
        """The names of the operations: equal for losses of one kind."""
        return tuple(step.name for step in self.steps)

    @property
    def random(self) -> bool:
        """Whether no two calls give the same."""
        return any(step.name in RANDOM for step in self.steps)

    @property
    def sized(self) -> bool:
        """Whether sizes are among the arguments."""
        return any(step.name in SIZED for step in self.steps)

    def wanted(self, given: Sequence[Tensor]) -> Any:
        """Tensors in the order of `targets` as the structure that `forward` takes."""
        if not given:
            return None
        ordered = [given[i] for i in self.order]
        return ordered[0] if len(ordered) == 1 else tuple(ordered)

    def bound(self, weights: dict[int, Tensor] | None = None) -> Replay:
        """A copy that computes with other weights, or with the present ones, and with constants as they first were."""
        memo: dict[int, Any] = dict(weights or {})
        for step in self.steps:
            for one in step.members():
                if isinstance(one, Constant):
                    memo[id(one)] = Constant(one.first, one.first)
                elif isinstance(one, Tensor):
                    memo.setdefault(id(one), one)
        twin = copy.deepcopy(self, memo)
        twin.live = False
        return twin

    def scaled_by(self) -> float:
        """The number that the loss is multiplied with at the very end; 1 where there is none."""
        if not isinstance(self.end, Made) or not self.steps:
            return 1.0
        last = self.steps[self.end.index]
        number = next((v for v in last.arguments if isinstance(v, int | float) and not isinstance(v, bool)), None)
        if not number or not isinstance(last.arguments[0], Made | Predicted):
            return 1.0
        return {"div": 1 / number, "mul": float(number)}.get(last.name, 1.0)

    def unscaled(self) -> None:
        """Leaves that number out: a share of a step's loss becomes the loss."""
        if self.scaled_by() != 1:
            self.end = self.steps[self.end.index].arguments[0]

    def forward(self, prediction: Any, target: Any = None) -> Tensor:
        predicted, given = list(leaves(prediction)), list(leaves(target))
        count = rows(target) if given else rows(prediction)
        results: list[tuple[Tensor, ...]] = []

        def value(source: Any) -> Any:
            if isinstance(source, Made):
                return results[source.index][source.leaf]
            if isinstance(source, Predicted):
                return predicted[source.leaf]
            if isinstance(source, Wanted):
                return given[self.order.index(source.leaf)]
            if isinstance(source, Constant):  # a copy: an operation may change it (the statistics of a batch norm)
                return (source.live if self.live else source.first).clone()
            return source

        for step in self.steps:
            arguments, options = swap((step.arguments, step.options), value)
            if count != self.count and step.name in ("mul", "div"):
                arguments = tuple(_grown(a, self.count, count) if isinstance(s, Constant) else a
                                  for a, s in zip(arguments, step.arguments, strict=True))  # fmt: skip
            if count != self.count:
                arguments, options = _resized(step.name, arguments, options, self.count, count)
            kind, dtype = step.precision or ("cpu", None)
            with (
                torch.set_grad_enabled(torch.is_grad_enabled() and step.gradients),
                torch.autocast(kind, dtype, enabled=step.precision is not None),
            ):
                result = _at(step.place)(step.function, arguments, options)
            results.append(tuple(leaves(arguments[0] if step.name == "__setitem__" else result)))
        found: Tensor = value(self.end)
        return found


@lru_cache(maxsize=512)
def _at(where: str) -> Callable[..., Any]:
    """Calls a function from a line of the user's file, so that whoever asks for the place of the call is told it."""
    file, _, line = where.rpartition(":")
    text = "\n" * (int(line or 1) - 1) + "def at(function, arguments, options): return function(*arguments, **options)"
    code: CodeType = compile(text, file or "<loss>", "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    found: Callable[..., Any] = names["at"]
    return found


def _grown(constant: Tensor, then: int, now: int) -> Tensor:
    """A number of samples, or of their parts, that came as a tensor."""
    counts = then > 4 and not constant.dim() and float(constant) % then == 0
    return constant / then * now if counts else constant


def _resized(name: str, arguments: Any, options: Any, then: int, now: int) -> Any:
    """The arguments with the number of samples exchanged where it can only be that."""

    def multiple(n: Any) -> Any:
        fits = isinstance(n, int) and not isinstance(n, bool) and n > 0 and n % then == 0
        return n // then * now if fits else n

    def first_size(values: tuple[Any, ...]) -> tuple[Any, ...]:
        for at, one in enumerate(values):
            if isinstance(one, int) and not isinstance(one, bool):
                return (*values[:at], multiple(one), *values[at + 1 :])
            if isinstance(one, tuple | list) and one and isinstance(one[0], int):
                return (*values[:at], (multiple(one[0]), *one[1:]), *values[at + 1 :])
        return values

    def every(tree: Any) -> Any:
        if isinstance(tree, range) and tree == range(then):
            return range(now)
        if isinstance(tree, list) and tree == list(range(then)):
            return list(range(now))
        return type(tree)(map(every, tree)) if type(tree) in (tuple, list) else tree

    arguments = every(arguments)
    if name in SIZED:
        return first_size(arguments), {k: first_size((v,))[0] if k == "size" else v for k, v in options.items()}
    if name in ("mul", "div") and then > 4:
        arguments = tuple(now and 1 / now if isinstance(v, float) and v == 1 / then else multiple(v) for v in arguments)
    return arguments, options
