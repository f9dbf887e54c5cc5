"""Layers of cells: against torch's, with and without lengths, in both directions, and carried on."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from osler.errors import InputError
from osler.nn.recurrent import Recurrent
from osler.nn.state import changed, detached

TORCHS = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
KINDS = [
    *(("elman", {}), ("elman", {"activation": "relu"}), ("elman", {"layer_norm": True})),
    *(("lstm", {}), ("lstm", {"peephole": True}), ("lstm", {"layer_norm": True, "peephole": True})),
    *(("gru", {}), ("gru", {"layer_norm": True})),
]


def parts(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


def same(found, expected, tolerance=1e-6):
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def stepwise(recurrent: Recurrent) -> Recurrent:
    """The same layers, with the same weights, as our cells run them step by step."""
    kind = {"RNN_TANH": "elman", "RNN_RELU": "elman"}.get(recurrent.fused.mode, recurrent.fused.mode.lower())
    options = {"activation": "relu"} if recurrent.fused.mode == "RNN_RELU" else {}
    copy = Recurrent(
        kind,
        recurrent.fused.input_size,
        recurrent.hidden_size,
        layers=recurrent.fused.num_layers,
        bidirectional=recurrent.directions == 2,
        layer_norm=True,
        **options,
    ).to(recurrent.fused.weight_hh_l0.dtype)
    for cell, weights in zip(copy.cells, recurrent.fused.all_weights, strict=True):
        cell.norm_ih = cell.norm_hh = cell.norm_cell = nn.Identity()
        for name, weight in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), weights, strict=True):
            getattr(cell, name).data.copy_(weight.data)
    return copy


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 1, 3, 5]])
@pytest.mark.parametrize(("kind", "options"), [k for k in KINDS if not {"peephole", "layer_norm"} & k[1].keys()])
def test_cells_fused_and_torch_agree(kind, options, lengths, bidirectional):
    torch.manual_seed(0)
    recurrent = Recurrent(kind, 3, 4, layers=2, bidirectional=bidirectional, **options)
    own = {"nonlinearity": options.get("activation", "tanh")} if kind == "elman" else {}
    theirs = TORCHS[kind](3, 4, 2, batch_first=True, bidirectional=bidirectional, **own)
    theirs.load_state_dict(recurrent.fused.state_dict())
    x = torch.randn(4, 5, 3)
    if lengths is None:
        expected, end = theirs(x)
    else:
        packed, end = theirs(pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False))
        expected, _ = pad_packed_sequence(packed, batch_first=True, total_length=5)
    for ours in (recurrent, stepwise(recurrent)):
        outputs, state = ours(x, lengths=None if lengths is None else torch.tensor(lengths))
        same(outputs, expected)
        for found, wanted in zip(parts(state), parts(end), strict=True):
            same(found.transpose(0, 1), wanted)


@pytest.mark.parametrize("kind", ["elman", "lstm", "gru"])
def test_gradients_with_lengths_are_those_of_the_cells(kind):
    torch.manual_seed(0)
    recurrent = Recurrent(kind, 3, 4, layers=2, bidirectional=True).double()
    lengths = torch.tensor([2, 5])
    found = []
    for layers in (recurrent, stepwise(recurrent)):
        x = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        outputs, state = layers(x, lengths=lengths)
        (outputs.square().sum() + sum(part.sin().sum() for part in parts(state))).backward()
        found.append(x.grad)
        assert not x.grad[0, 2:].any()
    same(*found, tolerance=1e-9)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_sequence_in_two_stretches_is_the_sequence(kind, options, layers):
    torch.manual_seed(0)
    recurrent = Recurrent(kind, 3, 4, layers=layers, **options)
    x = torch.randn(2, 7, 3)
    whole, end = recurrent(x)
    first, state = recurrent(x[:, :4])
    assert all(part.shape == (2, layers, 4) for part in parts(state))
    second, last = recurrent(x[:, 4:], detached(state))
    same(torch.cat([first, second], dim=1), whole)
    for found, wanted in zip(parts(last), parts(end), strict=True):
        same(found, wanted)
    second.sum().backward()
    assert changed(state, lambda part: part.grad_fn) != changed(detached(state), lambda part: part.grad_fn)


@settings(max_examples=40)
@given(
    case=st.sampled_from(KINDS),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 2**20),
)
def test_a_row_alone_is_the_row_in_a_batch(case, lengths, seed):
    kind, options = case
    torch.manual_seed(seed)
    recurrent = Recurrent(kind, 2, 3, bidirectional=True, **options)
    x = torch.randn(len(lengths), 6, 2)
    outputs, state = recurrent(x, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone, end = recurrent(x[row : row + 1, :length])
        same(outputs[row : row + 1, :length], alone, 1e-5)
        assert not outputs[row, length:].any()
        for found, wanted in zip(parts(state), parts(end), strict=True):
            same(found[row : row + 1], wanted, 1e-5)


def test_start_values():
    torch.manual_seed(0)
    lstm = Recurrent("lstm", 6, 5).fused
    for gate in lstm.weight_hh_l0.detach().chunk(4):
        same(gate @ gate.T, torch.eye(5), 1e-5)
    assert lstm.bias_ih_l0.tolist() == [0] * 5 + [1] * 5 + [0] * 10
    assert not lstm.bias_hh_l0.any()
    [cell] = Recurrent("lstm", 6, 5, peephole=True).cells
    assert cell.bias_ih.tolist() == [0] * 5 + [1] * 5 + [0] * 10
    [cell] = Recurrent("gru", 6, 5, layer_norm=True).cells
    assert [norm.weight.tolist() for norm in cell.norm_hh.norms] == [[1] * 10, [1] * 5]


def test_dropout_stands_between_layers_only():
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    for options in ({}, {"layer_norm": True}):
        one = Recurrent("lstm", 3, 4, dropout=0.5, **options)
        same(one(x)[0], one(x)[0])
        two = Recurrent("lstm", 3, 4, layers=2, dropout=0.5, **options)
        for lengths in (None, torch.tensor([5, 4])):
            assert not torch.equal(two.train()(x, lengths=lengths)[0], two(x, lengths=lengths)[0])
            assert torch.equal(two.eval()(x, lengths=lengths)[0], two(x, lengths=lengths)[0])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ltsm", {}, "did you mean 'lstm'"),
        ("gru", {"peephole": True}, "option of the LSTM"),
        ("lstm", {"activation": "relu"}, "option of the Elman cell"),
        ("elman", {"activation": "rellu"}, "did you mean 'relu'"),
        ("lstm", {"layers": 0}, "layers must be a whole number of at least 1, got 0"),
        ("lstm", {"dropout": 1.0}, "below 1, got 1.0"),
    ],
)
def test_refusals(kind, options, message):
    with pytest.raises(InputError, match=message):
        Recurrent(kind, 2, 3, **options)
