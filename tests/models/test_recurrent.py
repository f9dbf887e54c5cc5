import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.models.recurrent import elman, gru, lstm


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_parameters():
    """100 vectors of 8; gates·16·(8 + 16 + 2); (16 + 1)·3 at the end."""
    options = {"inputs": (20,), "outputs": 3, "vocabulary": 100, "width": 8, "hidden": 16}
    assert size(elman(**options)) == 800 + 416 + 51
    assert size(gru(**options)) == 800 + 3 * 416 + 51
    assert size(lstm(**options)) == 800 + 4 * 416 + 51
    assert size(lstm(**options, peephole=True)) == 800 + 4 * 416 + 3 * 16 + 51
    # Both ways, the second layer reads 32: 2·4·16·(32 + 16 + 2); numbers need no embedding.
    both = lstm(inputs=(20, 8), outputs=3, hidden=16, layers=2, bidirectional=True)
    assert size(both) == 2 * 4 * 416 + 2 * 4 * 16 * 50 + 33 * 3


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
def test_pools_by_hand(pool):
    torch.manual_seed(0)
    model = gru(inputs=(6,), outputs=2, vocabulary=10, width=4, hidden=5, bidirectional=True, pool=pool)
    tokens = torch.tensor([[3, 1, 4, 0, 0]])
    forward, backward = nn.GRU(4, 5, batch_first=True), nn.GRU(4, 5, batch_first=True)
    weights = model.recurrent.fused.state_dict()
    forward.load_state_dict({k: v for k, v in weights.items() if "reverse" not in k})
    backward.load_state_dict({k.removesuffix("_reverse"): v for k, v in weights.items() if "reverse" in k})
    x = model.entry.embedding(tokens[:, :3])
    ahead, back = forward(x)[0][0], backward(x.flip(1))[0][0].flip(0)
    h = torch.cat([ahead, back], dim=1)  # (3, 10)
    read = {"mean": h.mean(0), "max": h.max(0).values, "last": torch.cat([ahead[2], back[0]])}[pool]
    torch.testing.assert_close(model(tokens)[0], model.output(read))


def test_it_learns_what_was_said_at_the_beginning():
    torch.manual_seed(0)
    x = torch.randn(64, 12, 1)
    y = (x[:, 0, 0] > 0).long()
    model = lstm(inputs=(12, 1), outputs=2, hidden=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "meen"}, "unknown pool of lstm 'meen'; did you mean 'mean'"),
        ({"hidden": 0}, "lstm: hidden must be a whole number of at least 1, got 0"),
        ({"dropout": 1.0}, "lstm: dropout must be at least 0 and below 1, got 1.0"),
        ({"vocabulary": 0}, "lstm: vocabulary must be a whole number"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        lstm(**{"inputs": (5,), "outputs": 2, "vocabulary": 9, **options})
