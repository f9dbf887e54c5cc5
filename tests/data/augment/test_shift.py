import pytest
import torch
from torch.nn import functional as F

from osler.data.augment import Shift
from osler.errors import InputError

MODES = {"zeros": "constant", "nearest": "replicate", "reflect": "reflect"}


def shifted(image, dy, dx, padding):
    """One picture moved down by dy and right by dx, in torch's own padding: the oracle."""
    p = max(abs(dy), abs(dx), 1)
    padded = F.pad(image.float()[None], (p, p, p, p), mode=MODES[padding])[0]
    _, height, width = image.shape
    return padded[:, p - dy : p - dy + height, p - dx : p - dx + width].to(image.dtype)


def offsets(before, after, most, padding):
    """The shifts that turn one picture into the other (one at most, for random pixels)."""
    steps = range(-most, most + 1)
    return [(dy, dx) for dy in steps for dx in steps if torch.equal(shifted(before, dy, dx, padding), after)]


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_shift_moves_each_picture_by_its_own_offset(padding, dtype, pictures, generator):
    images = pictures().to(dtype)
    result = Shift(pixels=2, padding=padding)(images, generator())
    assert result.dtype == dtype
    found = [offsets(a, b, 2, padding) for a, b in zip(images, result, strict=True)]
    assert all(len(f) == 1 for f in found)
    assert len({f[0] for f in found}) > 15  # of 25 possible


def test_shift_by_default_is_an_eighth_of_the_shorter_side(pictures, generator):
    images = pictures(200, 1, 16, 24)
    result = Shift()(images, generator())
    found = [offsets(a, b, 2, "zeros")[0] for a, b in zip(images, result, strict=True)]
    assert {dy for dy, _ in found} == {dx for _, dx in found} == {-2, -1, 0, 1, 2}
    assert Shift()(pictures(2, 1, 7, 7), generator()).equal(pictures(2, 1, 7, 7))  # too small to move


def test_nearest_reaches_further_than_the_picture(pictures, generator):
    assert Shift(pixels=20, padding="nearest")(pictures(), generator()).shape == pictures().shape


def test_reflection_of_too_small_a_picture(pictures, generator):
    with pytest.raises(InputError, match="7 pixels can't be reflected from 7×9"):
        Shift(pixels=7, padding="reflect")(pictures(), generator())
