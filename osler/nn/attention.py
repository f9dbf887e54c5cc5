"""Attention: an average of values, weighed by how well each one's key fits a query."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from osler.errors import InputError, unknown_name
from osler.nn.masks import causal
from osler.nn.options import dropped, whole
from osler.nn.positions import rotate

KeysValues = tuple[Tensor, Tensor]  # (N, heads, L, width / heads) each


def attend(scores: Tensor, values: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The values averaged by the softmax of the scores, and the weights of the average.

    Shapes: scores (…, T, S), values (…, S, D), mask (…, T, S) → (…, T, D), (…, T, S). Where the mask is False, the
    weight is 0; each query needs a key that it may see.
    """
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(dim=-1)
    return weights @ values, weights


def dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention, written out; networks run torch's fused form unless somebody looks at the weights.

    Formula: softmax(QKᵀ/√d) V.
    Shapes: query (…, T, d), key (…, S, d), value (…, S, D), mask (…, T, S) → (…, T, D), weights (…, T, S).
    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.1.
    """
    return attend(query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5, value, mask)


class Watched(nn.Module):
    """An attention whose weights can be looked at, by `attention_weights`."""

    watch: Callable[[Tensor], None] | None = None


@contextmanager
def attention_weights(module: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """Collects the weights of every attention inside a module while it runs, by name, one tensor for each call.

    They are (N, heads, T, S) in a Transformer and (N, T, S) in a recurrent network. Afterwards nobody looks any more.

        >>> attention = MultiHeadAttention(8, 2)
        >>> with attention_weights(nn.Sequential(attention)) as seen:
        ...     _ = attention(torch.zeros(1, 3, 8))
        >>> seen["0"][0].shape
        torch.Size([1, 2, 3, 3])
    """
    seen: dict[str, list[Tensor]] = {}
    watched = [(name, part) for name, part in module.named_modules() if isinstance(part, Watched)]
    try:
        for name, part in watched:
            calls: list[Tensor] = []
            seen[name] = calls
            part.watch = lambda weights, calls=calls: calls.append(weights.detach())
        yield seen
    finally:
        for _, part in watched:
            part.watch = None


class MultiHeadAttention(Watched):
    """Several dot-product attentions side by side, each in its own part of the width, then a linear layer.

    Called with x (N, T, width), it lets the sequence look at itself; with `memory`, the keys and values of another
    sequence as `keys_values` gives them, at that one. → (N, T, width).
    `mask`, which broadcasts to (N, heads, T, S): True where a query may see a key.
    With `past`, the keys and values of what came before, the sequence is one that grows: a place sees itself and what
    came before, of that the last `window` places. → (N, T, width) and the past for what follows.

    `rotary`: queries and keys are turned by their places. `dropout` leaves out weights. Raises InputError for a width
    that is no multiple of the heads.
    Source: Vaswani et al., "Attention is all you need", 2017, section 3.2.2; the window, Beltagy, Peters and Cohan,
    "Longformer", 2020.

        >>> MultiHeadAttention(8, heads=2)(torch.zeros(1, 3, 8)).shape
        torch.Size([1, 3, 8])
    """

    def __init__(
        self, width: int, heads: int, *, dropout: float = 0.0, rotary: bool = False, window: int | None = None
    ):
        super().__init__()
        if whole("width", width) % whole("heads", heads):
            raise InputError(f"width must be a multiple of heads, but got width={width} and heads={heads}")
        if rotary and width // heads % 2:
            raise InputError(
                f"rotary positions turn pairs of numbers, so width / heads must be even, but got {width} / {heads}"
            )
        self.heads, self.rotary, self.window = heads, rotary, window
        self.dropout = dropped("dropout", dropout)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def keys_values(self, x: Tensor) -> KeysValues:
        """What a query is compared with, and what it gets: (N, S, width) → two of (N, heads, S, width / heads)."""
        keys, values = self.key_value(x).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def nothing(self, x: Tensor) -> KeysValues:
        """The past of sequences x (N, …) that begin."""
        empty = x.new_empty(len(x), self.heads, 0, self.query.in_features // self.heads)
        return empty, empty

    def forward(
        self,
        x: Tensor,
        memory: KeysValues | None = None,
        mask: Tensor | None = None,
        past: KeysValues | None = None,
    ) -> Any:
        if past is not None:
            return self._extend(x, past)
        keys, values = self.keys_values(x) if memory is None else memory
        return self._look(x, keys, values, mask)

    def _extend(self, x: Tensor, past: KeysValues) -> tuple[Tensor, KeysValues]:
        keys, values = self.keys_values(x)
        if past[0].shape[2]:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        queries, places = x.shape[1], keys.shape[2]
        mask = None
        if queries > 1 and (places > queries or (self.window is not None and places > self.window)):
            mask = causal(queries, places, self.window, x.device)
        found = self._look(x, keys, values, mask, in_order=queries > 1)
        if self.window is not None and places >= self.window:  # the next query sees itself and one place less
            first = places - self.window + 1
            keys, values = keys[:, :, first:], values[:, :, first:]
        return found, (keys, values)

    def _look(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, in_order: bool = False) -> Tensor:
        queries = self._split(self.query(x))  # (N, heads, T, width / heads)
        if self.rotary:
            # The kept keys are not turned: only distances count, so places may be counted anew, and have no end.
            queries, keys = rotate(queries, start=keys.shape[2] - queries.shape[2]), rotate(keys)
        if self.watch is not None:
            if mask is None and in_order:
                mask = causal(queries.shape[2], keys.shape[2], device=x.device)
            found, weights = dot_product_attention(queries, keys, values, mask)
            self.watch(weights)
        else:
            found = F.scaled_dot_product_attention(
                queries,
                keys,
                values,
                attn_mask=mask,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=in_order and mask is None,
            )
        joined: Tensor = self.output(found.transpose(1, 2).flatten(2))
        return joined

    def _split(self, x: Tensor) -> Tensor:
        """(N, L, width) → (N, heads, L, width / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


SCORES = ("bahdanau", "dot", "general", "concat")


class AlignmentAttention(Watched):
    """The attention of a recurrent decoder: where in the source it looks while it writes.

    Formula, with the decoder's state q and what the encoder says of a place k, both of `width` numbers:
    "bahdanau" and "concat": vᵀ tanh(W q + U k); "dot": qᵀk; "general": qᵀ W k. The weights are the softmax of the
    scores over the source, without its padding; the context is the average of the k by these weights.
    Bahdanau asks with the state before a step, Luong with the state after it: that is the decoder's affair.

    Called with queries (N, T, width), keys (N, S, width) as `keys` gives them, memory (N, S, width) and mask (N, S)
    → contexts (N, T, width).
    Source: Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate", 2015;
    Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation", 2015.

        >>> attention, memory = AlignmentAttention("general", 4), torch.zeros(1, 3, 4)
        >>> attention(torch.zeros(1, 2, 4), attention.keys(memory), memory, torch.ones(1, 3, dtype=torch.bool)).shape
        torch.Size([1, 2, 4])
    """

    def __init__(self, kind: str, width: int):
        super().__init__()
        if kind not in SCORES:
            raise unknown_name("kind of attention", kind, SCORES)
        sums = kind in ("bahdanau", "concat")
        self.query = nn.Linear(width, width) if sums else nn.Identity()
        self.keys = nn.Identity() if kind == "dot" else nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False) if sums else None

    def forward(self, queries: Tensor, keys: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        queries = self.query(queries)
        if self.score is None:
            scores = queries @ keys.transpose(1, 2)  # (N, T, S)
        else:
            scores = self.score(torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))).squeeze(3)
        context, weights = attend(scores, memory, mask.unsqueeze(1))
        if self.watch is not None:
            self.watch(weights)
        return context
