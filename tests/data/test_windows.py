import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.data.batches import Batches
from osler.data.windows import Windows, all_windows


def test_windows_by_hand():
    found = all_windows(torch.tensor([5, 6, 7, 8, 9]), 2)
    assert found.inputs.tolist() == [[5, 6], [7, 8]]
    assert found.targets.tolist() == [[6, 7], [8, 9]]


@given(st.integers(2, 40), st.integers(1, 9))
def test_all_windows_foretell_each_token_once(count, length):
    tokens = torch.arange(1, count + 1)
    found = all_windows(tokens, length)
    assert found.targets[found.targets > 0].tolist() == tokens[1:].tolist()
    told = found.targets > 0
    assert (found.targets[told] == found.inputs[told] + 1).all()


@given(st.integers(2, 9), st.integers(0, 60), st.integers(1, 9))
def test_windows_to_learn_from_are_views_cut_elsewhere_in_each_pass(length, more, epoch):
    tokens = torch.arange(1, 2 * length + more + 1)
    found = Windows.of(tokens, length, epoch)
    assert found.inputs.untyped_storage().data_ptr() == tokens.untyped_storage().data_ptr()
    assert len(found) == len(tokens) // length - 1 == len(Windows.of(tokens, length))
    assert (found.targets == found.inputs + 1).all()
    assert found.inputs.flatten().tolist() == list(range(int(found.inputs[0, 0]), int(found.inputs[-1, -1]) + 1))
    assert len(tokens) - found.inputs.numel() < 2 * length


def test_passes_begin_at_different_places_and_the_place_is_kept():
    data = Windows.of(torch.arange(1, 101), 10)
    batches = Batches(data, 3, shuffle=True, seed=1)
    passes = [[batch.inputs for batch in batches] for _ in range(3)]
    starts = [min(int(x[0, 0]) for batch in given for x in batch.split(1)) for given in passes]
    assert starts[0] == 1
    assert len(set(starts)) == 3
    again = Batches(data, 3, shuffle=True, seed=1)
    list(again)
    half = iter(again)
    next(half)
    state = again.state_dict()
    rest = Batches(data, 3, shuffle=True, seed=1)
    rest.load_state_dict(state)
    for found, expected in zip(rest, passes[1][1:], strict=True):
        assert torch.equal(found.inputs, expected)
    moved = data.to(torch.device("cpu"))
    assert torch.equal(moved.of_epoch(2).inputs, data.of_epoch(2).inputs)


def test_a_text_of_less_than_two_windows_cannot_be_cut():
    with pytest.raises(AssertionError):
        Windows.of(torch.arange(5), 3)
