"""Recurrent networks that read a sequence and answer: once, or at every step."""

from typing import Literal

import torch
from torch import Tensor, nn

from osler.models.sequences import Entry, Pool, check_pool, pooled
from osler.nn.initialisation import initialize
from osler.nn.options import dropped, whole
from osler.nn.recurrent import Recurrent


class RecurrentNetwork(nn.Module):
    """Embedding (of tokens) → dropout → recurrent layers → one vector (unless `every`) → dropout → linear.

    `forward(x, lengths=None)`: tokens (N, L), whose lengths are found from the padding 0; or numbers (N, L, F), whose
    `lengths` (N,) are given where rows are padded. → (N, outputs), with `every` (N, L, outputs).
    """

    def __init__(
        self,
        name: str,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        vocabulary: int | None,
        width: int,
        hidden: int,
        layers: int,
        bidirectional: bool,
        pool: Pool | None,
        every: bool,
        dropout: float,
        activation: Literal["tanh", "relu"] = "tanh",
        peephole: bool = False,
        layer_norm: bool = False,
    ):
        super().__init__()
        self.entry = Entry(name, inputs, outputs, vocabulary, width)
        self.dropout = nn.Dropout(dropped(f"{name}: dropout", dropout))
        self.recurrent = Recurrent(
            name,
            self.entry.width,
            whole(f"{name}: hidden", hidden),
            layers=whole(f"{name}: layers", layers),
            bidirectional=bidirectional,
            dropout=dropout,
            activation=activation,
            peephole=peephole,
            layer_norm=layer_norm,
        )
        # What a text is about may be said anywhere in it; a series goes on from its end.
        self.pool = check_pool(name, pool or ("max" if vocabulary else "last"))
        self.every = every
        self.output = nn.Linear(self.recurrent.directions * hidden, outputs)
        initialize(self)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x, lengths = self.entry(x, lengths)  # (N, L, width)
        both = self.recurrent.directions == 2
        # Forward in time padding at the end does no harm, and rows of one length are faster.
        h, _ = self.recurrent(self.dropout(x), lengths=lengths if both else None)  # (N, L, directions · hidden)
        if self.every:
            pass
        elif self.pool == "last" and both:  # the backward direction has read all when it is at the beginning
            half = self.recurrent.hidden_size
            h = torch.cat([pooled("last", h[:, :, :half], lengths), h[:, 0, half:]], dim=1)
        else:
            h = pooled(self.pool, h, lengths)
        logits: Tensor = self.output(self.dropout(h))
        return logits


def elman(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    vocabulary: int | None = None,
    width: int = 128,
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    pool: Pool | None = None,
    every: bool = False,
    dropout: float = 0.0,
    activation: Literal["tanh", "relu"] = "tanh",
    layer_norm: bool = False,
) -> RecurrentNetwork:
    """The simple recurrent network (Elman, "Finding structure in time", 1990).

    Formula: h_t = f(W x_t + U h_(t−1) + b); logits = V·pool(h_1 … h_L) + b.
    Shapes: tokens (N, L) with `vocabulary`, 0 being padding, or numbers (N, L, F) → (N, outputs); with `every` one
    answer for each step, (N, L, outputs).
    Options: `vocabulary`: how many tokens there are, padding included; they become vectors of `width`. `hidden` units
    in each of `layers`, `bidirectional` twice as many. `pool`: "last" (of each row's own steps), "mean" or "max";
    None is "max" of tokens and "last" of numbers. `dropout` before, between and after the layers. `activation`:
    "tanh" or "relu". `layer_norm`: normalises both shares of a state, step by step and so slower.
    Use: short dependencies, and to see gradients vanish in longer ones, for which there are `lstm` and `gru`.
    Source: Elman, 1990.

        >>> elman(inputs=(20,), outputs=2, vocabulary=100)(torch.tensor([[5, 9, 0], [7, 1, 3]])).shape
        torch.Size([2, 2])
    """
    return RecurrentNetwork(
        "elman",
        inputs,
        outputs,
        vocabulary=vocabulary,
        width=width,
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        pool=pool,
        every=every,
        dropout=dropout,
        activation=activation,
        layer_norm=layer_norm,
    )


def lstm(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    vocabulary: int | None = None,
    width: int = 128,
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    pool: Pool | None = None,
    every: bool = False,
    dropout: float = 0.0,
    peephole: bool = False,
    layer_norm: bool = False,
) -> RecurrentNetwork:
    """Long short-term memory (Hochreiter and Schmidhuber, 1997).

    Formula: i, f, g, o = W x_t + U h + b; c ← σ(f)·c + σ(i)·tanh(g); h ← σ(o)·tanh(c) at each step;
    logits = V·pool(h_1 … h_L) + b.
    Shapes: tokens (N, L) with `vocabulary`, 0 being padding, or numbers (N, L, F) → (N, outputs); with `every` one
    answer for each step, (N, L, outputs).
    Options: `vocabulary`: how many tokens there are, padding included; they become vectors of `width`. `hidden` units
    in each of `layers`, `bidirectional` twice as many. `pool`: "last" (of each row's own steps), "mean" or "max";
    None is "max" of tokens and "last" of numbers. `dropout` before, between and after the layers. `peephole`: gates
    that see the cell. `layer_norm`: normalised shares of the gates. Both run step by step, and so slower.
    Use: sequences with long dependencies, of text, sound or measurements.
    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997.

        >>> lstm(inputs=(96, 7), outputs=3)(torch.zeros(2, 96, 7)).shape
        torch.Size([2, 3])
    """
    return RecurrentNetwork(
        "lstm",
        inputs,
        outputs,
        vocabulary=vocabulary,
        width=width,
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        pool=pool,
        every=every,
        dropout=dropout,
        peephole=peephole,
        layer_norm=layer_norm,
    )


def gru(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    vocabulary: int | None = None,
    width: int = 128,
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    pool: Pool | None = None,
    every: bool = False,
    dropout: float = 0.0,
    layer_norm: bool = False,
) -> RecurrentNetwork:
    """A network of gated recurrent units (Cho et al., 2014).

    Formula: r, z = σ(W x_t + U h + b); n = tanh(W_n x_t + b_n + r·(U_n h + b_m)); h ← (1 − z)·n + z·h at each step;
    logits = V·pool(h_1 … h_L) + b.
    Shapes: tokens (N, L) with `vocabulary`, 0 being padding, or numbers (N, L, F) → (N, outputs); with `every` one
    answer for each step, (N, L, outputs).
    Options: `vocabulary`: how many tokens there are, padding included; they become vectors of `width`. `hidden` units
    in each of `layers`, `bidirectional` twice as many. `pool`: "last" (of each row's own steps), "mean" or "max";
    None is "max" of tokens and "last" of numbers. `dropout` before, between and after the layers. `layer_norm`:
    normalised shares of the gates, step by step and so slower.
    Use: as `lstm`, with three quarters of its weights.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", 2014.

        >>> gru(inputs=(20,), outputs=4, vocabulary=100, every=True)(torch.tensor([[5, 9, 2]])).shape
        torch.Size([1, 3, 4])
    """
    return RecurrentNetwork(
        "gru",
        inputs,
        outputs,
        vocabulary=vocabulary,
        width=width,
        hidden=hidden,
        layers=layers,
        bidirectional=bidirectional,
        pool=pool,
        every=every,
        dropout=dropout,
        layer_norm=layer_norm,
    )
