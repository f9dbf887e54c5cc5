import pytest
import torch
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.gpt import GPT
from osler.nn.attention import attention_weights
from osler.nn.sampling import sample


def test_parameters():
    """GPT-2's own count: 124,439,808, of which our output's bias for each token is not a part."""
    with torch.device("meta"):
        model = GPT(inputs=(1024,), outputs=50_257, width=768, heads=12, layers=12, positions="learned")
    assert sum(p.numel() for p in model.parameters()) == 124_439_808 + 50_257
    assert model.output.weight is model.embedding.weight


def test_start_values():
    torch.manual_seed(0)
    model = GPT(inputs=(16,), outputs=500, width=128, layers=8)
    assert model.embedding.weight.std().item() == pytest.approx(0.02, rel=0.02)
    layer = model.layers[3]
    assert layer.dense[0].weight.std().item() == pytest.approx(0.02, rel=0.03)
    for adds in (layer.dense[2], layer.attention.output):
        assert adds.weight.std().item() == pytest.approx(0.02 / 4, rel=0.03)


def test_a_place_sees_its_context_and_no_more():
    torch.manual_seed(0)
    model = GPT(inputs=(4,), outputs=9, width=8, heads=2, layers=1).eval()
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6, 7]])
    other = tokens.clone()
    other[0, 0] = 8
    torch.testing.assert_close(model(tokens)[:, 4:], model(other)[:, 4:])
    assert not torch.allclose(model(tokens)[:, 3], model(other)[:, 3])
    with attention_weights(model) as seen:
        model(tokens)
    [weights] = seen["layers.0.attention"]
    assert (weights[0, 0] > 0).sum(1).tolist() == [1, 2, 3, 4, 4, 4, 4]


def test_gradients_stop_where_a_state_was_detached():
    from osler.nn.state import detached

    model = GPT(inputs=(8,), outputs=9, width=8, heads=2, layers=1, dropout=0.0)
    _, state = model(torch.tensor([[1, 2, 3]]), model.begin(1))
    logits, _ = model(torch.tensor([[4, 5]]), detached(state))
    logits.sum().backward()  # the stretch before needs no graph


def test_it_learns_a_text_by_heart():
    torch.manual_seed(0)
    text = torch.tensor([[1, 2, 3, 1, 2, 4, 1, 2, 3, 1, 2, 4, 1, 2, 3, 1, 2, 4]])
    model = GPT(inputs=(8,), outputs=5, width=32, heads=2, layers=1, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(model(text)[0, :-1], text[0, 1:]).backward()
        optimizer.step()
    written = sample(model, text[:, :6], 30, temperature=0)[0].tolist()
    assert written == [1, 2, 3, 1, 2, 4] * 6


def test_refusals():
    with pytest.raises(InputError, match="outputs=9 and vocabulary=8: leave vocabulary out"):
        GPT(inputs=(4,), outputs=9, vocabulary=8)
    for positions in ("learned", "sinusoidal"):
        model = GPT(inputs=(4,), outputs=9, width=8, heads=2, layers=1, positions=positions)
        with pytest.raises(InputError, match=r"has 4 positions, but the sequence has 5.*positions='rotary'"):
            sample(model, torch.tensor([[1, 2, 3]]), 4)
