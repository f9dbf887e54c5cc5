"""Recurrent encoder and decoder with attention (Sutskever et al., 2014; Bahdanau et al., 2015; Luong et al., 2015)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.models.sequences import check_tokens
from osler.nn.attention import SCORES, AlignmentAttention, attention_weights
from osler.nn.initialisation import initialize
from osler.nn.masks import lengths_of, within
from osler.nn.options import dropped, whole
from osler.nn.recurrent import Recurrent
from osler.nn.state import State


class Seq2Seq(nn.Module):
    """One recurrent network reads a sequence, another writes the answer, looking back at what was read.

    `forward(source, target)`: tokens (N, S) and (N, T), both with 0 as padding at the end → logits (N, T, V), those
    at a place for the token that comes after it: `target` begins with the token that begins every answer (teacher
    forcing). To write without a teacher: `encode(source)` gives a state, `step(tokens, state)` → (logits (N, T, V),
    state), the way `greedy` and `beam_search` go. `alignment(source, target)` → (N, T, S): how much each written
    token looked at each read one; its rows sum to 1.

    Options: `inputs` is (S,), the usual length; any other is taken, too. `vocabulary` and `outputs`: how many tokens
    the source and the target have. `cell`: "gru" (default), "lstm" or "elman". `attention`: "bahdanau" (default:
    additive, asked before each step), "dot", "general" or "concat" (Luong: asked after it, all steps at once, which
    is faster), or "none", where the encoder's last state is all that the decoder knows. `width` of a token's vector,
    `hidden` units of a state, default 256; `layers` of both, default 1. `bidirectional`: the encoder reads both ways,
    with hidden / 2 units each (default). `dropout`, default 0.2.
    Raises: InputError for impossible options.
    Use: translation and other rewriting, with tens of thousands of pairs; with more, `translator`.
    Deviations from the papers: the readout is tanh(W[context, h]) then linear for every attention; Luong's input
    feeding is left out, for all steps to be computed at once.
    Source: Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks", 2014; Bahdanau, Cho and
    Bengio, 2015; Luong, Pham and Manning, 2015.

        >>> model = Seq2Seq(inputs=(20,), outputs=90, vocabulary=100)
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
        cell: Literal["gru", "lstm", "elman"] = "gru",
        attention: Literal["none", "bahdanau", "dot", "general", "concat"] = "bahdanau",
        width: int = 256,
        hidden: int = 256,
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.2,
    ):
        super().__init__()
        words = check_tokens("seq2seq", inputs, outputs, vocabulary)
        if attention not in ("none", *SCORES):
            raise unknown_name("attention of seq2seq", attention, ["none", *SCORES])
        if whole("seq2seq: hidden", hidden) % 2 and bidirectional:
            raise InputError(f"seq2seq: hidden must be even, half of it for each direction, but got {hidden!r}")
        self.source = nn.Embedding(words, whole("seq2seq: width", width), padding_idx=0)
        self.target = nn.Embedding(outputs, width, padding_idx=0)
        self.dropout = nn.Dropout(dropped("seq2seq: dropout", dropout))
        self.encoder = Recurrent(
            cell,
            width,
            hidden // 2 if bidirectional else hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
        )
        self.asks_before = attention == "bahdanau"
        self.decoder = Recurrent(
            cell, width + hidden if self.asks_before else width, hidden, layers=layers, dropout=dropout
        )
        self.attention = None if attention == "none" else AlignmentAttention(attention, hidden)
        self.readout = None if attention == "none" else nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh())
        self.output = nn.Linear(hidden, outputs)
        initialize(self)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        logits, _ = self.step(target, self.encode(source))
        return logits

    def encode(self, source: Tensor) -> State:
        """What the decoder begins with: its own state, what was read (N, S, hidden), its keys, and where it is."""
        lengths = lengths_of(source)
        memory, last = self.encoder(self.dropout(self.source(source)), lengths=lengths)
        # (N, layers · 2, hidden / 2) → (N, layers, hidden): the two directions of a layer side by side.
        own = tuple(_joined(part, memory.shape[2]) for part in last) if isinstance(last, tuple) else None
        start = _joined(last, memory.shape[2]) if own is None else own
        keys = memory if self.attention is None else self.attention.keys(memory)
        return start, memory, keys, within(lengths, source.shape[1])

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """The logits for what comes after each of the tokens (N, T), and the state after the last."""
        own: Any
        own, memory, keys, inside = state
        x = self.dropout(self.target(tokens))  # (N, T, width)
        if self.attention is None or self.readout is None:
            h, own = self.decoder(x, own)
            return self.output(self.dropout(h)), (own, memory, keys, inside)
        if self.asks_before:
            hs, contexts = [], []
            for now in x.split(1, dim=1):
                top = (own[0] if isinstance(own, tuple) else own)[:, -1:]  # (N, 1, hidden), of the last layer
                context = self.attention(top, keys, memory, inside)
                h, own = self.decoder(torch.cat([now, context], dim=2), own)
                hs.append(h)
                contexts.append(context)
            h, context = torch.cat(hs, dim=1), torch.cat(contexts, dim=1)
        else:
            h, own = self.decoder(x, own)
            context = self.attention(h, keys, memory, inside)
        read = self.readout(torch.cat([context, h], dim=2))  # (N, T, hidden)
        return self.output(self.dropout(read)), (own, memory, keys, inside)

    @torch.no_grad()
    def alignment(self, source: Tensor, target: Tensor) -> Tensor:
        """The weights of the attention, (N, T, S), to be drawn; InputError where there is none."""
        if self.attention is None:
            raise InputError("this seq2seq has attention='none', so nothing says where it looked")
        with attention_weights(self) as seen:
            self(source, target)
        return torch.cat(seen["attention"], dim=1)


def _joined(state: Any, hidden: int) -> Tensor:
    joined: Tensor = state.reshape(len(state), -1, hidden)
    return joined
