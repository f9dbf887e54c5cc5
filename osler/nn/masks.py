"""Who may be seen: masks of attention and of pooling, True where something counts. Padding is the token 0, at the end.

A row without any token counts as one token of padding, so that there is something to average.
"""

import torch
from torch import Tensor


def lengths_of(tokens: Tensor) -> Tensor:
    """How many tokens each row has, at least 1: (N, L) → (N,).

    >>> lengths_of(torch.tensor([[5, 2, 9], [7, 0, 0], [0, 0, 0]]))
    tensor([3, 1, 1])
    """
    return (tokens != 0).sum(dim=1).clamp(min=1)


def within(lengths: Tensor, length: int) -> Tensor:
    """Which of so many places lie within each row: (N,) → (N, length).

    >>> within(torch.tensor([2, 3]), 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    return torch.arange(length, device=lengths.device) < lengths.unsqueeze(1)


def causal(queries: int, keys: int, window: int | None = None, device: torch.device | None = None) -> Tensor:
    """Which keys each query may see: itself and what came before, of that the last `window`: (queries, keys).

    The queries are the last of the keys' places, as they are when earlier keys were kept.

    >>> causal(2, 3).int()
    tensor([[1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    >>> causal(3, 3, window=2).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [0, 1, 1]], dtype=torch.int32)
    """
    behind = torch.arange(keys - queries, keys, device=device).unsqueeze(1) - torch.arange(keys, device=device)
    seen = behind >= 0
    return seen if window is None else seen & (behind < window)
