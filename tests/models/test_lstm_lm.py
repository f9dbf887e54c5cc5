import pytest
import torch
from torch.nn import functional as F

from osler.errors import InputError
from osler.models.lstm_lm import LSTMLanguageModel
from osler.nn.sampling import sample
from osler.nn.state import detached


def test_parameters():
    """100 vectors of 8, which are the output's too, with 100 biases; 4·8·(8 + 8 + 2)."""
    options = {"inputs": (32,), "outputs": 100, "width": 8, "hidden": 8}
    tied = LSTMLanguageModel(**options)
    assert sum(p.numel() for p in tied.parameters()) == 800 + 100 + 576
    assert tied.output.weight is tied.embedding.weight
    assert sum(p.numel() for p in LSTMLanguageModel(**options, tie=False).parameters()) == 1700 + 576


def test_a_text_in_stretches_is_learned_from_each_and_remembered():
    torch.manual_seed(0)
    period = [1, 1, 1, 2, 1, 1, 3, 1]
    text = torch.tensor([period * 4])
    model = LSTMLanguageModel(inputs=(4,), outputs=4, width=24, hidden=24, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        state = model.begin(1)
        for start in range(0, 28, 4):  # shorter than the period: only the state tells where in it one is
            logits, state = model(text[:, start : start + 4], detached(state))
            optimizer.zero_grad()
            F.cross_entropy(logits[0], text[0, start + 1 : start + 5]).backward()
            optimizer.step()
    assert sample(model, text[:, :8], 16, temperature=0)[0].tolist() == period * 3


def test_refusals():
    with pytest.raises(InputError, match=r"width=8 and hidden=16.*tie=False"):
        LSTMLanguageModel(inputs=(4,), outputs=9, width=8, hidden=16)
    with pytest.raises(InputError, match="did you mean 'lstm'"):
        LSTMLanguageModel(inputs=(4,), outputs=9, cell="ltsm")
