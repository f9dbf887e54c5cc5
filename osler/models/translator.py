"""The whole Transformer, encoder and decoder (Vaswani et al., "Attention is all you need", 2017)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from osler.models.language import Scores
from osler.models.sequences import check_tokens
from osler.nn.attention import attention_weights
from osler.nn.initialisation import initialize
from osler.nn.masks import lengths_of, within
from osler.nn.options import dropped, whole
from osler.nn.positions import Positions
from osler.nn.state import State
from osler.nn.transformer import TransformerLayer, layers_of


class Translator(nn.Module):
    """A Transformer that reads one sequence and writes another (Vaswani et al., 2017).

    `forward(source, target)`: tokens (N, S) and (N, T), both with 0 as padding at the end → logits (N, T, V), those
    at a place for the token that comes after it: `target` begins with the token that begins every answer (teacher
    forcing). To write without a teacher: `encode(source)` gives a state, `step(tokens, state)` → (logits (N, T, V),
    state), the way `greedy` and `beam_search` go; keys and values of what was read and written are kept.
    `alignment(source, target)` → (N, T, S): how much each written token looked at each read one, in the last layer,
    on average of its heads.

    Options: `inputs` is (S,), the longest sequence of either side where positions are learned. `vocabulary` and
    `outputs`: how many tokens the source and the target have. `width`, default 256, a multiple of `heads`, default 4.
    `layers` of both halves, default 3. `hidden` units of the dense layers, default 4 · width. `positions`:
    "sinusoidal" (default), "learned" or "rotary". `norm`: "pre" (default) or "post" (as in the paper; needs a
    warm-up). `tie`: the weights of the output are those of the target's embedding (default). `dropout`, default 0.1.
    Raises: InputError for impossible options.
    Use: translation, with a hundred thousand pairs and more; with fewer, more dropout, or `seq2seq`.
    Source: Vaswani et al., 2017, who take 512 wide, 8 heads and 6 layers.

        >>> model = Translator(inputs=(20,), outputs=90, vocabulary=100)
        >>> source, target = torch.tensor([[4, 8, 15]]), torch.tensor([[1, 16, 23, 42]])
        >>> model(source, target).shape, model.alignment(source, target).shape
        (torch.Size([1, 4, 90]), torch.Size([1, 4, 3]))
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        vocabulary: int | None = None,
        width: int = 256,
        heads: int = 4,
        layers: int = 3,
        hidden: int | None = None,
        positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal",
        norm: Literal["pre", "post"] = "pre",
        tie: bool = True,
        dropout: float = 0.1,
    ):
        super().__init__()
        words = check_tokens("translator", inputs, outputs, vocabulary)

        def half(remembers: bool) -> nn.ModuleList:
            return nn.ModuleList(
                TransformerLayer(
                    width,
                    heads,
                    hidden=hidden,
                    dropout=dropout,
                    norm=norm,
                    activation="relu",
                    rotary=positions == "rotary",
                    remembers=remembers,
                )
                for _ in range(whole("translator: layers", layers))
            )

        def last_norm() -> nn.Module:
            return nn.LayerNorm(width) if norm == "pre" else nn.Identity()

        self.source = nn.Embedding(words, whole("translator: width", width), padding_idx=0)
        self.target = nn.Embedding(outputs, width)
        self.scale = width**0.5
        self.source_positions = Positions(positions, width, inputs[0])
        self.target_positions = Positions(positions, width, inputs[0])
        self.dropout = nn.Dropout(dropped("translator: dropout", dropout))
        self.encoder, self.encoder_norm = half(remembers=False), last_norm()
        self.decoder, self.decoder_norm = half(remembers=True), last_norm()
        self.output = Scores(width, outputs)
        initialize(self)
        if tie:
            self.output.weight = self.target.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        logits, _ = self.step(target, self.encode(source))
        return logits

    def encode(self, source: Tensor) -> State:
        """Where something was read, and for each layer of the decoder its past (nothing yet) and what was read."""
        inside = within(lengths_of(source), source.shape[1])  # (N, S)
        x = self.dropout(self.source_positions(self.source(source) * self.scale))  # (N, S, width)
        for layer in self.encoder:
            x = layer(x, inside[:, None, None])
        x = self.encoder_norm(x)
        return inside, tuple((layer.attention.nothing(x), x) for layer in layers_of(self.decoder))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """The logits for what comes after each of the tokens (N, T), and the state after the last."""
        before: Any
        inside, before = state
        assert isinstance(inside, Tensor)
        x = self.target(tokens) * self.scale
        x = self.dropout(self.target_positions(x, start=before[0][0][0].shape[2]))  # (N, T, width)
        kept = []
        for layer, (past, memory) in zip(layers_of(self.decoder), before, strict=True):
            x, past, memory = layer(x, inside[:, None, None], past=past, memory=memory)
            kept.append((past, memory))
        return self.output(self.decoder_norm(x)), (inside, tuple(kept))

    @torch.no_grad()
    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        """The last layer's weights of what was read, (N, T, S), to be drawn."""
        with attention_weights(self) as seen:
            self(source, target)
        [weights] = seen[f"decoder.{len(self.decoder) - 1}.memory_attention"]  # (N, heads, T, S)
        return weights.mean(dim=1)
