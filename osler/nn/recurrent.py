"""A cell repeated over a sequence: in layers, in both directions, with a state that can be carried on."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from osler.errors import InputError, unknown_name
from osler.nn.cells import Cell, CellState, ElmanCell, GRUCell, LSTMCell
from osler.nn.fused import FUSED, each
from osler.nn.initialisation import initialize
from osler.nn.options import dropped, whole

CELLS: dict[str, type[Cell]] = {"elman": ElmanCell, "lstm": LSTMCell, "gru": GRUCell}


class Recurrent(nn.Module):
    """Layers of Elman, LSTM or GRU cells over a sequence, each layer reading the outputs of the one before.

    It runs torch's fused kernels; with `peephole` (LSTM) or `layer_norm`, which those lack, our cells step by step.

    Called with x (N, L, inputs) → outputs (N, L, directions · hidden) of the last layer, and the state after the last
    step: (N, layers · directions, hidden), for an LSTM two of them, (h, c). The state can be given again, as `state`,
    to go on where it ended; detach it to cut the gradient there (`detached`).
    `lengths` (N,): how many steps of each row count, at least 1. Each row's state is that of its own last step, the
    backward direction begins there, and outputs after it are 0. Without `lengths` all steps count.

    `kind`: "elman", "lstm" or "gru". `layers`, default 1. `bidirectional`: a second set of cells reads from the end,
    and its outputs stand beside those of the first. `dropout` between layers. `activation` of an Elman cell: "tanh"
    or "relu". Raises InputError for an option that the kind does not have.

    Start: orthogonal recurrent weights, which neither shrink nor grow a gradient on its way back through time (Saxe
    et al., 2014); a forget gate of 1, so that an LSTM remembers before it has learned to (Gers et al., 2000;
    Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network architectures", 2015).
    Source of two directions: Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997.

        >>> outputs, (h, c) = Recurrent("lstm", 3, 5, layers=2)(torch.zeros(4, 7, 3))
        >>> outputs.shape, h.shape
        (torch.Size([4, 7, 5]), torch.Size([4, 2, 5]))
    """

    def __init__(
        self,
        kind: str,
        inputs: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        activation: Literal["tanh", "relu"] = "tanh",
        peephole: bool = False,
        layer_norm: bool = False,
    ):
        super().__init__()
        if kind not in CELLS:
            raise unknown_name("kind of recurrent cell", kind, CELLS)
        if peephole and kind != "lstm":
            raise InputError(f"peephole is an option of the LSTM: {kind} has no cell to look into")
        if activation != "tanh" and kind != "elman":
            raise InputError(f"activation is an option of the Elman cell: those of {kind} are fixed")
        whole("inputs", inputs), whole("hidden", hidden), whole("layers", layers), dropped("dropout", dropout)
        self.kind = kind
        self.directions = 2 if bidirectional else 1
        self.hidden_size = hidden
        self.dropout = nn.Dropout(dropout)
        if kind == "elman" and activation not in ("tanh", "relu"):
            raise unknown_name("activation of an Elman cell", activation, ["tanh", "relu"])
        special: dict[str, Any] = {}
        if not peephole and not layer_norm:
            if kind == "elman":
                special = {"nonlinearity": activation}
            self.fused: nn.RNNBase | None = FUSED[kind](
                inputs,
                hidden,
                layers,
                batch_first=True,
                bidirectional=bidirectional,
                dropout=dropout if layers > 1 else 0.0,
                **special,
            )
            self.cells = nn.ModuleList()
        else:
            if kind != "gru":
                special = {"peephole": peephole} if kind == "lstm" else {"activation": activation}
            widths = [inputs, *[self.directions * hidden] * (layers - 1)]
            self.fused = None
            # In torch's order: each layer's forward cell, then its backward cell.
            self.cells = nn.ModuleList(
                CELLS[kind](width, hidden, layer_norm=layer_norm, **special)
                for width in widths
                for _ in range(self.directions)
            )
        initialize(self)

    def begin(self, rows: int) -> CellState:
        """The state before the first step, zeros, for so many rows."""
        weight = next(self.parameters())
        count = self.fused.num_layers * self.directions if self.fused is not None else len(self.cells)
        zeros = torch.zeros(rows, count, self.hidden_size, device=weight.device, dtype=weight.dtype)
        return (zeros, zeros) if self.kind == "lstm" else zeros

    def forward(
        self, x: Tensor, state: CellState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        if self.fused is None:
            return self._stepwise(x, state, lengths)
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Processors run these kernels several times slower in bfloat16, or not at all.
            with torch.autocast("cpu", enabled=False):
                return self._at_once(self.fused, x.to(next(self.fused.parameters()).dtype), state, lengths)
        return self._at_once(self.fused, x, state, lengths)

    def _at_once(
        self, fused: nn.RNNBase, x: Tensor, state: CellState | None, lengths: Tensor | None
    ) -> tuple[Tensor, CellState]:
        if state is not None:  # torch has the batch on the second axis
            state = each(state, lambda part: part.transpose(0, 1).to(x.dtype).contiguous())
        outputs, end = fused(x, state, lengths)
        return outputs, each(end, lambda part: part.transpose(0, 1))

    def _stepwise(self, x: Tensor, state: CellState | None, lengths: Tensor | None) -> tuple[Tensor, CellState]:
        ends: list[CellState] = []
        for index in range(0, len(self.cells), self.directions):
            if index:
                x = self.dropout(x)
            sides = []
            for direction in range(self.directions):
                cell = self.cells[index + direction]
                assert isinstance(cell, Cell)
                number = len(ends)
                start = cell.begin(x) if state is None else each(state, lambda part: part[:, number])  # noqa: B023
                outputs, end = scan(cell, x, start, lengths, backward=direction == 1)
                sides.append(outputs)
                ends.append(end)
            x = torch.cat(sides, dim=-1)
        if isinstance(ends[0], Tensor):
            return x, torch.stack([end for end in ends if isinstance(end, Tensor)], dim=1)
        return x, (torch.stack([h for h, _ in ends], dim=1), torch.stack([c for _, c in ends], dim=1))


def scan(
    cell: Cell, x: Tensor, state: CellState, lengths: Tensor | None = None, backward: bool = False
) -> tuple[Tensor, CellState]:
    """A cell over a sequence, step by step: x (N, L, inputs) → outputs (N, L, hidden), and the last state.

    `backward` reads from the end of each row to its beginning. Steps from `lengths` (N,) on leave the state as it is.
    """
    steps = cell.project(x).unbind(1)  # what doesn't wait for the step before, of all steps at once
    outputs: list[Tensor] = [x] * len(steps)
    for t in reversed(range(len(steps))) if backward else range(len(steps)):
        after = cell.step(steps[t], state)
        h = after if isinstance(after, Tensor) else after[0]
        if lengths is not None:
            counts = (t < lengths).unsqueeze(1)  # (N, 1)
            h = h.where(counts, 0)
            if isinstance(after, Tensor):
                assert isinstance(state, Tensor)
                after = after.where(counts, state)
            else:
                after = (after[0].where(counts, state[0]), after[1].where(counts, state[1]))
        outputs[t], state = h, after
    return torch.stack(outputs, dim=1), state
