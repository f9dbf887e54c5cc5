import pytest
import torch

from osler.doctor.reference import neighbours
from tests.doctor.programs import blobs, seeded


def test_separate_classes_are_told_apart() -> None:
    x, y = blobs()
    found = neighbours(x, y)
    assert found is not None
    assert found.score > 0.97
    assert found.contradicted < 0.02


def test_wrong_labels_contradict_clear_votes_and_hard_classes_do_not() -> None:
    x, y = blobs(classes=6, spread=0.6)
    wrong = torch.rand(600, generator=seeded(7)) < 0.4
    noisy = neighbours(x, torch.where(wrong, torch.randint(0, 6, (600,), generator=seeded(8)), y))
    y = torch.randint(0, 4, (900,), generator=seeded(5))
    hard = neighbours(torch.randn(900, 20, generator=seeded(6)) + 0.6 * torch.randn(4, 20, generator=seeded(9))[y], y)
    assert noisy is not None
    assert hard is not None
    assert noisy.contradicted > 0.65 * (1 - noisy.score)
    assert hard.contradicted < 0.65 * (1 - hard.score)


def test_shuffled_labels_are_at_chance() -> None:
    x, y = blobs()
    found = neighbours(x, y[torch.randperm(600, generator=seeded(1))])
    assert found is not None
    assert found.score < found.chance + 3 * found.spread


def test_amounts_are_scored_by_r_squared() -> None:
    x = torch.randn(400, 2, generator=seeded())
    known, noise = neighbours(x, x[:, :1]), neighbours(x, torch.randn(400, 1, generator=seeded(2)))
    assert known is not None
    assert noise is not None
    assert known.score > 0.9
    assert noise.score == pytest.approx(-1 / 8, abs=0.1)  # the variance of a mean of eight
