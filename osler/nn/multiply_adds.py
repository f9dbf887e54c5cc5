"""How many multiply-adds a computation takes, counted where torch computes."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
Arguments = tuple[Any, ...]
UNCOUNTED = ("_fft", "linalg_", "_linalg", "_trilinear")  # what their names begin with


class MultiplyAdds(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts a·b + c while it is entered: those of convolutions, matrix products, recurrent layers and attention.

    Sums, comparisons and functions of single numbers (activations, normalisation, pools, residual additions) are not
    counted, as is usual. `unknown` holds the operations whose multiply-adds it cannot count: Fourier transforms, linear
    algebra, bilinear layers, and kernels that are not torch's own.

        >>> with MultiplyAdds() as work:
        ...     _ = torch.zeros(2, 3) @ torch.zeros(3, 4)
        >>> work.count
        24
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0
        self.unknown: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Arguments = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.count += formula(args, output)
        elif func.namespace not in ("aten", "prim", "prims") or func.__name__.startswith(UNCOUNTED):
            self.unknown.append(str(func))
        return output


def _product(first: int) -> Callable[[Arguments, Any], int]:
    """Of a matrix product: (…, rows, n) with (…, n, columns), the first of them at this place of the arguments."""
    return lambda args, output: int(output.numel() * args[first].shape[-1])


def _convolution(args: Arguments, output: Any) -> int:
    inputs, weight, transposed = args[0], args[1], args[6]
    # Each number of the output (of a transposed one: of the input) meets one window of each channel of its group.
    return int((inputs if transposed else output).numel() * weight[0].numel())


def _recurrent(args: Arguments, output: Any) -> int:
    """All weights meet every time step; a fused layer of one direction has (input, w, w, b, b, …)."""
    inputs, weights = args[0], args[1] if isinstance(args[1], list | tuple) else args[1:3]
    steps = inputs.numel() // inputs.shape[-1]  # of all samples
    return int(steps * sum(w.numel() for w in weights if w.dim() == 2))


def _attention(args: Arguments, output: Any) -> int:
    query, key, value = args[:3]  # (N, heads, T, size)
    return int(math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


FORMULAS: dict[Any, Callable[[Arguments, Any], int]] = {
    **dict.fromkeys((aten.mm, aten.bmm, aten.mv, aten.dot), _product(0)),
    **dict.fromkeys((aten.addmm, aten.baddbmm, aten.addmv, aten._addmm_activation), _product(1)),
    aten.convolution: _convolution,
    aten._cudnn_rnn: _recurrent,
    aten.mkldnn_rnn_layer: _recurrent,
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten._scaled_dot_product_cudnn_attention: _attention,
}
