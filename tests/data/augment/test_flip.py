from itertools import pairwise

import torch

from osler.data.augment import AlternatingFlip, Compose, Flip
from osler.data.augment.flip import parity


def is_mirrored(before, after):
    same, other = ((after == x).flatten(1).all(1) for x in (before, before.flip(-1)))
    assert (same ^ other).all()
    return other


def test_flip_mirrors_or_leaves_each_picture(pictures, generator):
    images = pictures(1000)
    mirrored = is_mirrored(images, Flip()(images, generator()))
    assert 430 < int(mirrored.sum()) < 570  # 500 expected, standard deviation 16
    assert torch.equal(Flip(probability=1)(images, generator()), images.flip(3))
    assert torch.equal(Flip(probability=0)(images, generator()), images)


def test_two_epochs_in_a_row_show_each_picture_both_ways(pictures, generator):
    images, flip = pictures(1000), Compose((AlternatingFlip(),))
    ways = [is_mirrored(images, flip.of_epoch(epoch)(images, generator(epoch))) for epoch in range(1, 5)]
    for one, next_one in pairwise(ways):
        assert torch.equal(one, ~next_one)
    assert 430 < int(ways[0].sum()) < 570


def test_the_half_of_a_picture_does_not_depend_on_its_batch_or_type(pictures):
    images = pictures(200, 3, 40, 40)
    together = parity(images)
    alone = torch.cat([parity(images[i : i + 1]) for i in range(200)])
    assert torch.equal(together, alone)
    assert torch.equal(together, parity(images / 255))
    assert torch.equal(parity(torch.zeros(3, 1, 2, 2)), torch.zeros(3, dtype=torch.bool))


def test_nearly_equal_pictures_are_of_both_halves():
    flat = torch.full((400, 1, 8, 8), 200, dtype=torch.uint8)
    flat[torch.arange(400), 0, torch.arange(400) % 8, torch.arange(400) // 8 % 8] = (torch.arange(400) // 2).byte()
    assert 100 < int(parity(flat).sum()) < 300
