"""Follows a program while it computes with real data, so that functional code is seen exactly as modules are."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from osler.doctor.graph import CONSTANT, INPUT, TARGET, Graph, Op, Source
from osler.doctor.tree import leaves

_TORCH = os.path.dirname(torch.__file__)
_OURS = os.path.dirname(__file__)
_OPERATORS = {
    "__add__": "add",
    "__radd__": "add",
    "__iadd__": "add",
    "__sub__": "sub",
    "__rsub__": "sub",
    "__isub__": "sub",
    "__mul__": "mul",
    "__rmul__": "mul",
    "__imul__": "mul",
    "__truediv__": "div",
    "__rtruediv__": "div",
    "__itruediv__": "div",
    "__div__": "div",
    "__pow__": "pow",
    "__rpow__": "pow",
    "__matmul__": "matmul",
    "__rmatmul__": "matmul",
    "__neg__": "neg",
    "__abs__": "abs",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "absolute": "abs",
    "negative": "neg",
    "concat": "cat",
    "concatenate": "cat",
    "clip": "clamp",
    "special_expit": "sigmoid",
    "expit": "sigmoid",
    "square": "pow",
    "mm": "matmul",
    "bmm": "matmul",
    "_softmax": "softmax",
}
_PROPERTIES = frozenset(("T", "mT", "H", "real", "data"))
# Arguments that say how an operation works, and their place where they are positional.
_OPTIONS: dict[str, dict[str, int]] = {
    "softmax": {"dim": 1},
    "log_softmax": {"dim": 1},
    "dropout": {"p": 1, "training": 2},
    "alpha_dropout": {"p": 1, "training": 2},
    "feature_dropout": {"p": 1, "training": 2},
    "dropout1d": {"p": 1, "training": 2},
    "dropout2d": {"p": 1, "training": 2},
    "dropout3d": {"p": 1, "training": 2},
    "batch_norm": {"training": 5},
    "cross_entropy": {"weight": 2, "reduction": 6, "ignore_index": 4, "label_smoothing": 7},
    "nll_loss": {"weight": 2, "reduction": 6, "ignore_index": 4},
    "binary_cross_entropy": {"weight": 2, "reduction": 5},
    "binary_cross_entropy_with_logits": {"weight": 2, "reduction": 5, "pos_weight": 6},
    "sum": {"dim": 1},
    "mean": {"dim": 1},
    "pow": {"exponent": 1},
    "relu": {},
    "conv1d": {"groups": 6},
    "conv2d": {"groups": 6},
    "conv3d": {"groups": 6},
    "kl_div": {"reduction": 4},
    "clamp": {"min": 1, "max": 2},
    "clamp_min": {"min": 1},
    "mse_loss": {"reduction": 4},
    "l1_loss": {"reduction": 4},
    "layer_norm": {},
    "scaled_dot_product_attention": {"dropout_p": 4},
}


def canonical(function: Any) -> str:
    """One name for all the ways to call an operation: "softmax", "relu" (also in place), "add" (also `+`)."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
        return name if name in _PROPERTIES else ""
    if name in _OPERATORS:
        return _OPERATORS[name]
    if name.startswith("__"):
        return name if name in ("__getitem__", "__setitem__") else ""
    return name.rstrip("_") or name


def place() -> str:
    """file:line of the nearest frame of the user's code; nothing where torch was called by us alone."""
    frame = sys._getframe(3)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            return ""
        if not file.startswith(_TORCH) and not file.startswith("<"):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


@contextmanager
def named_calls(model: nn.Module) -> Iterator[list[str]]:
    """A stack of the names of the modules whose forward is under way, kept right also when one raises."""
    stack = [""]
    handles = []

    def enter(name: str) -> Callable[..., None]:
        return lambda module, arguments: stack.append(name)

    def leave(module: nn.Module, arguments: Any, output: Any) -> None:
        if len(stack) > 1:
            stack.pop()

    try:
        for name, module in model.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_pre_hook(enter(name)))
                handles.append(module.register_forward_hook(leave, always_call=True))
        yield stack
    finally:
        for handle in handles:
            handle.remove()


class Tracer(TorchFunctionMode):
    """Records every torch operation that is called while it is active into `graph`."""

    def __init__(self, model: nn.Module, inputs: Any, targets: Any = None, *, keep: bool = True):
        super().__init__()
        self.graph = Graph()
        self.phase = "forward"
        self.stack = [""]
        self._keep = keep
        self._held: list[Any] = []  # alive, so that no identity is used twice
        self._origin: dict[int, Source] = {}
        for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
            self.mark(parameter, f"parameter:{name}")
        for tree, source in ((targets, TARGET), (inputs, INPUT)):
            for tensor in leaves(tree):
                self.mark(tensor, source)

    def mark(self, tensor: Tensor, source: Source) -> None:
        self._held.append(tensor)
        self._origin[id(tensor)] = source

    def source(self, tensor: Tensor) -> Source:
        found = self._origin.get(id(tensor))
        if found is None:
            found = "leaf" if tensor.is_leaf and tensor.requires_grad else CONSTANT
            self.mark(tensor, found)
        return found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = canonical(func)
        if not name:
            return func(*args, **kwargs)
        try:
            result = func(*args, **kwargs)
        except Exception:
            if self.graph.broken is None:
                self.graph.broken = self._record(name, args, kwargs, None)
            raise
        made = list(leaves(result)) if not isinstance(result, Tensor) else [result]
        if name == "__setitem__":
            made = [args[0]]
        if made:
            op = self._record(name, args, kwargs, made[0])
            op.in_place = bool(args) and made[0] is args[0]
            op.index = len(self.graph.ops)
            self.graph.ops.append(op)
            for tensor in made:
                self.mark(tensor, op.index)
        return result

    def _record(self, name: str, args: Any, kwargs: Any, result: Tensor | None) -> Op:
        given = [*leaves(list(args)), *leaves(kwargs)]
        options = {
            key: kwargs.get(key, args[at] if at < len(args) else None) for key, at in _OPTIONS.get(name, {}).items()
        }
        options = {key: _plain(value) for key, value in options.items()}
        shape = tuple(result.shape) if result is not None else ()
        return Op(
            -1,
            name,
            self.stack[-1],
            place(),
            self.phase,
            tuple(self.source(t) for t in given),
            tuple(tuple(t.shape) for t in given),
            shape,
            options,
            result if self._keep else None,
            tuple(given) if self._keep else (),
        )


def _plain(value: Any) -> Any:
    """A tensor among the options is only said to be there."""
    return "tensor" if isinstance(value, Tensor) else value
