"""What torch computes after a model was called, recorded while a script computes it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, _pop_mode, _push_mode

from osler.doctor.tracing import canonical, place
from osler.doctor.tree import leaves


@dataclass(frozen=True)
class Made:
    """The `leaf`-th tensor that the `index`-th recorded operation gave."""

    index: int
    leaf: int


@dataclass(frozen=True)
class Output:
    """The `leaf`-th tensor that a call of a model gave; `before`: the recorded operation inside it, if any."""

    call: int
    leaf: int
    tensor: Tensor
    before: Made | None


@dataclass(frozen=True)
class Predicted:
    """A tensor of the prediction, in a loss that is computed again."""

    leaf: int


@dataclass(frozen=True)
class Wanted:
    """A tensor of the target."""

    leaf: int


@dataclass
class Constant:
    """A tensor that is neither prediction nor target, and what it held when the loss was recorded."""

    live: Tensor
    first: Tensor


@dataclass
class Call:
    """A model was called; `since`: how much was recorded until then."""

    number: int
    inputs: Any
    output: Any
    since: int


@dataclass
class Operation:
    """One call of a torch function; tensors that were made or put out before stand in it as references."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    place: str
    gradients: bool
    precision: tuple[str, torch.dtype] | None  # of autocast
    made: tuple[Tensor, ...] = ()

    @property
    def name(self) -> str:
        return canonical(self.function)

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation:
        """Copies the tensors alone: not all functions and arguments can be copied."""
        arguments, options = swap(
            (self.arguments, self.options),
            lambda one: copy.deepcopy(one, memo) if isinstance(one, Tensor | Constant) else one,
        )
        return Operation(self.function, arguments, options, self.place, self.gradients, self.precision)

    def members(self) -> list[Any]:
        """All arguments, those inside structures too."""
        return list(_members((self.arguments, self.options)))


class Tape(TorchFunctionMode):
    """Records what torch computes from the outputs of models on.

    It lies at the bottom of torch's stack of modes: modes that a script enters and leaves meanwhile come and go on top.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on = False
        self._inside = 0  # torch takes a mode off the stack while it handles a call, and puts it back itself
        self.clear()

    def clear(self) -> None:
        self.operations: list[Operation] = []
        self.broken: Operation | None = None
        self._where: dict[int, Made | Output] = {}
        self._held: list[Any] = []  # alive, so that no identity is used twice

    def start(self) -> None:
        self.on = True
        if not self._inside and not any(mode is self for mode in _stack()):
            _restack([self, *_stack()])

    def stop(self) -> None:
        self.on = False
        if not self._inside and any(mode is self for mode in _stack()):
            _restack([mode for mode in _stack() if mode is not self])

    def put_out(self, call: int, output: Any) -> None:
        """From now on these tensors are what a model gave."""
        for at, tensor in enumerate(leaves(output)):
            before = self._where.get(id(tensor))
            self._held.append(tensor)
            before = before.before if isinstance(before, Output) else before
            self._where[id(tensor)] = Output(call, at, tensor, before)

    def reference(self, tensor: Tensor) -> Made | Output | None:
        return self._where.get(id(tensor))

    def made_by(self, call: int) -> dict[Any, int]:
        """The operations that gave what a call put out besides single numbers, and which of its tensors each gave."""
        outputs = [one for one in self._where.values() if isinstance(one, Output) and one.call == call]
        return {one.before: one.leaf for one in outputs if one.before is not None and one.tensor.dim()}

    def data(self, since: int = 0) -> Iterator[Tensor]:
        """Tensors that don't come from a model, in the order of their use from an operation on."""
        derived: set[int] = set()
        for index, one in enumerate(self.operations[since:], since):
            members = one.members()
            if any(isinstance(m, Output) or (isinstance(m, Made) and m.index in derived) for m in members):
                derived.add(index)
            yield from (m for m in members if isinstance(m, Tensor))
            yield from one.made if index not in derived else ()

    def fail(self) -> Made:
        """The operation that raised, as the end of what was recorded."""
        assert self.broken is not None
        self.broken.made = (torch.zeros(()),)
        self.operations.append(self.broken)
        return Made(len(self.operations) - 1, 0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        noted = self._note(func, args, kwargs) if self.on else None
        self._inside += 1
        try:
            result = func(*args, **kwargs)
        except Exception:
            self.broken = self.broken or noted
            raise
        finally:
            self._inside -= 1
        if noted is None or not self.on:
            return result
        made = tuple(leaves(args[0] if canonical(func) == "__setitem__" else result))
        if made:
            noted.made = made
            for at, tensor in enumerate(made):
                self._where[id(tensor)] = Made(len(self.operations), at)
            self._held.append((args, kwargs, result))
            self.operations.append(noted)
        return result

    def _note(self, func: Any, args: Any, kwargs: Any) -> Operation:
        given, named = swap((tuple(args), kwargs), lambda t: self._where.get(id(t), t))
        return Operation(func, given, named, place(), torch.is_grad_enabled(), _precision())


def _precision() -> tuple[str, torch.dtype] | None:
    kind = next((k for k in ("cpu", "cuda") if torch.is_autocast_enabled(k)), None)
    return (kind, torch.get_autocast_dtype(kind)) if kind is not None else None


def _stack() -> list[Any]:
    return [torch._C._get_function_stack_at(i) for i in range(torch._C._len_torch_function_stack())]


def _restack(modes: Sequence[Any]) -> None:
    for _ in range(torch._C._len_torch_function_stack()):
        _pop_mode()  # type: ignore[no-untyped-call]
    for mode in modes:
        _push_mode(mode)  # type: ignore[no-untyped-call]


def _members(tree: Any) -> Iterator[Any]:
    """What a structure of arguments holds, references and numbers too."""
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    elif isinstance(tree, slice):
        tree = (tree.start, tree.stop, tree.step)
    if isinstance(tree, list | tuple):
        for value in tree:
            yield from _members(value)
    else:
        yield tree


def swap(tree: Any, function: Callable[[Any], Any]) -> Any:
    """The structure of arguments with the function applied to each tensor and reference."""
    if isinstance(tree, Tensor | Made | Output | Predicted | Wanted | Constant):
        return function(tree)
    if isinstance(tree, dict):
        return {key: swap(value, function) for key, value in tree.items()}
    if isinstance(tree, slice):
        return slice(*(swap(value, function) for value in (tree.start, tree.stop, tree.step)))
    if isinstance(tree, list | tuple) and not hasattr(tree, "_fields"):
        return type(tree)(swap(value, function) for value in tree)
    return tree


def terms(tape: Tape, end: Made | Output, calls: set[int]) -> dict[int, Made | Output] | None:
    """The parts of a sum that each depend on one call of the model; None where calls meet in another way."""
    known: dict[Any, set[int]] = {}

    def depends(source: Any) -> set[int]:
        if isinstance(source, Output):
            return {source.call} if source.call in calls else depends(source.before)
        if not isinstance(source, Made):
            return set()
        if source.index not in known:
            known[source.index] = set()
            one = tape.operations[source.index]
            known[source.index] = set().union(*(depends(v) for v in one.members()))
        return known[source.index]

    def parts(source: Any) -> dict[int, Made | Output] | None:
        found = depends(source)
        if len(found) <= 1:
            return dict.fromkeys(found, source)
        one = tape.operations[source.index] if isinstance(source, Made) else None
        if one is None or one.name not in ("add", "mul", "div"):
            return None
        total: dict[int, Made | Output] = {}
        for member in one.arguments:
            inside = parts(member)
            if inside is None or total.keys() & inside.keys():
                return None
            total |= inside
        return total

    return parts(end)
