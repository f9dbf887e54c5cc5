import pytest
import torch

from osler.errors import InputError
from osler.models.sequences import Entry, check_numbers, check_tokens, pooled


def test_pools():
    x, lengths = torch.tensor([[[1.0], [5.0], [3.0]], [[-2.0], [-4.0], [9.0]]]), torch.tensor([3, 2])
    assert pooled("last", x, lengths).flatten().tolist() == [3, -4]
    assert pooled("mean", x, lengths).flatten().tolist() == [3, -3]
    assert pooled("max", x, lengths).flatten().tolist() == [5, -2]
    assert pooled("last", x).flatten().tolist() == [3, 9]
    assert pooled("mean", x).flatten().tolist() == [3, 1]
    assert pooled("max", x).flatten().tolist() == [5, 9]


def test_tokens_become_vectors_and_numbers_stay():
    tokens = torch.tensor([[3, 1, 0]])
    x, lengths = Entry("net", (3,), 2, vocabulary=5, width=4)(tokens)
    assert x.shape == (1, 3, 4)
    assert not x[0, 2].any()
    assert lengths.tolist() == [2]
    entry, numbers = Entry("net", (3, 6), 2, vocabulary=None, width=4), torch.ones(1, 3, 6)
    assert entry(numbers)[0] is numbers
    assert entry(numbers)[1] is None
    assert entry.width == 6


def test_refusals():
    with pytest.raises(InputError, match=r"net takes tokens .* or sequences of numbers .*got inputs \(3, 6\) and voc"):
        Entry("net", (3, 6), 2, vocabulary=5, width=4)
    with pytest.raises(InputError, match=r"net takes tokens .*vocabulary=None; an example is"):
        check_tokens("net", (3,), 2, None)
    with pytest.raises(InputError, match=r"net takes sequences of numbers .*got inputs \(3,\); an example"):
        check_numbers("net", (3,), 2)
