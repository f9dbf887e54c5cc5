"""A language model of Transformer layers that look back."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from osler.models.language import Scores, check_language
from osler.nn.options import dropped, whole
from osler.nn.positions import Positions
from osler.nn.state import State
from osler.nn.transformer import TransformerLayer, layers_of


class GPT(nn.Module):
    """A decoder-only Transformer that predicts the next token from those before (Radford et al., 2019).

    `forward(tokens)`: tokens (N, L) → logits (N, L, V), those at a place for the token that comes after it; 0 is
    padding, at the end. `forward(tokens, state)` → (logits, state): `tokens` go on where the state ended. `begin(N)`
    gives the first state; a state holds the keys and values of the last places, so that nothing is computed twice
    while text is made. Logits with a state and without are the same. Detach a state (`osler.nn.state.detached`) to
    cut the gradient there.

    Options: `inputs` is (L,): a place sees itself and the L − 1 places before it. `outputs` is the size V of the
    vocabulary, and so is `vocabulary`, if given. `width`, default 128, a multiple of `heads`, default 4. `layers`,
    default 4. `hidden` units of the dense layers, default 4 · width. `positions`: "rotary" (default), with which a
    text has no end; "learned", as in the paper, or "sinusoidal", both for L places at most. `norm`: "pre" (default)
    or "post". `tie`: the weights of the output are those of the embedding (default). `dropout`, default 0.1.
    Raises: InputError for impossible options, and for a text of more than L places where positions are not rotary.
    Use: text, music and other sequences of symbols, made one by one.
    Source: Radford et al., "Language models are unsupervised multitask learners", 2019, whose start values these are:
    N(0, 0.02²), and 1/√(2·layers) of it where a layer adds to its shortcut.

        >>> gpt = GPT(inputs=(32,), outputs=100).eval()
        >>> tokens = torch.tensor([[5, 17, 8]])
        >>> logits, state = gpt(tokens[:, :2], gpt.begin(1))
        >>> rest, state = gpt(tokens[:, 2:], state)
        >>> torch.allclose(rest, gpt(tokens)[:, 2:], atol=1e-5)
        True
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        vocabulary: int | None = None,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
        hidden: int | None = None,
        positions: Literal["sinusoidal", "learned", "rotary"] = "rotary",
        norm: Literal["pre", "post"] = "pre",
        tie: bool = True,
        dropout: float = 0.1,
    ):
        super().__init__()
        tokens = check_language("gpt", inputs, outputs, vocabulary)
        self.embedding = nn.Embedding(tokens, whole("gpt: width", width))
        self.positions = Positions(positions, width, inputs[0], bounded=positions != "rotary")
        self.dropout = nn.Dropout(dropped("gpt: dropout", dropout))
        self.layers = nn.ModuleList(
            TransformerLayer(
                width,
                heads,
                hidden=hidden,
                dropout=dropout,
                norm=norm,
                rotary=positions == "rotary",
                window=inputs[0] if positions == "rotary" else None,
            )
            for _ in range(whole("gpt: layers", layers))
        )
        self.norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self.output = Scores(width, tokens, self.embedding if tie else None)
        self._start()

    def begin(self, rows: int) -> State:
        """The state before the first token: no keys and no values yet, for so many rows."""
        weight = self.embedding.weight
        return self._nothing(torch.empty(rows, device=weight.device, dtype=weight.dtype))

    def _nothing(self, x: Tensor) -> State:
        return tuple(layer.attention.nothing(x) for layer in layers_of(self.layers))

    def forward(self, tokens: Tensor, state: State | None = None) -> Any:
        x = self.embedding(tokens)  # (N, L, width)
        past: Any = self._nothing(x) if state is None else state
        x = self.dropout(self.positions(x, start=past[0][0].shape[2]))
        kept = []
        for layer, before in zip(layers_of(self.layers), past, strict=True):
            x, after, _ = layer(x, past=before)
            kept.append(after)
        logits = self.output(self.norm(x))  # (N, L, V)
        return logits if state is None else (logits, tuple(kept))

    @torch.no_grad()
    def _start(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                adds = name.endswith((".attention.output", ".dense.2"))
                module.weight.normal_(0, 0.02 / (2 * len(self.layers)) ** 0.5 if adds else 0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
