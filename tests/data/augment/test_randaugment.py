"""The changes against Pillow's ImageOps, and how they are drawn."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from osler.data.augment import RandAugment
from osler.data.augment.randaugment import CHANGES, autocontrast, equalized, sharpened
from osler.errors import InputError


def by_pillow(images, change):
    results = [np.asarray(change(Image.fromarray(i.permute(1, 2, 0).numpy()))) for i in images]
    return torch.from_numpy(np.stack(results)).permute(0, 3, 1, 2)


def worst(one, other):
    return int((one.int() - other.int()).abs().max())


@pytest.fixture
def dull(smooth):
    return (smooth() // 3 + 40).to(torch.uint8)


def test_equalize_is_that_of_pillow(dull, pictures):
    for images in (dull, pictures(5, 3, 30, 20)):
        assert torch.equal(equalized(images), by_pillow(images, ImageOps.equalize))
    flat = torch.full((2, 3, 8, 8), 9, dtype=torch.uint8)
    assert torch.equal(equalized(flat), flat)
    assert torch.equal(autocontrast(flat), flat)


def test_autocontrast_is_that_of_pillow(dull):
    assert worst(autocontrast(dull), by_pillow(dull, ImageOps.autocontrast)) <= 1  # which cuts off, not rounds


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.9])
def test_sharpness_is_that_of_pillow(factor, dull):
    ours = sharpened(dull, torch.full((len(dull),), factor))
    assert worst(ours, by_pillow(dull, lambda i: ImageEnhance.Sharpness(i).enhance(factor))) <= 1


@pytest.mark.parametrize(("strength", "bits", "threshold"), [(30, 4, 0), (15, 6, 127.5), (0, 8, 255)])
def test_posterize_and_solarize_are_those_of_pillow(strength, bits, threshold, pictures):
    images = pictures(4, 3, 16, 16)
    groups = RandAugment(strength=strength)._groups()
    assert torch.equal(groups["posterize",](images), by_pillow(images, lambda i: ImageOps.posterize(i, bits)))
    solarized = by_pillow(images, lambda i: ImageOps.solarize(i, threshold))
    assert torch.equal(groups["solarize",](images), solarized)


def test_every_change_comes_as_often_as_the_others(monkeypatch, generator):
    seen = []
    real = torch.randint

    def watched(high, *arguments, **options):
        drawn = real(high, *arguments, **options)
        if high == len(CHANGES):
            seen.append(drawn)
        return drawn

    monkeypatch.setattr(torch, "randint", watched)
    RandAugment(count=3)(torch.zeros(1000, 1, 2, 2, dtype=torch.uint8), generator())
    assert len(CHANGES) == 14
    counts = torch.bincount(torch.cat(seen), minlength=14) / 3000
    assert (counts - 1 / 14).abs().max() < 0.019  # four standard deviations


def test_strength_zero_moves_nothing_and_changes_little(pictures, generator):
    images = pictures(200, 3, 12, 12)
    masks = images[:, 0].long()
    _, moved = RandAugment(count=4, strength=0).with_masks(images, masks, generator())
    assert torch.equal(moved, masks)


def test_stronger_is_further_away(smooth, generator):
    images = smooth(1).expand(300, -1, -1, -1)
    weak, strong = (RandAugment(strength=s)(images, generator()).float() for s in (3, 25))
    assert (strong - images).abs().mean() > 2 * (weak - images).abs().mean()


def test_floats_are_worked_on_as_bytes(pictures, generator):
    images = pictures(50, 3, 12, 12)
    as_bytes, as_floats = RandAugment()(images, generator()), RandAugment()(images / 255, generator())
    torch.testing.assert_close(as_floats, as_bytes / 255)


def test_refusals(generator):
    with pytest.raises(InputError, match=r"must lie in 0 … 1, but got -1 … 2"):
        RandAugment()(torch.tensor([[[[-1.0, 2.0]]]]), generator())
    with pytest.raises(InputError, match="1 or 3 channels"):
        RandAugment()(torch.zeros(1, 4, 2, 2), generator())
