import pytest
import torch

from osler.data.augment import Cutout, RandomErasing
from osler.data.augment.erase import boxes


def hidden(result):
    """What was hidden with zeros from pictures of ones; the same in all channels."""
    where = result == 0
    assert torch.equal(where, where[:, :1].expand_as(where))
    return where[:, 0]


def spans(where):
    """First and last hidden place of each picture along an axis, which must be one run."""
    first, count = where.int().argmax(1), where.sum(1)
    for i, (start, length) in enumerate(zip(first.tolist(), count.tolist(), strict=True)):
        assert where[i, start : start + length].all()
    return first, count


def test_cutout_hides_a_square_around_any_pixel(generator):
    where = hidden(Cutout(size=4, fill="zeros")(torch.ones(3000, 2, 10, 13), generator()))
    for axis, side in ((2, 10), (1, 13)):
        first, count = spans(where.any(axis))
        assert (count[(first > 0) & (first + count < side)] == 4).all()
        # The square begins 2 before its centre, which is any of the pixels: cut off at the edges.
        counts = torch.bincount(first, minlength=side)
        assert set(torch.nonzero(counts).flatten().tolist()) == {*range(side - 2)}
        assert abs(counts[0] / 3000 - 3 / side) < 0.035
        assert (counts[1:-2] / 3000 - 1 / side).abs().max() < 0.025


def test_cutout_is_a_quarter_of_the_shorter_side_by_default(generator):
    where = hidden(Cutout(fill="zeros")(torch.ones(200, 1, 32, 48), generator()))
    assert int(where.sum((1, 2)).max()) == 64


def test_erasing_has_the_areas_shapes_and_probability_asked_for(generator):
    erase = RandomErasing(probability=0.7, area=(0.1, 0.3), ratio=(0.5, 2.0), fill="zeros")
    where = hidden(erase(torch.ones(3000, 1, 60, 60), generator()))
    chosen = where.any(2).any(1)
    assert abs(float(chosen.float().mean()) - 0.7) < 0.035
    (_, height), (_, width) = spans(where[chosen].any(2)), spans(where[chosen].any(1))
    area, ratio = height * width / 3600, height / width
    assert area.min() > 0.09
    assert area.max() < 0.31
    assert abs(float(area.mean()) - 0.2) < 0.006
    assert 0.46 < ratio.min() < 0.52
    assert 1.9 < ratio.max() < 2.15
    assert abs(float(ratio.log().mean())) < 0.04


def test_what_stands_there_instead(pictures, generator):
    images = pictures(40, 3, 16, 16)
    where = Cutout(fill="zeros")(images, generator()) == 0  # no pixel was 0
    for fill in ("mean", "zeros", "noise"):
        result = Cutout(fill=fill)(images, generator())
        assert torch.equal(result[~where], images[~where])
    mean = images.float().mean((2, 3)).round().byte()
    shown = Cutout(fill="mean")(images, generator())
    for i in range(40):
        for c in range(3):
            assert set(shown[i, c][where[i, c]].tolist()) <= {int(mean[i, c])}


def test_noise_is_as_bright_and_as_varied_as_the_picture(generator):
    images = torch.randn(30, 1, 40, 40, generator=generator(1), dtype=torch.float64) * 3 + 7
    result = RandomErasing(probability=1, area=(0.4, 0.4))(images, generator())
    noise = result[result != images]
    assert noise.mean() == pytest.approx(7, abs=0.15)
    assert noise.std() == pytest.approx(3, abs=0.1)


def test_boxes():
    corners = torch.tensor([[0.0, 1, 2, 3], [-5, -5, 1, 9], [2, 2, 2, 3]])
    assert boxes(corners, 2, 3)[:, 0].int().tolist() == [[[0, 1, 1]] * 2, [[1, 1, 1], [0, 0, 0]], [[0] * 3] * 2]
