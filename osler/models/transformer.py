"""The encoder of the Transformer (Vaswani et al., "Attention is all you need", 2017), as a classifier."""

from typing import Literal

import torch
from torch import Tensor, nn

from osler.errors import unknown_name
from osler.models.sequences import Entry, pooled
from osler.nn.initialisation import initialize
from osler.nn.masks import within
from osler.nn.options import dropped, whole
from osler.nn.positions import Positions
from osler.nn.transformer import TransformerLayer


class Transformer(nn.Module):
    """Layers in which every place of a sequence looks at every other, then one answer (Vaswani et al., 2017).

    Embedding (tokens) or linear layer (numbers) → positions → layers of attention and dense layers → the average over
    the places → linear.

    Shapes: tokens (N, L) with `vocabulary`, 0 being padding, or numbers (N, L, F), with `lengths` (N,) where rows are
    padded → (N, outputs).
    Options: `vocabulary`: how many tokens there are, padding included. `width` of a place's vector, default 128, a
    multiple of `heads`, default 4. `layers`, default 2. `hidden` units of the dense layers, default 4 · width.
    `positions`: "sinusoidal" (default), "learned" (as many as `inputs` has) or "rotary". `norm`: "pre" (default) or
    "post" (as in the paper; needs a warm-up). `pool`: "mean" (default), or "cls": a learned vector before the first
    place, that becomes the answer. `dropout`, default 0.1.
    Raises: InputError for inputs that are neither tokens nor numbers, and impossible options.
    Use: sequences whose distant parts belong together, with many samples; with few, `textcnn` or `gru` learn faster.
    Source: Vaswani et al., 2017; GELU and the learned vector as in Devlin et al., "BERT", 2019.

        >>> Transformer(inputs=(64,), outputs=2, vocabulary=5000)(torch.tensor([[3, 14, 15, 0], [9, 2, 6, 5]])).shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        vocabulary: int | None = None,
        width: int = 128,
        heads: int = 4,
        layers: int = 2,
        hidden: int | None = None,
        positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal",
        norm: Literal["pre", "post"] = "pre",
        pool: Literal["mean", "cls"] = "mean",
        dropout: float = 0.1,
    ):
        super().__init__()
        if pool not in ("mean", "cls"):
            raise unknown_name("pool of transformer", pool, ["mean", "cls"])
        self.entry = Entry("transformer", inputs, outputs, vocabulary, width)
        self.linear = nn.Identity() if vocabulary else nn.Linear(self.entry.width, width)
        self.scale = width**0.5 if vocabulary else 1.0  # embeddings begin with lengths of 1, positions are longer
        self.cls = nn.Parameter(0.02 * torch.randn(width)) if pool == "cls" else None
        self.positions = Positions(positions, width, inputs[0] + (pool == "cls"))
        self.dropout = nn.Dropout(dropped("transformer: dropout", dropout))
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, hidden=hidden, dropout=dropout, norm=norm, rotary=positions == "rotary")
            for _ in range(whole("transformer: layers", layers))
        )
        self.norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.output = nn.Linear(width, outputs)
        initialize(self)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x, lengths = self.entry(x, lengths)
        x = self.linear(x) * self.scale  # (N, L, width)
        if self.cls is not None:
            x = torch.cat([self.cls.to(x.dtype).expand(len(x), 1, -1), x], dim=1)
            lengths = None if lengths is None else lengths + 1
        x = self.dropout(self.positions(x))
        mask = None if lengths is None else within(lengths, x.shape[1])[:, None, None]  # (N, 1, 1, L)
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        logits: Tensor = self.output(x[:, 0] if self.cls is not None else pooled("mean", x, lengths))
        return logits
