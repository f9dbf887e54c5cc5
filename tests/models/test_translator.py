import pytest
import torch
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.translator import Translator
from osler.nn.decoding import greedy


def test_parameters():
    """The paper's base network: 6 + 6 layers, 512 wide, 2048 hidden; ours adds the output's biases and last norms."""
    with torch.device("meta"):
        model = Translator((100,), 37_000, vocabulary=37_000, width=512, heads=8, layers=6)
    attention, dense, norm = 4 * 513 * 512, 513 * 2048 + 2049 * 512, 1024
    layers = 6 * (attention + dense + 2 * norm) + 6 * (2 * attention + dense + 3 * norm)
    assert sum(p.numel() for p in model.parameters()) == layers + 2 * 37_000 * 512 + 37_000 + 2 * norm
    assert model.output.weight is model.target.weight


@pytest.mark.slow
def test_it_learns_to_copy_and_looks_at_what_it_copies():
    torch.manual_seed(0)
    words = torch.randint(3, 10, (512, 5))
    target = torch.cat([torch.ones(512, 1, dtype=torch.int64), words, torch.full((512, 1), 2)], dim=1)
    model = Translator((5,), 10, vocabulary=10, width=32, heads=2, layers=1, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(16):
        for rows in torch.randperm(512).split(64):
            optimizer.zero_grad()
            logits = model(words[rows], target[rows, :-1])
            F.cross_entropy(logits.flatten(0, 1), target[rows, 1:].flatten()).backward()
            optimizer.step()
    new = torch.randint(3, 10, (50, 5))
    written = greedy(model, new, begin=1, end=2, longest=6)
    assert (written.tokens[:, :5] == new).all(1).float().mean() > 0.9
    looked = model.alignment(new, torch.cat([torch.ones(50, 1, dtype=torch.int64), new[:, :4]], dim=1))
    torch.testing.assert_close(looked.sum(2), torch.ones(50, 5))
    assert (looked.argmax(2) == torch.arange(5)).float().mean() > 0.7


def test_refusals():
    with pytest.raises(InputError, match="width=10 and heads=4"):
        Translator((5,), 10, vocabulary=10, width=10)
    model = Translator((5,), 10, vocabulary=10, width=8, heads=2, layers=1, positions="learned")
    with pytest.raises(InputError, match="has 5 positions, but the sequence has 6"):
        model.encode(torch.ones(1, 6, dtype=torch.int64))
