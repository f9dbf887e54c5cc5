"""A pair (inputs, targets) becomes a source: arrays, tensors, nested lists, or a DataFrame with its targets."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from osler.data.frames import as_array, target_frame, text_frame, tidy
from osler.data.memory import check_fits
from osler.data.parts import Part, Source
from osler.data.tablesource import Target, table_source, target_names
from osler.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def pair_source(inputs: Any, targets: Any, target: Target) -> Source:
    """The source of one part "all". `target` names targets that have no name of their own."""
    if targets is None:
        raise InputError("a pair is (inputs, targets), but its targets are None")
    texts = is_texts(inputs)
    part = pair_part(inputs, targets, target_names(target) or ("target",))
    if texts:
        return Source("text", "texts", {"all": part}, [])
    if not hasattr(part.inputs, "columns"):
        return Source("arrays" if isinstance(part.inputs, np.ndarray) else "images", "arrays", {"all": part}, [])
    both = [name for name in part.targets.columns if name in part.inputs.columns]
    if both:
        raise InputError(
            f"the inputs have a column {both[0]!r} too: take it out of them if it is the target, else rename it"
        )
    table = part.inputs.join(part.targets)
    return table_source("a DataFrame", {"all": table}, list(part.targets.columns), [])


def pair_part(inputs: Any, targets: Any, names: tuple[str, ...], pictures: bool = True) -> Part:
    """Inputs (a tidy DataFrame, an array of numbers, or if allowed pictures as a uint8 tensor), targets if any."""
    values: Any
    if hasattr(inputs, "columns"):
        values = tidy(inputs, "the inputs")
    elif is_texts(inputs):
        values = text_frame([str(text) for text in inputs])
    else:
        array = input_array(inputs)
        values = as_pictures(array) if pictures else array
    known = None if targets is None else target_frame(targets, names)
    if known is not None and len(values) != len(known):
        raise InputError(f"inputs have {len(values)} rows, targets {len(known)}: they need the same number")
    return Part(values, known)


def is_texts(values: Any) -> bool:
    """Whether these are texts, one a sample: a list, an array or a column of nothing but str."""
    if not isinstance(values, Sequence | np.ndarray) and not hasattr(values, "dtype"):
        return False
    return bool(
        not isinstance(values, str | bytes)
        and getattr(values, "ndim", 1) == 1
        and len(values)
        and all(isinstance(value, str) for value in values)
    )


def input_array(values: Any) -> np.ndarray[Any, Any]:
    """Numbers of shape (N, …): integers stay integers, all else is floating point."""
    array = as_array(values, "the inputs")
    if array.dtype.kind == "O" and array.ndim:
        with contextlib.suppress(TypeError, ValueError):
            array = array.astype(np.float64)
    if array.dtype.kind not in "iufb" or array.ndim < 1:
        raise InputError(
            f"inputs must be an array of numbers (samples first), but got {type(values).__name__} "
            f"of {array.dtype} and shape {array.shape}; give a DataFrame for columns of texts"
        )
    if array.size == 0:
        raise InputError(f"the inputs are empty: shape {array.shape}")
    check_fits(array.size * 4, f"an array of shape {array.shape}")
    if array.ndim == 1:
        array = array[:, None]
    return array.astype(np.float32) if array.dtype.kind == "b" else array


def as_pictures(values: np.ndarray[Any, Any]) -> Tensor | np.ndarray[Any, Any]:
    """uint8 arrays of 3 or 4 axes are pictures, channels first or last; anything else stays as it is."""
    import torch

    if values.dtype != np.uint8 or values.ndim not in (3, 4):
        return values
    if values.ndim == 3:
        values = values[:, None]
    elif values.shape[3] in (1, 3) and values.shape[1] not in (1, 3):
        values = values.transpose(0, 3, 1, 2)
    if values.shape[1] not in (1, 3):
        raise InputError(f"pictures have 1 or 3 channels, but got an array of shape {values.shape}")
    return torch.from_numpy(values.copy())
