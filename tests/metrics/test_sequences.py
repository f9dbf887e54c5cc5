"""Metrics of sequences against SciPy, definitions, and numbers counted by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from osler.metrics.metrics import metric


def test_perplexity():
    random = np.random.default_rng(0)
    logits, targets = random.normal(size=(6, 7, 11)), random.integers(0, 11, (6, 7))
    targets[0, 3:] = -100
    counted = targets != -100
    chosen = np.take_along_axis(log_softmax(logits, -1), np.where(counted, targets, 0)[..., None], -1)[..., 0]
    measured = metric("perplexity")
    for part in np.array_split(np.arange(6), 4):
        measured.update(torch.tensor(logits[part]), torch.tensor(targets[part]))
    assert measured.compute().item() == pytest.approx(math.exp(-chosen[counted].mean()), rel=1e-6)


def test_perplexity_by_hand():
    uniform = metric("perplexity")
    uniform.update(torch.zeros(2, 3, 8), torch.ones(2, 3, dtype=torch.long))
    assert uniform.compute().item() == pytest.approx(8)
    # A probability below the smallest single-precision number.
    sure = metric("perplexity")
    sure.update(torch.tensor([[0.0, -150.0], [0.0, 0.0]]), torch.tensor([1, 0]))
    assert math.log(sure.compute().item()) == pytest.approx((150 + math.log(2)) / 2, rel=1e-5)
    nothing = metric("perplexity")
    nothing.update(torch.zeros(1, 2, 3), torch.full((1, 2), -100))
    assert nothing.compute().isnan()


def test_bits_per_character_by_hand():
    """Two bits a token, of four characters each; padding, 0, counts nowhere."""
    uniform = metric("bits_per_character", kind="language", density=4)
    uniform.update(torch.zeros(5, 4), torch.tensor([1, 2, 3, 0, 0]))
    assert uniform.compute().item() == pytest.approx(0.5)
    perplexity = metric("perplexity", kind="translation")
    perplexity.update(torch.tensor([[9.0, -9.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    assert perplexity.compute().item() == pytest.approx(2)


def test_accuracy_of_tokens_by_hand():
    measured = metric("accuracy", kind="translation", outputs=3)
    measured.update(torch.eye(3)[[1, 2, 1, 0]], torch.tensor([1, 1, 1, 0]))
    assert measured.compute().item() == pytest.approx(2 / 3)


def distance(a, b):
    """Levenshtein's, by its recursion."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


SAID = ["the cat sat on mat", "hello word", "a", "one two three"]
MEANT = ["the cat sat on the mat", "hello world", "b c", "one three"]


def test_error_rates():
    for name, split in (("word_error_rate", str.split), ("character_error_rate", list)):
        measured = metric(name)
        for said, meant in zip(SAID, MEANT, strict=True):
            measured.update([said], [meant])
        errors = sum(distance(split(s), split(m)) for s, m in zip(SAID, MEANT, strict=True))
        length = sum(len(split(m)) for m in MEANT)
        assert measured.compute().item() == pytest.approx(errors / length, rel=1e-6)


def test_error_rates_by_hand():
    words, characters = metric("wer"), metric("cer")
    for measured in (words, characters):
        measured.update(["this is the prediction"], ["this is a prediction"])
    assert words.compute().item() == pytest.approx(1 / 4)
    assert characters.compute().item() == pytest.approx(3 / 20)  # the → a
    empty = metric("wer")
    empty.update([""], [""])
    assert empty.compute().isnan()


def test_bleu_by_hand():
    """Papineni's example: 17 of 18 words and 10 of 17 pairs of the candidate are in a reference; no brevity penalty."""
    candidate = "it is a guide to action which ensures that the military always obeys the commands of the party"
    references = [
        "it is a guide to action that ensures that the military will forever heed party commands",
        "it is the guiding principle which guarantees the military forces always being under the command of the party",
        "it is the practical guide for the army always to heed the directions of the party",
    ]
    for n_gram, expected in ((1, 17 / 18), (2, math.sqrt(17 / 18 * 10 / 17))):
        measured = metric("bleu", n_gram=n_gram)
        measured.update([candidate], [references])
        assert measured.compute().item() == pytest.approx(expected, rel=1e-6)


def test_bleu_brevity_and_chunks():
    """Two of two words right where four were expected: e^(1 − 4/2); counts add up over sentences."""
    short = metric("bleu", n_gram=1)
    short.update(["the cat"], [["the cat sat down"]])
    assert short.compute().item() == pytest.approx(math.exp(-1))
    short.update(["a b c d"], [["a b c x"]])
    assert short.compute().item() == pytest.approx(5 / 6 * math.exp(1 - 8 / 6))
    nothing = metric("bleu")
    nothing.update(["x"], [["y"]])
    assert nothing.compute() == 0
