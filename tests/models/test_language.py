import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.language import Scores, check_language


def test_the_vocabulary_is_the_outputs():
    assert check_language("net", (3,), 7, None) == check_language("net", (3,), 7, 7) == 7
    with pytest.raises(InputError, match="got outputs=7 and vocabulary=8: leave vocabulary out"):
        check_language("net", (3,), 7, 8)


def test_tied_scores_are_products_with_the_embedding():
    embedding = nn.Embedding(5, 3)
    scores, x = Scores(3, 5, embedding), torch.randn(2, 3)
    torch.testing.assert_close(scores(x), x @ embedding.weight.T)
    scores(x).sum().backward()
    assert embedding.weight.grad.any()
