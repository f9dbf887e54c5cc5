"""Texts explained: by hand where the network is linear, and complete where it is not."""

import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.explain.attribution import explain
from osler.explain.tokens import BehindEmbedding
from osler.models.bag_of_embeddings import BagOfEmbeddings
from osler.models.recurrent import gru
from osler.models.textcnn import TextCNN
from osler.models.transformer import Transformer

TOKENS = torch.tensor([[3, 4, 5, 6], [7, 3, 0, 0]])


def network(make: object = BagOfEmbeddings) -> nn.Module:
    torch.manual_seed(0)
    return make(inputs=(4,), outputs=1, vocabulary=9).eval()


def test_a_bag_of_embeddings_by_hand() -> None:
    """Each token's share is its vector times the output's weights, divided by the number of tokens."""
    model = network()
    found = explain(model, TOKENS, target=0, sanity=False)
    share = (model.embedding.weight[TOKENS] @ model.output.weight[0]).detach()
    expected = share / torch.tensor([[4.0], [2.0]]) * (TOKENS != 0)
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-6)
    assert found.complete


@pytest.mark.parametrize("make", [gru, TextCNN, Transformer])
def test_values_add_up_and_padding_has_none(make: object) -> None:
    model = network(make)
    before = [p.clone() for p in model.parameters()]
    found = explain(model, TOKENS, target=0, sanity=False)
    assert found.complete
    assert found.values.shape == (2, 4)
    assert (found.values[1, 2:] == 0).all()
    assert found.values[0].abs().min() > 0
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize("make", [BagOfEmbeddings, gru, TextCNN, Transformer])
def test_behind_its_embedding_a_network_says_the_same(make: object) -> None:
    model = network(make)
    behind = BehindEmbedding(model, TOKENS)
    torch.testing.assert_close(behind(behind.vectors(TOKENS)), model(TOKENS))
    assert not model.training


def test_refusals() -> None:
    with pytest.raises(InputError, match="behind its embedding"):
        explain(nn.Linear(4, 1), TOKENS)
    with pytest.raises(InputError, match="cannot take tokens"):
        explain(network(), TOKENS + 100)

    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(9, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().sum(1)

    with pytest.raises(InputError, match="this network has none"):
        explain(Unused(), TOKENS)
    with pytest.raises(InputError, match="leave it out"):
        explain(network(), TOKENS, baseline=0)
