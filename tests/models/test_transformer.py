import pytest
import torch

from osler.errors import InputError
from osler.models.transformer import Transformer


def layer(width: int, hidden: int) -> int:
    """Four square matrices, two dense layers, two norms, by hand."""
    return 4 * (width + 1) * width + (width + 1) * hidden + (hidden + 1) * width + 4 * width


def size(**options):
    return sum(p.numel() for p in Transformer(outputs=3, width=8, heads=2, **options).parameters())


def test_parameters():
    words = 100 * 8
    assert size(inputs=(20,), vocabulary=100) == words + 2 * layer(8, 32) + 16 + 27
    assert size(inputs=(20,), vocabulary=100, norm="post") == words + 2 * layer(8, 32) + 27
    assert size(inputs=(20,), vocabulary=100, positions="learned", pool="cls") == words + 22 * 8 + 2 * layer(8, 32) + 43
    assert size(inputs=(20, 5), hidden=10, layers=1) == 6 * 8 + layer(8, 10) + 16 + 27


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
def test_the_order_counts(positions):
    torch.manual_seed(0)
    model = Transformer((4,), 2, vocabulary=9, width=8, heads=2, positions=positions).eval()
    assert not torch.allclose(model(torch.tensor([[3, 5, 7]])), model(torch.tensor([[5, 3, 7]])), atol=1e-3)


def test_it_learns_which_came_first():
    torch.manual_seed(0)
    x = torch.stack([torch.randperm(8) + 1 for _ in range(64)])
    y = ((x == 1).int().argmax(1) < (x == 2).int().argmax(1)).long()
    model = Transformer((8,), 2, vocabulary=9, width=32, heads=2, layers=1, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.95


def test_refusals():
    options = {"inputs": (4,), "outputs": 2, "vocabulary": 9}
    for wrong, message in [
        ({"pool": "max"}, "unknown pool of transformer 'max'"),
        ({"heads": 3}, "width=128 and heads=3"),
        ({"positions": "rotery"}, "did you mean 'rotary'"),
    ]:
        with pytest.raises(InputError, match=message):
            Transformer(**options, **wrong)
    with pytest.raises(InputError, match="has 4 positions, but the sequence has 5"):
        Transformer(**options, positions="learned")(torch.ones(1, 5, dtype=torch.int64))
