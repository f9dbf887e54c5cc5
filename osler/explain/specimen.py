"""What is looked into: a copy of the network, so that the user's own is never touched."""

from __future__ import annotations

import contextlib
import copy
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from osler.errors import InputError

Inputs = tuple[Tensor, ...]


class Specimen(nn.Module):
    """A copy of a network, in evaluation mode and without gradients of its weights, whose outputs are scores (N, K).

    `keys`: names of its inputs, where it takes them by name. `two_sided`: a single logit z becomes the scores −z and z
    of two classes. Raises InputError for a network that cannot be copied.
    """

    def __init__(self, network: nn.Module, keys: Sequence[str] = (), two_sided: bool = False):
        super().__init__()
        self.network = copied(network)
        self.keys = tuple(keys)
        self.two_sided = two_sided

    def forward(self, *inputs: Tensor) -> Tensor:
        outputs = self.network(**dict(zip(self.keys, inputs, strict=True))) if self.keys else self.network(*inputs)
        if not isinstance(outputs, Tensor) or outputs.dim() not in (1, 2) or len(outputs) != len(inputs[0]):
            given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise InputError(
                f"scores of shape (N,) or (N, K) can be explained, but the network gives {given}; wrap it in a module "
                "that picks or sums up what is to be explained"
            )
        scores = outputs if outputs.dim() == 2 else outputs[:, None]
        return torch.cat([-scores, scores], dim=1) if self.two_sided and scores.shape[1] == 1 else scores

    def scores(self, inputs: Inputs) -> Tensor:
        """All scores, without gradients. Raises InputError for inputs that the network cannot take."""
        try:
            with torch.no_grad():
                scores: Tensor = self(*inputs)
        except InputError:
            raise
        except Exception as error:  # a stranger's network may raise anything
            shapes = ", ".join(f"{tuple(t.shape)} of {str(t.dtype).removeprefix('torch.')}" for t in inputs)
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise InputError(f"the network cannot take inputs of shape {shapes} ({why})") from None
        return scores


def copied(network: nn.Module) -> nn.Module:
    """A copy to experiment on: evaluation mode, no gradients of weights, nothing overwritten in place."""
    # Activations that a module keeps for its user belong to a graph and cannot be copied as they are.
    kept = [v for m in network.modules() for v in vars(m).values() if isinstance(v, Tensor) and not v.is_leaf]
    memo: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in kept}
    try:
        clone = copy.deepcopy(network, memo).eval().requires_grad_(False)
    except Exception as error:  # a stranger's network may raise anything
        raise InputError(f"{type(network).__name__} cannot be copied, so it cannot be explained ({error})") from None
    for module in clone.modules():
        if getattr(module, "inplace", False) is True:  # would overwrite what hooks have seen
            module.inplace = False  # type: ignore[assignment]
    return clone


@contextlib.contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Gradients on, random numbers from `seed`; afterwards every generator is as it was."""
    before = np.random.get_state(), random.getstate()  # noqa: NPY002 (Captum draws from them)
    try:
        with (
            torch.random.fork_rng(),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.backends.cudnn.flags(enabled=False),  # its recurrent layers have no gradient in evaluation mode
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # Captum's, about hooks that it sets and removes
            torch.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        np.random.set_state(before[0])  # noqa: NPY002
        random.setstate(before[1])


def as_inputs(given: Any, device: torch.device) -> tuple[Inputs, tuple[str, ...]]:
    """The input tensors, apart from the user's, and their names if they have any. Raises InputError for others."""
    named = dict(given) if isinstance(given, dict) else {}
    values = list(named.values()) if named else list(given) if isinstance(given, tuple) else [given]
    tensors = [torch.from_numpy(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for v in values]
    for value in tensors:
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() < 2 or not len(value):
            what = f"{tuple(value.shape)} of {value.dtype}" if hasattr(value, "shape") else type(value).__name__
            raise InputError(
                f"inputs are tensors of floating-point numbers (N, …), one or a tuple or dict of them, but got {what}; "
                "for whole numbers (words, categories) explain the part of the network behind its embedding"
            )
        if not bool(value.isfinite().all()):
            raise InputError("the inputs hold numbers that are NaN or infinite")
        if len(value) != len(tensors[0]):
            raise InputError(f"the inputs have {len(tensors[0])} and {len(value)} samples: they need the same number")
    return tuple(t.detach().clone().to(device) for t in tensors), tuple(named)


def like(given: Any, values: Inputs) -> Any:
    """The tensors in the form of `given`: a tensor, a tuple or a dict."""
    if isinstance(given, dict):
        return dict(zip(given, values, strict=True))
    return values if isinstance(given, tuple) else values[0]


def device_of(network: nn.Module) -> torch.device:
    return next((p.device for p in network.parameters()), torch.device("cpu"))
