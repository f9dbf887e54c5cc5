"""Drawing: the right tokens, as often as their probabilities say, from the state that is carried."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.errors import InputError
from osler.models.gpt import GPT
from osler.models.lstm_lm import LSTMLanguageModel
from osler.nn.sampling import limited, sample

SIZE = {"inputs": (6,), "outputs": 9}


def networks():
    torch.manual_seed(0)
    models = [GPT(width=8, heads=2, layers=2, **SIZE), LSTMLanguageModel(width=8, hidden=8, **SIZE)]
    for model in models:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(3)
    return models


@pytest.mark.parametrize("model", networks())
def test_the_likeliest_of_each_step_for_prompts_of_any_length(model):
    prompt = torch.tensor([[3, 0, 0], [4, 7, 1], [2, 8, 0]])
    found = sample(model, prompt, 10, temperature=0)
    assert found.shape == (3, 13)
    model.eval()
    for row, length in enumerate([1, 3, 2]):
        tokens = prompt[row, :length].tolist()
        for _ in range(10):  # all again for each token, beyond the context, too
            logits = model(torch.tensor([tokens]))[0, -1]
            logits[0] = -torch.inf
            tokens.append(logits.argmax().item())
        assert found[row].tolist() == tokens + [0] * (13 - len(tokens))


@pytest.mark.parametrize("model", networks())
def test_tokens_are_drawn_as_often_as_they_are_likely(model):
    prompt = torch.tensor([[3, 4]]).expand(20_000, 2)
    found = sample(model, prompt, 1, temperature=0.7, seed=1)[:, 2]
    logits = model.eval()(prompt[:1])[0, -1] / 0.7
    logits[0] = -torch.inf
    share = found.bincount(minlength=9) / len(found)
    torch.testing.assert_close(share, logits.softmax(0).detach(), rtol=0, atol=0.015)


def test_a_seed_repeats_and_the_end_ends():
    model, prompt = networks()[0], torch.tensor([[3], [4]])
    assert torch.equal(sample(model, prompt, 20, seed=5), sample(model, prompt, 20, seed=5))
    assert not torch.equal(sample(model, prompt, 20, seed=5), sample(model, prompt, 20, seed=6))
    found = sample(model, prompt, 50, seed=5, end=7)
    for row in found.tolist():
        assert 7 in row
        assert not any(row[row.index(7) + 1 :])
        assert 0 not in row[: row.index(7)]
    assert model.training  # as it was
    state = torch.random.get_rng_state()
    sample(model, prompt, 3)
    assert torch.equal(state, torch.random.get_rng_state())


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique=True), st.integers(1, 9), st.floats(0, 1))
def test_what_is_left_out(values, k, p):
    logits = torch.tensor(values)
    order = sorted(range(len(values)), key=lambda i: -logits[i].item())
    kept = limited(logits, top_k=k).isfinite()
    assert kept.sum() >= min(k, len(values))
    assert all(kept[i] for i in order[:k])
    kept = limited(logits, top_p=p).isfinite()
    share, needed = 0.0, 0
    while needed < 1 or (share < p - 1e-6 and needed < len(values)):
        share += logits.softmax(0)[order[needed]].item()
        needed += 1
    assert abs(int(kept.sum()) - needed) <= (abs(share - p) < 1e-5)
    assert all(kept[i] for i in order[: int(kept.sum())])


def test_the_nucleus_by_hand():
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1], [0.1, 0.1, 0.1, 0.7]]).log()
    assert limited(logits, top_p=0.8).isfinite().tolist() == [[True, True, True, False], [True, False, False, True]]
    assert limited(logits, top_p=0.0).isfinite().sum(1).tolist() == [1, 1]
    assert limited(logits, temperature=2.0)[0, 0].item() == pytest.approx(logits[0, 0].item() / 2)


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ([[0, 3]], {}, "one token or more"),
        ([[3]], {"temperature": -1}, "temperature must be at least 0"),
        ([[3]], {"top_p": 1.5}, "top_p must lie between"),
        ([[3]], {"top_k": 0}, "top_k must be a whole number"),
    ],
)
def test_refusals(prompt, options, message):
    with pytest.raises(InputError, match=message):
        sample(networks()[0], torch.tensor(prompt), 3, **options)
