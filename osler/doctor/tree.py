"""Structures of tensors: what a model takes and gives may be a tensor, a tuple, a list or a dict of them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


def leaves(tree: Any) -> Iterator[Tensor]:
    """The tensors of a structure, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from leaves(value)


def change(tree: Any, function: Callable[[Tensor], Any]) -> Any:
    """The structure with the function applied to each of its tensors."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: change(value, function) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(change(value, function) for value in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(change(value, function) for value in tree)
    return tree


def tensors(tree: Any) -> Any:
    """The structure with its arrays as tensors."""
    if isinstance(tree, np.ndarray | np.generic):
        return torch.as_tensor(np.asarray(tree))
    if isinstance(tree, dict):
        return {key: tensors(value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(tensors(value) for value in tree))
    if isinstance(tree, tuple) or (isinstance(tree, list) and not all(isinstance(v, int | float) for v in tree)):
        return type(tree)(tensors(value) for value in tree)
    if isinstance(tree, list):
        return torch.tensor(tree)
    return tree


def rows(tree: Any) -> int:
    """How many samples a structure holds: the length of its first tensor with an axis."""
    return next((len(t) for t in leaves(tree) if t.dim()), 0)


def take(tree: Any, index: Tensor | slice) -> Any:
    """The samples of these indices; what has no axis of samples stays."""
    count = rows(tree)

    def pick(t: Tensor) -> Tensor:
        if not t.dim() or len(t) != count:
            return t
        return t[index.to(t.device) if isinstance(index, Tensor) else index]

    return change(tree, pick)
