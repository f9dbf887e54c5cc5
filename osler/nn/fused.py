"""Torch's fused recurrent layers, for rows of different lengths too."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from osler.nn.cells import CellState
from osler.nn.masks import within

# What an input that says "this row has ended" adds to each gate, so that the state stays as it is.
HOLD = {"LSTM": (-1e4, 1e4, 0.0, 0.0), "GRU": (0.0, 1e4, 0.0)}


class OfLengths(nn.RNNBase):
    """Fused layers (N, L, inputs) → (N, L, directions · hidden) that take the lengths (N,) of rows as a third argument.

    Outputs after a row's end are 0, its state is that of its own last step, and there its backward direction begins.
    Torch's packing does the same, but takes twice the time on processors.
    """

    def forward(self, x: Any, state: Any = None, lengths: Tensor | None = None) -> Any:
        if lengths is None:
            return super().forward(x, state)
        # What an LSTM shows is not held, so a backward direction cannot begin with what another stretch has shown.
        carried = self.mode == "LSTM" and self.bidirectional and state is not None
        if x.device.type == "cpu" and self.mode in HOLD and not carried:
            return held(self, x, state, lengths)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, end = super().forward(packed, state)
        return pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])[0], end


class RNN(OfLengths, nn.RNN):
    """Elman's cells; see `OfLengths`."""


class LSTM(OfLengths, nn.LSTM):
    """LSTM cells; see `OfLengths`."""


class GRU(OfLengths, nn.GRU):
    """Gated recurrent units; see `OfLengths`."""


FUSED: dict[str, Callable[..., nn.RNNBase]] = {"elman": RNN, "lstm": LSTM, "gru": GRU}


def held(fused: nn.RNNBase, x: Tensor, state: CellState | None, lengths: Tensor) -> tuple[Tensor, CellState]:
    """The layers over rows of these lengths, without packing.

    Each layer has one more input, 1 after a row's end, with fixed weights that shut its gates there: nothing comes in
    and nothing is forgotten, exactly, as σ(−10⁴) is 0 and σ(10⁴) is 1.
    """
    run: Any = torch.lstm if fused.mode == "LSTM" else torch.gru
    directions = 2 if fused.bidirectional else 1
    ended = ~within(lengths, x.shape[1]).unsqueeze(2)  # (N, L, 1)
    hold = x.new_tensor(HOLD[fused.mode]).repeat_interleave(fused.hidden_size).unsqueeze(1)
    if state is None:
        zeros = x.new_zeros(fused.num_layers * directions, len(x), fused.hidden_size)
        state = (zeros, zeros) if fused.mode == "LSTM" else zeros
    ends: list[list[Tensor]] = []
    for layer in range(fused.num_layers):
        own = slice(layer * directions, (layer + 1) * directions)
        weights = [
            torch.cat([weight, hold], dim=1) if place == 0 else weight
            for side in fused.all_weights[own]
            for place, weight in enumerate(side)
        ]
        if layer and fused.dropout:
            x = nn.functional.dropout(x, fused.dropout, fused.training)
        start = each(state, lambda part: part[own])  # noqa: B023
        marked = torch.cat([x, ended.to(x.dtype)], dim=2)
        # Weights, with biases, of one layer, without dropout, learning or not, in how many directions, batch first.
        x, *end = run(marked, start, weights, True, 1, 0.0, fused.training, fused.bidirectional, True)
        if fused.mode == "LSTM":  # what it shows has gone on, with the cell held
            last = x[torch.arange(len(x), device=x.device), lengths - 1, : fused.hidden_size]
            end[0] = torch.cat([last.unsqueeze(0), end[0][1:]])
        x = x.masked_fill(ended, 0)
        ends.append(end)
    joined = [torch.cat(parts) for parts in zip(*ends, strict=True)]
    return x, (joined[0], joined[1]) if fused.mode == "LSTM" else joined[0]


def each(state: CellState, change: Callable[[Tensor], Tensor]) -> CellState:
    """The state with `change` done to what it has."""
    return change(state) if isinstance(state, Tensor) else (change(state[0]), change(state[1]))
