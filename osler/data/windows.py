"""Windows over one long row of tokens: at every place of a window the token that comes next is the target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from osler.data.batches import Dataset

GOLDEN = 0.5 * (5**0.5 - 1)  # steps of this share of a window never fall on the same places again


def all_windows(tokens: Tensor, length: int) -> Dataset:
    """The whole text in order: tokens (T,) → inputs and targets (N, length), the last window filled up with 0.

    >>> all_windows(torch.tensor([5, 6, 7, 8]), 2).targets
    tensor([[6, 7],
            [8, 0]])
    """
    count = max(-(-(len(tokens) - 1) // length), 0)
    whole = functional.pad(tokens, (0, max(count * length + 1 - len(tokens), 0)))[: count * length + 1]
    return Dataset(whole[:-1].view(count, length), whole[1:].view(count, length))


@dataclass(frozen=True)
class Windows(Dataset):
    """Windows to learn from, cut elsewhere in each pass over the text: views of its `tokens` (T,), no copies.

    Each pass has the same number of windows and leaves out fewer than 2 · length tokens, others each time.
    """

    tokens: Tensor | None = None

    @classmethod
    def of(cls, tokens: Tensor, length: int, epoch: int = 1) -> Windows:
        """Those of this pass, counted from 1. Needs 2 · length tokens."""
        count = len(tokens) // length - 1
        assert count > 0
        start = int((epoch - 1) * GOLDEN % 1 * length)
        inputs, targets = (tokens[at : at + count * length].view(count, length) for at in (start, start + 1))
        return cls(inputs, targets, None, tokens)

    def of_epoch(self, epoch: int) -> Windows:
        """The same text, cut as in this pass."""
        assert self.tokens is not None
        return Windows.of(self.tokens, self.inputs.shape[1], epoch)

    def to(self, device: torch.device) -> Windows:
        """The same on a device."""
        assert self.tokens is not None
        return Windows.of(self.tokens.to(device), self.inputs.shape[1])
