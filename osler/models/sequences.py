"""What several networks for sequences are made of: how a sequence comes in, and how it becomes one vector."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.nn.masks import lengths_of, within
from osler.nn.options import whole

Pool = Literal["last", "mean", "max"]
POOLS = ("last", "mean", "max")


def check_tokens(name: str, inputs: Sequence[int], outputs: int, vocabulary: int | None) -> int:
    """The size of the vocabulary; InputError unless the inputs are tokens (length,) and it is given."""
    _check_outputs(name, outputs)
    if len(inputs) != 1 or inputs[0] < 1 or vocabulary is None:
        raise InputError(
            f"{name} takes tokens (length,) with the option vocabulary, but got inputs {tuple(inputs)} and "
            f"vocabulary={vocabulary!r}; an example is inputs=(64,), vocabulary=5000"
        )
    return whole(f"{name}: vocabulary", vocabulary)


def check_numbers(name: str, inputs: Sequence[int], outputs: int) -> int:
    """How many numbers a step has; InputError unless the inputs are (length, features)."""
    _check_outputs(name, outputs)
    if len(inputs) != 2 or min(inputs) < 1:
        raise InputError(
            f"{name} takes sequences of numbers (length, features), but got inputs {tuple(inputs)}; an example is "
            "inputs=(96, 7)"
        )
    return inputs[1]


def _check_outputs(name: str, outputs: int) -> None:
    if outputs < 1:
        raise InputError(f"{name}: outputs must be at least 1, but got {outputs!r}")


class Entry(nn.Module):
    """How a sequence comes in: tokens (N, L) become vectors of `width`, numbers (N, L, F) stay; and its lengths.

    The lengths (N,) of tokens are found from the padding, which is the token 0; those of numbers are the ones given,
    None where all rows are whole. Raises InputError for inputs that are neither tokens nor numbers.
    """

    def __init__(self, name: str, inputs: Sequence[int], outputs: int, vocabulary: int | None, width: int):
        super().__init__()
        if len(inputs) == 2 and vocabulary is None:
            self.width = check_numbers(name, inputs, outputs)
            self.embedding = None
        elif len(inputs) == 1 and vocabulary is not None:
            self.width = whole(f"{name}: width", width)
            self.embedding = nn.Embedding(check_tokens(name, inputs, outputs, vocabulary), width, padding_idx=0)
        else:
            raise InputError(
                f"{name} takes tokens (length,) with the option vocabulary, or sequences of numbers (length, features) "
                f"without it, but got inputs {tuple(inputs)} and vocabulary={vocabulary!r}; examples are inputs=(64,), "
                "vocabulary=5000 and inputs=(96, 7)"
            )

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        return (x, lengths) if self.embedding is None else (self.embedding(x), lengths_of(x))


def check_pool(name: str, pool: str) -> str:
    """The name of the pooling itself; InputError for an unknown one."""
    if pool not in POOLS:
        raise unknown_name(f"pool of {name}", pool, POOLS)
    return pool


def pooled(pool: str, x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """One vector of each sequence: (N, L, width) → (N, width), of the first `lengths` steps (all where None)."""
    if pool == "last":
        return x[:, -1] if lengths is None else x[torch.arange(len(x), device=x.device), lengths - 1]
    if lengths is None:
        return x.mean(dim=1) if pool == "mean" else x.amax(dim=1)
    inside = within(lengths, x.shape[1]).unsqueeze(2)  # (N, L, 1)
    if pool == "max":
        return x.masked_fill(~inside, -torch.inf).amax(dim=1)
    return x.masked_fill(~inside, 0).sum(dim=1) / lengths.unsqueeze(1)
