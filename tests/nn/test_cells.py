"""Single steps: against torch's cells, against loops written by hand, and their gradients against differences."""

import math

import pytest
import torch
from torch import nn

from osler.nn.cells import ElmanCell, GRUCell, LSTMCell

PAIRS = [
    (ElmanCell, nn.RNNCell, {}, {}),
    (ElmanCell, nn.RNNCell, {"activation": "relu"}, {"nonlinearity": "relu"}),
    (LSTMCell, nn.LSTMCell, {}, {}),
    (GRUCell, nn.GRUCell, {}, {}),
]
ALL = [
    *((ElmanCell, {}), (ElmanCell, {"layer_norm": True}), (LSTMCell, {}), (LSTMCell, {"peephole": True})),
    *((LSTMCell, {"peephole": True, "layer_norm": True}), (GRUCell, {}), (GRUCell, {"layer_norm": True})),
]


@pytest.mark.parametrize(("ours", "theirs", "options", "own"), PAIRS)
def test_a_cell_is_torchs_cell(ours, theirs, options, own):
    torch.manual_seed(0)
    cell, reference = ours(3, 4, **options), theirs(3, 4, **own)
    cell.load_state_dict(reference.state_dict())
    state = None
    for _ in range(3):
        x = torch.randn(2, 3)
        state, expected = cell(x, state), reference(x, state)
        torch.testing.assert_close(state, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_gradients_are_the_differences(kind, options):
    torch.manual_seed(0)
    cell = kind(2, 3, **options).double()
    x = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    h = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    c = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in cell.named_parameters()]

    def step(x, h, c, *weights):
        state = (h, c) if kind is LSTMCell else h
        return torch.func.functional_call(cell, dict(zip(names, weights, strict=True)), (x, state))

    assert torch.autograd.gradcheck(step, (x, h, c, *cell.parameters()))


def test_peepholes_by_hand():
    """Two steps of a cell of one unit, in plain numbers."""
    cell = LSTMCell(1, 1, peephole=True).double()
    w, u = [0.5, -0.3, 0.8, 0.1], [0.2, 0.4, -0.6, 0.7]  # input, forget, cell, output
    b, p = [0.1, 1.0, 0.0, -0.2], [0.3, -0.5, 0.9]
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor(w).reshape(4, 1))
        cell.weight_hh.copy_(torch.tensor(u).reshape(4, 1))
        cell.bias_ih.copy_(torch.tensor(b))
        cell.bias_hh.zero_()
        cell.peephole.copy_(torch.tensor(p).reshape(3, 1))

    def sigmoid(v):
        return 1 / (1 + math.exp(-v))

    h, c, state = 0.0, 0.0, None
    for x in (1.0, -2.0):
        i = sigmoid(w[0] * x + u[0] * h + b[0] + p[0] * c)
        f = sigmoid(w[1] * x + u[1] * h + b[1] + p[1] * c)
        c = f * c + i * math.tanh(w[2] * x + u[2] * h + b[2])
        o = sigmoid(w[3] * x + u[3] * h + b[3] + p[2] * c)
        h = o * math.tanh(c)
        state = cell(torch.tensor([[x]], dtype=torch.float64), state)
        assert [part.item() for part in state] == pytest.approx([h, c], abs=1e-6)


def test_layer_norm_forgets_the_size_of_its_input():
    torch.manual_seed(0)
    cell = LSTMCell(3, 8, layer_norm=True)
    x = torch.randn(2, 3)
    torch.testing.assert_close(cell(1000 * x)[0], cell(100 * x)[0], rtol=1e-3, atol=1e-4)
    gates = cell.norm_ih(torch.randn(5, 32))
    torch.testing.assert_close(gates.mean(1), torch.zeros(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(gates.var(1, correction=0), torch.ones(5), rtol=0, atol=1e-3)


def test_parameters():
    """Of 3 inputs and 5 units: 4·5·(3 + 5 + 2) = 200; peepholes 3·5; norms 2·20, and 2·5 for the cell."""

    def count(cell):
        return sum(p.numel() for p in cell.parameters())

    assert count(LSTMCell(3, 5)) == 200
    assert count(LSTMCell(3, 5, peephole=True, layer_norm=True)) == 200 + 15 + 40 + 10
    assert count(GRUCell(3, 5)) == 150
    assert count(ElmanCell(3, 5, layer_norm=True)) == 50 + 10
