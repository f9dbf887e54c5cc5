import torch

from osler.nn.masks import causal, lengths_of, within


def test_lengths_and_places_within():
    tokens = torch.tensor([[3, 0, 0], [3, 4, 5], [0, 0, 0]])
    assert lengths_of(tokens).tolist() == [1, 3, 1]  # a row without tokens counts as one of padding
    assert within(lengths_of(tokens), 3).tolist() == [[True, False, False], [True, True, True], [True, False, False]]


def test_causal_is_the_lower_triangle():
    assert torch.equal(causal(4, 4), torch.ones(4, 4).tril().bool())
    assert torch.equal(causal(2, 4), causal(4, 4)[2:])
    assert torch.equal(causal(5, 5, window=2), causal(5, 5) & torch.ones(5, 5).triu(-1).bool())
