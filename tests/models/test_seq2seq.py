import pytest
import torch
from torch import nn
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.seq2seq import Seq2Seq
from osler.nn.decoding import beam_search, greedy

BEGIN, END = 1, 2


def reversals(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Words of 3 to 9, two to five of them, and the same words backwards between the beginning and the end."""
    draw = torch.Generator().manual_seed(seed)
    source, target = torch.zeros(count, 5, dtype=torch.int64), torch.zeros(count, 7, dtype=torch.int64)
    for row in range(count):
        words = torch.randint(3, 10, (int(torch.randint(2, 6, (), generator=draw)),), generator=draw).tolist()
        source[row, : len(words)] = torch.tensor(words)
        target[row, : len(words) + 2] = torch.tensor([BEGIN, *reversed(words), END])
    return source, target


@pytest.mark.slow
def test_it_learns_to_write_backwards_and_shows_where_it_looks():
    torch.manual_seed(0)
    source, target = reversals(512, seed=0)
    model = Seq2Seq(inputs=(5,), outputs=10, vocabulary=10, attention="dot", width=32, hidden=48, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(18):
        for rows in torch.randperm(512).split(64):
            optimizer.zero_grad()
            logits = model(source[rows], target[rows, :-1])
            F.cross_entropy(logits.flatten(0, 1), target[rows, 1:].flatten(), ignore_index=0).backward()
            optimizer.step()
    source, target = reversals(100, seed=1)
    for written in (
        greedy(model, source, begin=BEGIN, end=END, longest=6),
        beam_search(model, source, begin=BEGIN, end=END, longest=6, width=3),
    ):
        right = (F.pad(written.tokens, (0, 6 - written.tokens.shape[1])) == target[:, 1:]).all(1)
        assert right.float().mean() > 0.9
    full = source[:, -1] != 0
    looked = model.alignment(source[full], target[full, :5])  # (N, 5, 5)
    torch.testing.assert_close(looked.sum(2), torch.ones(len(looked), 5))
    assert (looked.argmax(2) == torch.tensor([4, 3, 2, 1, 0])).float().mean() > 0.7


def test_parameters():
    """Vectors 20·8 and 10·8; the encoder 2·3·4·(8 + 4 + 2); the decoder 3·8·(8 + 8 + 2), wider by 8 with Bahdanau."""
    options = {"inputs": (5,), "outputs": 10, "vocabulary": 20, "width": 8, "hidden": 8}
    bare = 240 + 336 + 432 + 9 * 10
    sizes = {"none": bare, "dot": bare + 17 * 8, "general": bare + 17 * 8 + 64}
    sizes["concat"] = bare + 17 * 8 + 64 + 72 + 8
    sizes["bahdanau"] = sizes["concat"] + 3 * 8 * 8
    for attention, size in sizes.items():
        assert sum(p.numel() for p in Seq2Seq(**options, attention=attention).parameters()) == size


def test_the_decoder_begins_with_what_the_encoder_ended_with():
    torch.manual_seed(0)
    model = Seq2Seq(inputs=(5,), outputs=10, vocabulary=20, width=4, hidden=6, layers=2).eval()
    gru = nn.GRU(4, 3, 2, batch_first=True, bidirectional=True)
    gru.load_state_dict(model.encoder.fused.state_dict())
    _, last = gru(model.source(torch.tensor([[7, 8, 9]])))  # (layers · 2, 1, 3)
    own = model.encode(torch.tensor([[7, 8, 9, 0]]))[0]
    torch.testing.assert_close(
        own[0], torch.stack([torch.cat([last[0, 0], last[1, 0]]), torch.cat([last[2, 0], last[3, 0]])])
    )


def test_refusals():
    options = {"inputs": (5,), "outputs": 10, "vocabulary": 20}
    for wrong, message in [
        ({"attention": "bahdanu"}, "did you mean 'bahdanau'"),
        ({"hidden": 7}, "hidden must be even"),
        ({"cell": "lstmm"}, "did you mean 'lstm'"),
    ]:
        with pytest.raises(InputError, match=message):
            Seq2Seq(**options, **wrong)
    with pytest.raises(InputError, match="nothing says where it looked"):
        Seq2Seq(**options, attention="none").alignment(torch.tensor([[3]]), torch.tensor([[1]]))
