"""How a step is computed: what makes it faster and leaves what is learned as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from osler.errors import InputError
from osler.training.allocation import keep_freed_memory

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Engine:
    """The choices of how to compute; a field that is None is measured where there is enough to train to repay it.

    `precision`: "bfloat16" computes products and convolutions with 8 bits of mantissa, weights stay float32.
    `channels_last`: pictures as (N, H, W, C) in memory, which convolutions like. `compile`: by torch.compile.
    `threads`: of the processor. `micro_batches`: each batch is worked on in so many parts, for less memory and the
    same gradient. `deterministic`: only kernels that give the same bits each time; on a GPU that costs speed.
    """

    precision: Precision | None = None
    channels_last: bool | None = None
    compile: bool | None = None
    threads: int | None = None
    micro_batches: int = 1
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bfloat16", None):
            raise InputError(f"engine.precision must be float32 or bfloat16, but got {self.precision!r}")
        for name in ("threads", "micro_batches"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"engine.{name} must be at least 1, but got {value!r}")

    def autocast(self, device: torch.device) -> AbstractContextManager[Any]:
        """The precision for what is computed within."""
        if self.precision != "bfloat16":
            return nullcontext()
        precision = torch.autocast(device.type, torch.bfloat16)
        return _both(precision, AttentionInFull()) if device.type == "cpu" else precision

    @contextmanager
    def running(self, model: nn.Module) -> Iterator[None]:
        """The model computes this way: its layout stays, all else is as before afterwards."""
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        keep_freed_memory()
        threads = torch.get_num_threads()
        deterministic = torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        # Losses are computed in full precision whatever the layers use.
        outputs = model.register_forward_hook(_in_full) if self.precision == "bfloat16" else None
        compiled = model._compiled_call_impl
        if self.compile:
            model.compile()
        torch.set_num_threads(self.threads or threads)
        if self.deterministic:
            torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.set_num_threads(threads)
            model._compiled_call_impl = compiled  # torch has no opposite of compile()
            if outputs is not None:
                outputs.remove()

    def laid_out(self, inputs: Any) -> Any:
        """The inputs in the layout that the model's convolutions use."""
        if not self.channels_last:
            return inputs
        if isinstance(inputs, dict):
            return {name: self.laid_out(value) for name, value in inputs.items()}
        if isinstance(inputs, tuple | list):
            return tuple(self.laid_out(value) for value in inputs)
        picture = isinstance(inputs, Tensor) and inputs.ndim == 4
        return inputs.contiguous(memory_format=torch.channels_last) if picture else inputs


class AttentionInFull(TorchFunctionMode):
    """Attention in float32 within autocast: on processors its backward pass is three times as slow in bfloat16."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = keywords or {}
        if function is not F.scaled_dot_product_attention:
            return function(*arguments, **keywords)
        with torch.autocast("cpu", enabled=False):
            return function(*map(_full, arguments), **{name: _full(value) for name, value in keywords.items()})


@contextmanager
def _both(first: AbstractContextManager[Any], second: AbstractContextManager[Any]) -> Iterator[None]:
    with first, second:
        yield


def runs_ahead(device: torch.device) -> bool:
    """Whether the device works on its own, so that to read one of its numbers is to wait for it."""
    return device.type != "cpu"


def _in_full(module: nn.Module, arguments: Any, outputs: Any) -> Any:
    """Half precision as float32, wherever it stands in the outputs."""
    if isinstance(outputs, Tensor):
        return _full(outputs)
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return type(outputs)(*(_in_full(module, arguments, part) for part in outputs))
    if isinstance(outputs, tuple | list):
        return type(outputs)(_in_full(module, arguments, part) for part in outputs)
    if isinstance(outputs, dict):
        full = copy.copy(outputs)  # whatever kind of dict it is
        for name, part in outputs.items():
            full[name] = _in_full(module, arguments, part)
        return full
    return outputs


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.bfloat16 else value
