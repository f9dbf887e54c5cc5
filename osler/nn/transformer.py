"""One layer of a Transformer, as encoder or decoder."""

from collections.abc import Iterator
from typing import Any, Literal

from torch import Tensor, nn

from osler.errors import unknown_name
from osler.nn.activations import ACTIVATIONS
from osler.nn.attention import KeysValues, MultiHeadAttention
from osler.nn.options import dropped, whole


class TransformerLayer(nn.Module):
    """Attention, then two dense layers at each place, both with a shortcut: x + dropout(f(norm(x))).

    `norm`: "pre" normalises what goes into f, as above, which learns without a warm-up; "post" is as in the first
    paper: norm(x + dropout(f(x))). `hidden`: the width between the dense layers, default 4 · width. `remembers`: with a
    second attention between, to the keys and values of another sequence.

    Called with x (N, L, width) and a mask, which broadcasts to (N, heads, L, L): every place sees every place that the
    mask lets it see. With `past`, the keys and values of what came before, it decodes: places see what came before, the
    mask is that of the `memory`, (N, heads, L, S), and beside x come the past and the memory for what follows. A memory
    (N, S, width) comes back as its keys and values, so that they are computed once.
    Source: Vaswani et al., "Attention is all you need", 2017; the place of the norm, Xiong et al., "On layer
    normalization in the Transformer architecture", 2020.

        >>> TransformerLayer(8, heads=2)(torch.zeros(1, 3, 8)).shape
        torch.Size([1, 3, 8])
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        norm: Literal["pre", "post"] = "pre",
        activation: str = "gelu",
        rotary: bool = False,
        window: int | None = None,
        remembers: bool = False,
    ):
        super().__init__()
        if norm not in ("pre", "post"):
            raise unknown_name("place of the norm", norm, ["pre", "post"])
        hidden = 4 * width if hidden is None else whole("hidden", hidden)
        self.post = norm == "post"
        self.attention = MultiHeadAttention(width, heads, dropout=dropout, rotary=rotary, window=window)
        self.attention_norm = nn.LayerNorm(width)
        self.memory_attention = MultiHeadAttention(width, heads, dropout=dropout) if remembers else None
        self.memory_norm = nn.LayerNorm(width) if remembers else None
        self.dense = nn.Sequential(nn.Linear(width, hidden), ACTIVATIONS.create(activation), nn.Linear(hidden, width))
        self.dense_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropped("dropout", dropout))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        past: KeysValues | None = None,
        memory: Tensor | KeysValues | None = None,
    ) -> Any:
        before = self._before(x, self.attention_norm)
        found = self.attention(before, mask=mask) if past is None else self.attention(before, past=past)
        after = None
        if past is not None:
            found, after = found
        x = self._after(x, found, self.attention_norm)
        if self.memory_attention is not None and self.memory_norm is not None:
            if isinstance(memory, Tensor):
                memory = self.memory_attention.keys_values(memory)
            found = self.memory_attention(self._before(x, self.memory_norm), memory, mask)
            x = self._after(x, found, self.memory_norm)
        x = self._after(x, self.dense(self._before(x, self.dense_norm)), self.dense_norm)
        return x if past is None else (x, after, memory)

    def _before(self, x: Tensor, norm: nn.Module) -> Tensor:
        before: Tensor = x if self.post else norm(x)
        return before

    def _after(self, x: Tensor, found: Tensor, norm: nn.Module) -> Tensor:
        x = x + self.dropout(found)
        after: Tensor = norm(x) if self.post else x
        return after


def layers_of(stack: nn.ModuleList) -> Iterator[TransformerLayer]:
    """The layers of a stack, as what they are."""
    for layer in stack:
        assert isinstance(layer, TransformerLayer)
        yield layer
