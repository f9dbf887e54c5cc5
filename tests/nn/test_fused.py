"""Fused layers that know the lengths of rows: against torch's packing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from osler.nn.fused import FUSED

TORCHS = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


@settings(max_examples=15)
@given(
    kind=st.sampled_from(list(FUSED)),
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    layers=st.integers(1, 2),
    both=st.booleans(),
    carried=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rows_of_any_length_are_as_packed(kind, lengths, layers, both, carried, seed):
    torch.manual_seed(seed)
    ours = FUSED[kind](2, 3, layers, batch_first=True, bidirectional=both)
    theirs = TORCHS[kind](2, 3, layers, batch_first=True, bidirectional=both)
    theirs.load_state_dict(ours.state_dict())
    x, lengths = torch.randn(len(lengths), 5, 2), torch.tensor(lengths)
    h, c = torch.randn(2, layers * (1 + both), len(lengths), 3)
    state = ((h, c) if kind == "lstm" else h) if carried else None
    outputs, end = ours(x, state, lengths)
    packed, expected_end = theirs(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), state)
    expected, _ = pad_packed_sequence(packed, batch_first=True, total_length=5)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(end, expected_end, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", list(FUSED))
def test_whatever_stands_after_the_end(kind):
    """Large numbers, as after a wrong scaling, come in no more than small ones."""
    torch.manual_seed(0)
    layers, lengths = FUSED[kind](2, 3, batch_first=True, bidirectional=True), torch.tensor([2, 4])
    x = torch.randn(2, 4, 2)
    other = x.clone()
    other[0, 2:] = 100
    assert torch.equal(layers(x, None, lengths)[0], layers(other, None, lengths)[0])


def test_without_lengths_it_is_torchs():
    layers, x = FUSED["gru"](2, 3, batch_first=True), torch.randn(2, 4, 2)
    assert torch.equal(layers(x)[0], nn.GRU.forward(layers, x)[0])
