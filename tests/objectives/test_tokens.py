import math

import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.objectives.language import Language
from osler.objectives.translation import Translation
from osler.records import Batch
from osler.training.meter import evaluate

LOGITS = torch.randn(3, 4, 7, generator=torch.manual_seed(0))
TARGETS = torch.tensor([[2, 3, 4, 5], [6, 1, 0, 0], [2, 0, 0, 0]])
LANGUAGE = Language.of(7)


def expected():
    return nn.functional.cross_entropy(LOGITS.flatten(0, 1), TARGETS.flatten(), ignore_index=0)


def test_the_loss_is_the_mean_over_tokens_and_padding_counts_nowhere():
    found = evaluate(nn.Identity(), LANGUAGE, [Batch(LOGITS[:1], TARGETS[:1]), Batch(LOGITS[1:], TARGETS[1:])])
    assert found["loss"] == pytest.approx(expected().item())
    assert found["perplexity"] == pytest.approx(expected().exp().item())
    assert found["bits_per_character"] == pytest.approx(expected().item() / math.log(2))
    other = TARGETS.clone()
    changed = LOGITS.clone()
    changed[1, 2:] = 9.0
    assert torch.equal(LANGUAGE.loss(changed, other), LANGUAGE.loss(LOGITS, other))


def test_a_step_in_parts_is_the_step_of_the_whole():
    (turn,) = LANGUAGE.turns()
    parts = [Batch(LOGITS[i : i + 1], TARGETS[i : i + 1]) for i in range(3)]
    outcomes = [turn.loss(nn.Identity(), part) for part in parts]
    counts = [turn.count(outcome.outputs, part) for outcome, part in zip(outcomes, parts, strict=True)]
    assert sum(counts) == 7
    whole = sum(o.loss * c for o, c in zip(outcomes, counts, strict=True)) / sum(counts)
    torch.testing.assert_close(whole, expected())


def test_losses_of_samples_and_their_weights():
    losses = LANGUAGE.losses(LOGITS, TARGETS)
    alone = [nn.functional.cross_entropy(LOGITS[i], TARGETS[i], ignore_index=0) for i in range(3)]
    torch.testing.assert_close(losses, torch.stack(alone))
    weights = torch.tensor([0.0, 3.0, 0.0])
    torch.testing.assert_close(LANGUAGE.loss(LOGITS, TARGETS, weights), losses[1])


def test_targets_longer_than_the_outputs_are_cut():
    task = Translation.of(7)
    torch.testing.assert_close(task.loss(LOGITS[1:, :2], TARGETS[1:]), task.loss(LOGITS[1:], TARGETS[1:]))
    found = evaluate(nn.Identity(), task, [Batch(LOGITS, TARGETS)])
    right = (LOGITS.argmax(2) == TARGETS) & (TARGETS > 0)
    assert found["accuracy"] == pytest.approx(right.sum().item() / 7)


def test_what_is_told():
    told = LANGUAGE.told(LOGITS, TARGETS)
    assert told["target"].tolist() == TARGETS.tolist()
    assert (told["prediction"][TARGETS == 0] == 0).all()
    assert 0 < told["confidence"][2] <= 1
    assert LANGUAGE.in_words(told["target"][1]) == "6 1"
    assert Translation.of(7).columns(LOGITS)["prediction"][0].count(" ") <= 3
    with pytest.raises(InputError, match="osler generate"):
        LANGUAGE.columns(LOGITS)


def test_networks_that_give_something_else_are_refused():
    LANGUAGE.check(nn.Identity(), Batch(LOGITS, TARGETS))
    with pytest.raises(InputError, match=r"gives \(3, 28\) .* needs \(3, 4, 7\): at every place a logit"):
        LANGUAGE.check(nn.Flatten(), Batch(LOGITS, TARGETS))
    with pytest.raises(InputError, match="no targets"):
        LANGUAGE.check(nn.Identity(), Batch(LOGITS))
    with pytest.raises(InputError, match="at least two tokens"):
        Language.of(1)
    with pytest.raises(InputError, match="density"):
        Language(LANGUAGE.task, LANGUAGE.criterion, density=0)
