"""Cells of recurrent networks: one step of a sequence, written out as in the books.

A cell has the weights of torch's cell of the same name, in the same order, so that one loads into the other. What it
adds is peephole connections and layer normalisation. `Recurrent` repeats a cell over a sequence.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from osler.errors import unknown_name
from osler.nn.options import whole

CellState = Tensor | tuple[Tensor, Tensor]


class GateNorm(nn.Module):
    """Layer normalisation of groups of gates, each group by itself: a scale, no shift, which the cell's bias is.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016 (supplement).
    """

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        self.sizes = list(sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(size, bias=False) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.norms, torch.split(x, self.sizes, dim=-1), strict=True)
        return torch.cat([norm(part) for norm, part in parts], dim=-1)


class Cell(nn.RNNCellBase):
    """What the cells share: x and h, each times its weights, for all gates at once.

    `groups`: how many gates are normalised together, as the paper on layer normalisation groups them.
    """

    def __init__(self, inputs: int, hidden: int, groups: Sequence[int], layer_norm: bool):
        super().__init__(whole("inputs", inputs), whole("hidden", hidden), bias=True, num_chunks=sum(groups))
        sizes = [gates * hidden for gates in groups]
        self.norm_ih = GateNorm(sizes) if layer_norm else nn.Identity()
        self.norm_hh = GateNorm(sizes) if layer_norm else nn.Identity()

    def project(self, x: Tensor) -> Tensor:
        """The inputs' share of the gates, (…, inputs) → (…, gates · hidden), of as many steps at once as one likes."""
        share: Tensor = self.norm_ih(F.linear(x, self.weight_ih)) + self.bias_ih
        return share

    def recur(self, h: Tensor) -> Tensor:
        """The share of the step before, (N, hidden) → (N, gates · hidden)."""
        share: Tensor = self.norm_hh(F.linear(h, self.weight_hh)) + self.bias_hh
        return share

    def begin(self, x: Tensor) -> CellState:
        """Zeros, for as many rows as x (N, …) has."""
        return x.new_zeros(len(x), self.hidden_size)

    def step(self, projected: Tensor, state: CellState) -> CellState:
        """The state after one step, from the projected input (N, gates · hidden) and the state before."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: CellState | None = None) -> CellState:
        return self.step(self.project(x), self.begin(x) if state is None else state)


class ElmanCell(Cell):
    """The simple recurrent cell: the new state is an activation of the input and the state before.

    Formula: h' = f(W_ih x + b_ih + W_hh h + b_hh), f = `activation`: "tanh" (default) or "relu".
    Shapes: x (N, inputs), h (N, hidden) → (N, hidden); without a state it starts at zeros.
    Source: Elman, "Finding structure in time", 1990.

        >>> ElmanCell(3, 4)(torch.zeros(2, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(self, inputs: int, hidden: int, *, activation: str = "tanh", layer_norm: bool = False):
        super().__init__(inputs, hidden, (1,), layer_norm)
        if activation not in ("tanh", "relu"):
            raise unknown_name("activation of an Elman cell", activation, ["tanh", "relu"])
        self.activation = torch.tanh if activation == "tanh" else torch.relu

    def step(self, projected: Tensor, state: CellState) -> CellState:
        assert isinstance(state, Tensor)
        return self.activation(projected + self.recur(state))


class LSTMCell(Cell):
    """Long short-term memory: gates decide what the cell keeps, takes in and shows.

    Formula: i, f, g, o = W_ih x + b_ih + W_hh h + b_hh;
    c' = σ(f)·c + σ(i)·tanh(g); h' = σ(o)·tanh(c').
    With `peephole` the gates see the cell: i + p_i·c, f + p_f·c, o + p_o·c'. With `layer_norm` W_ih x, W_hh h and the
    cell that is shown are normalised, each by itself.
    Shapes: x (N, inputs), state (h, c) of (N, hidden) each → (h', c'); without a state both start at zeros.
    Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; the forget gate, Gers, Schmidhuber and Cummins,
    "Learning to forget", 2000; peepholes, Gers and Schmidhuber, "Recurrent nets that time and count", 2000.

        >>> h, c = LSTMCell(3, 4, peephole=True)(torch.zeros(2, 3))
        >>> c.shape
        torch.Size([2, 4])
    """

    def __init__(self, inputs: int, hidden: int, *, peephole: bool = False, layer_norm: bool = False):
        super().__init__(inputs, hidden, (4,), layer_norm)
        self.peephole = nn.Parameter(torch.zeros(3, hidden)) if peephole else None  # starts as a cell without
        self.norm_cell = nn.LayerNorm(hidden) if layer_norm else nn.Identity()

    def begin(self, x: Tensor) -> CellState:
        zeros = x.new_zeros(len(x), self.hidden_size)
        return zeros, zeros

    def step(self, projected: Tensor, state: CellState) -> CellState:
        h, c = state
        i, f, g, o = (projected + self.recur(h)).chunk(4, dim=-1)
        if self.peephole is not None:
            i, f = i + self.peephole[0] * c, f + self.peephole[1] * c
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        if self.peephole is not None:
            o = o + self.peephole[2] * c
        return o.sigmoid() * self.norm_cell(c).tanh(), c


class GRUCell(Cell):
    """Gated recurrent unit: one gate mixes old and new, another decides what of the old the new one sees.

    Formula: r = σ(W_ir x + b_ir + W_hr h + b_hr); z = σ(W_iz x + b_iz + W_hz h + b_hz);
    n = tanh(W_in x + b_in + r·(W_hn h + b_hn)); h' = (1 − z)·n + z·h.
    The reset gate comes after the product with W_hn, as in torch and cuDNN; in the paper it comes before. With
    `layer_norm` W_ih x and W_hh h are normalised, the gates r and z together, n by itself.
    Shapes: x (N, inputs), h (N, hidden) → (N, hidden); without a state it starts at zeros.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", 2014.

        >>> GRUCell(3, 4)(torch.zeros(2, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(self, inputs: int, hidden: int, *, layer_norm: bool = False):
        super().__init__(inputs, hidden, (2, 1), layer_norm)

    def step(self, projected: Tensor, state: CellState) -> CellState:
        assert isinstance(state, Tensor)
        of_x, of_h = projected.chunk(3, dim=-1), self.recur(state).chunk(3, dim=-1)
        r, z = (of_x[0] + of_h[0]).sigmoid(), (of_x[1] + of_h[1]).sigmoid()
        n = (of_x[2] + r * of_h[2]).tanh()
        return n + z * (state - n)
