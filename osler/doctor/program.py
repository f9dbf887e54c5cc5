"""A copy of a user's program to experiment on: the model, and the loss with all that it closes over."""

import copy
import random
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from osler.doctor.tree import change, leaves


def inner(model: nn.Module) -> nn.Module:
    """The user's module inside a wrapper (compiled, data-parallel)."""
    while True:
        inside = getattr(model, "_orig_mod", None)
        if inside is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inside = model.module
        if not isinstance(inside, nn.Module):
            return model
        model = inside


def is_compiled(model: nn.Module) -> bool:
    """Whether calling the model runs compiled code, which no mode may disturb."""
    return hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None


def call(model: nn.Module, inputs: Any) -> Any:
    """The model's output for a tensor, a tuple of arguments, or a dict of named ones."""
    if isinstance(inputs, dict):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        return model(*inputs)
    return model(inputs)


def call_copy(model: nn.Module, inputs: Any) -> Any:
    """The model's output for copies of the inputs, which it may change in place."""
    return call(model, change(inputs, Tensor.clone))


def evaluate(loss: Callable[..., Any], output: Any, target: Any) -> Tensor:
    """The loss as a scalar; of several values (an unreduced loss, a tuple of terms) the mean of the first."""
    value = loss(output, target) if target is not None else loss(output)
    first = next(leaves(value), None)
    if first is None:
        raise TypeError(f"the loss returned a {type(value).__name__}, not a tensor")
    return first if first.dim() == 0 else first.mean()


def duplicate(model: nn.Module, loss: Any) -> tuple[nn.Module, Any]:
    """Copies of both that share nothing with the originals that training changes.

    A loss is often a function that reads the model (a penalty on its weights) or another network (a critic): the
    modules it closes over, or reads as globals, are copied too, each once.
    """
    memo: dict[int, Any] = {}
    twin = copy.deepcopy(model, memo)
    bound = _rebound(loss, memo, set())
    for copied in [twin, *(m for m in memo.values() if isinstance(m, nn.Module))]:
        without_our_hooks(copied)
    return twin, bound


def without_our_hooks(model: nn.Module) -> None:
    """A copied hook of ours would report to the probe of the original."""
    for module in model.modules():
        for table in (module._forward_pre_hooks, module._forward_hooks):
            for key in [k for k, hook in table.items() if getattr(hook, "__module__", "").startswith("osler.doctor")]:
                del table[key]


def _rebound(value: Any, memo: dict[int, Any], seen: set[int], depth: int = 4) -> Any:
    """A callable with the modules it refers to replaced by copies."""
    if isinstance(value, nn.Module):
        return copy.deepcopy(value, memo)
    if depth == 0 or id(value) in seen:
        return value
    seen = seen | {id(value)}
    if isinstance(value, partial):
        new = [_rebound(v, memo, seen, depth - 1) for v in (value.func, *value.args)]
        return partial(new[0], *new[1:], **{k: _rebound(v, memo, seen, depth - 1) for k, v in value.keywords.items()})
    if isinstance(value, types.MethodType):
        owner = _rebound(value.__self__, memo, seen, depth - 1)
        return types.MethodType(value.__func__, owner)
    if not isinstance(value, types.FunctionType):
        return value
    cells = []
    for cell in value.__closure__ or ():
        try:
            cells.append(types.CellType(_rebound(cell.cell_contents, memo, seen, depth - 1)))
        except ValueError:  # an empty cell
            cells.append(cell)
    changed = {
        name: new
        for name in value.__code__.co_names
        if name in value.__globals__
        and (new := _rebound(value.__globals__[name], memo, seen, depth - 1)) is not value.__globals__[name]
    }
    defaults = tuple(_rebound(v, memo, seen, depth - 1) for v in value.__defaults__ or ())
    named = {k: _rebound(v, memo, seen, depth - 1) for k, v in (value.__kwdefaults__ or {}).items()}
    if not cells and not changed and not defaults and not named:
        return value
    bound = {**value.__globals__, **changed} if changed else value.__globals__
    twin = types.FunctionType(value.__code__, bound, value.__name__, defaults or None, tuple(cells))
    twin.__kwdefaults__ = named or None
    return twin


@contextmanager
def quiet() -> Iterator[None]:
    """Draws and warnings inside leave no trace outside: random states of torch, numpy and Python are put back."""
    ready: Any = torch.cuda.is_initialized
    cuda = torch.cuda.is_available() and ready()
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    devices = torch.cuda.get_rng_state_all() if cuda else []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
        if cuda:
            torch.cuda.set_rng_state_all(devices)
