"""Writing: beam search against a look at every sequence, on small networks with random weights."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from osler.errors import InputError
from osler.models.seq2seq import Seq2Seq
from osler.models.translator import Translator
from osler.nn.decoding import at_rest, beam_search, greedy

BEGIN, END = 1, 2
VOCABULARY, LONGEST = 5, 3


def network(kind: str = "seq2seq", seed: int = 0) -> nn.Module:
    """Random, and with decided opinions."""
    torch.manual_seed(seed)
    options = {"inputs": (4,), "outputs": VOCABULARY, "vocabulary": 6, "width": 8}
    model = Translator(heads=2, layers=1, **options) if kind == "translator" else Seq2Seq(hidden=8, **options)
    with torch.no_grad():
        model.output.weight.mul_(3)
    return model.eval()


def every_sequence():
    """All that can be written: words, with the end as the last token or LONGEST words without."""
    words = range(3, VOCABULARY)
    for length in range(LONGEST):
        for first in itertools.product(words, repeat=length):
            yield (*first, END)
    yield from itertools.product(words, repeat=LONGEST)


def log_p(model, source, tokens) -> float:
    """By the teacher's way, without a state."""
    logits = model(source, torch.tensor([[BEGIN, *tokens[:-1]]]))
    return logits.log_softmax(2)[0, range(len(tokens)), list(tokens)].sum().item()


@pytest.mark.parametrize("kind", ["seq2seq", "translator"])
@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_the_best_of_all(kind, penalty):
    for seed in range(3):
        model, source = network(kind, seed), torch.tensor([[4, 5, 3, 0], [5, 0, 0, 0]])
        found = beam_search(
            model, source, begin=BEGIN, end=END, longest=LONGEST, width=VOCABULARY**LONGEST, penalty=penalty
        )
        for row in range(2):
            scores = {
                tokens: log_p(model, source[row : row + 1], tokens) / ((5 + len(tokens)) / 6) ** penalty
                for tokens in every_sequence()
            }
            best = max(scores, key=scores.get)
            assert [token for token in found.tokens[row].tolist() if token] == list(best)
            assert found.scores[row].item() == pytest.approx(scores[best], abs=1e-4)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), kind=st.sampled_from(["seq2seq", "translator"]))
def test_a_beam_of_width_1_is_greedy_and_greedy_takes_the_likeliest(seed, kind):
    model, source = network(kind, seed), torch.tensor([[4, 5, 3, 1], [5, 3, 0, 0], [3, 0, 0, 0]])
    written = greedy(model, source, begin=BEGIN, end=END, longest=6)
    narrow = beam_search(model, source, begin=BEGIN, end=END, longest=6, width=1, penalty=0.0)
    assert torch.equal(written.tokens, narrow.tokens)
    penalised = beam_search(model, source, begin=BEGIN, end=END, longest=6, width=1, penalty=1.0)
    assert torch.equal(written.tokens, penalised.tokens)
    for row in range(3):
        tokens, total = [BEGIN], 0.0
        while len(tokens) < 7 and tokens[-1] != END:
            p = model(source[row : row + 1], torch.tensor([tokens]))[0, -1].log_softmax(0)
            p[[0, BEGIN]] = -torch.inf
            tokens.append(p.argmax().item())
            total += p.max().item()
        assert [token for token in written.tokens[row].tolist() if token] == tokens[1:]
        assert written.scores[row].item() == pytest.approx(total, abs=1e-4)


def test_a_wider_beam_is_never_worse_than_all_its_rows_alone():
    model, source = network(), torch.tensor([[4, 5, 3, 1], [5, 3, 0, 0], [3, 0, 0, 0]])
    together = beam_search(model, source, begin=BEGIN, end=END, longest=8, width=4)
    for row in range(3):
        alone = beam_search(model, source[row : row + 1], begin=BEGIN, end=END, longest=8, width=4)
        length = alone.tokens.shape[1]
        assert together.tokens[row, :length].tolist() == alone.tokens[0].tolist()
        assert not together.tokens[row, length:].any()
        torch.testing.assert_close(together.scores[row], alone.scores[0])


def test_a_network_that_learns_writes_without_dropout_and_learns_on():
    model = network().train()
    model.encoder.eval()
    source = torch.tensor([[4, 5, 3, 1]])
    first = greedy(model, source, begin=BEGIN, end=END, longest=5)
    assert torch.equal(first.tokens, greedy(model, source, begin=BEGIN, end=END, longest=5).tokens)
    assert model.training
    assert not model.encoder.training
    with pytest.raises(RuntimeError, match="stop"), at_rest(model):
        raise RuntimeError("stop")
    assert model.training


@pytest.mark.parametrize(
    ("options", "message"),
    [({"width": 0}, "width must be a whole"), ({"penalty": -1}, "penalty"), ({"longest": 0}, "longest")],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        beam_search(network(), torch.tensor([[4]]), **{"begin": BEGIN, "end": END, "longest": 5, **options})
