import pytest
import torch
from torch.nn import functional as F

from osler.data.augment import AUGMENTATIONS, Compose, Flip, Shift, from_names
from osler.errors import InputError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=64, channels=3, height=7, width=9):
    return torch.randint(1, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator(1))


def shifted(image, dy, dx, padding):
    """One picture moved down by dy and right by dx, in torch's own padding: the oracle."""
    p = max(abs(dy), abs(dx), 1)
    mode = {"zeros": "constant", "reflect": "reflect"}[padding]
    padded = F.pad(image.float()[None], (p, p, p, p), mode=mode)[0]
    _, height, width = image.shape
    return padded[:, p - dy : p - dy + height, p - dx : p - dx + width].to(image.dtype)


def offsets(before, after, most, padding):
    """The shifts that turn one picture into the other (one at most, for random pixels)."""
    steps = range(-most, most + 1)
    return [(dy, dx) for dy in steps for dx in steps if torch.equal(shifted(before, dy, dx, padding), after)]


def test_flip_mirrors_or_leaves_each_picture():
    images = pictures(1000)
    result = Flip()(images, generator())
    same = (result == images).flatten(1).all(1)
    mirrored = (result == images.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 430 < int(mirrored.sum()) < 570  # 500 expected, standard deviation 16
    assert torch.equal(Flip(probability=1)(images, generator()), images.flip(3))
    assert torch.equal(Flip(probability=0)(images, generator()), images)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_shift_moves_each_picture_by_its_own_offset(padding, dtype):
    images = pictures().to(dtype)
    result = Shift(pixels=2, padding=padding)(images, generator())
    assert result.dtype == dtype
    found = [offsets(a, b, 2, padding) for a, b in zip(images, result, strict=True)]
    assert all(len(f) == 1 for f in found)
    assert len({f[0] for f in found}) > 15  # of 25 possible


def test_shift_by_default_is_an_eighth_of_the_shorter_side():
    images = pictures(200, 1, 16, 24)
    result = Shift()(images, generator())
    found = [offsets(a, b, 2, "zeros")[0] for a, b in zip(images, result, strict=True)]
    assert {dy for dy, _ in found} == {dx for _, dx in found} == {-2, -1, 0, 1, 2}
    assert Shift()(pictures(2, 1, 7, 7), generator()).equal(pictures(2, 1, 7, 7))  # too small to move


def test_the_generator_decides():
    augment = from_names(["flip", {"name": "shift", "pixels": 2, "padding": "reflect"}])
    images = pictures()
    first, again, other = augment(images, generator()), augment(images, generator()), augment(images, generator(5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    before = torch.get_rng_state()
    augment(images, generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_compose_applies_in_order():
    images = pictures(4)
    double = Compose((lambda x, _: x.float() + 1, lambda x, _: x * 2))
    assert torch.equal(double(images, generator()), (images.float() + 1) * 2)
    assert torch.equal(from_names([])(images, generator()), images)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_every_augmentation_keeps_shape_type_and_its_input(name, memory):
    images = pictures(8, 3, 16, 12).contiguous(memory_format=memory)
    copy = images.clone()
    for batch in (images, images.float(), images[:1]):
        result = AUGMENTATIONS.create(name)(batch, generator())
        assert result.shape == batch.shape
        assert result.dtype == batch.dtype
        # No new pixel values but the zeros at an edge.
        assert set(result.unique().tolist()) <= {0, *batch.unique().tolist()}
    assert torch.equal(images, copy)
    assert AUGMENTATIONS.summary(name)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Flip(probability=1.5), "between 0 and 1, but got 1.5"),
        (lambda: Shift(pixels=-1), "0 or more, but got -1"),
        (lambda: Shift(pixels=2, padding="edge"), "'zeros' or 'reflect', but got 'edge'"),
        (lambda: Shift(pixels=7, padding="reflect")(pictures(), generator()), "7 pixels can't be reflected from 7×9"),
        (lambda: from_names(["filp"]), "did you mean 'flip'"),
        (lambda: from_names([{"name": "shift", "pixel": 2}]), "did you mean 'pixels'"),
        (lambda: from_names([{"pixels": 2}]), "needs a name"),
    ],
)
def test_refusals(build, message):
    with pytest.raises(InputError, match=message):
        build()
