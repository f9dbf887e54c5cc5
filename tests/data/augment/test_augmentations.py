"""Every registered augmentation keeps what all promise; those that need more have a file of their own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.data.augment import AUGMENTATIONS, Augmentation, Compose, Flip, Mixing, Mixup, Shift, from_names
from osler.errors import InputError
from osler.show.describe import describe


def draw(name, images, generator, **options):
    """The augmented pictures, whatever kind it is."""
    augmentation = AUGMENTATIONS.create(name, **options)
    if isinstance(augmentation, Mixing):
        return augmentation(images, torch.eye(len(images)), generator)[0]
    return augmentation(images, generator)


@pytest.fixture(params=AUGMENTATIONS)
def name(request):
    return request.param


@given(
    name=st.sampled_from(list(AUGMENTATIONS)),
    n=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    sides=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    dtype=st.sampled_from([torch.uint8, torch.float32, torch.float64, torch.bfloat16]),
    memory=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 2**32),
)
def test_shape_type_input_and_range_stay(name, n, channels, sides, dtype, memory, seed):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, channels, *sides), dtype=torch.uint8, generator=random)
    if dtype != torch.uint8:
        images = (images / 255).to(dtype)
    images = images.contiguous(memory_format=memory)
    copy = images.clone()
    result = draw(name, images, random)
    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    assert torch.isfinite(result.float()).all()
    assert torch.equal(images, copy)


def test_the_generator_decides_and_nothing_else(name, pictures, generator):
    images = pictures(64, 3, 8, 9)
    before = torch.get_rng_state()
    first, again = (draw(name, images, generator()) for _ in range(2))
    assert torch.equal(first, again)
    if name != "alternating_flip":
        assert not torch.equal(first, draw(name, images, generator(5)))
    assert torch.equal(torch.get_rng_state(), before)


def test_each_picture_has_random_numbers_of_its_own(name, pictures, generator):
    images = pictures(1, 3, 16, 16).expand(64, -1, -1, -1)
    different = draw(name, images, generator()).flatten(1).unique(dim=0)
    if name in ("alternating_flip", "mixup", "cutmix"):  # the same picture goes the same way, or meets itself
        assert len(different) == 1
    else:
        assert len(different) > 1


def test_a_large_batch_in_pieces_is_the_whole(name, pictures, generator, monkeypatch):
    images = pictures(9, 3, 12, 10)
    whole = draw(name, images, generator())
    monkeypatch.setattr("osler.data.augment.augmentation.PIECE", 2 * 3 * 12 * 10)
    pieces = draw(name, images, generator())
    # Random numbers for every pixel come in another order.
    fields = {"noise", "random_erasing"}
    assert (whole.int() - pieces.int()).abs().max() <= 1 or name in fields


def test_masks_follow_what_moves_and_nothing_else(name, pictures, generator):
    augmentation = AUGMENTATIONS.create(name)
    if isinstance(augmentation, Mixing):
        with pytest.raises(InputError, match="has no meaning for masks"):
            from_names([name]).with_masks(pictures(), pictures()[:, 0], generator())
        return
    images, masks = pictures(32, 3, 16, 16), torch.randint(1, 9, (32, 16, 16), generator=generator(3))
    seen, moved = augmentation.with_masks(images, masks, generator(), void=77)
    assert torch.equal(seen, augmentation(images, generator()))
    assert (moved.shape, moved.dtype) == (masks.shape, masks.dtype)
    assert torch.equal(moved, masks) == (not augmentation.geometric)
    assert set(moved.unique().tolist()) <= {*range(1, 9), 77}


def test_described(name):
    entry = describe("augmentation", AUGMENTATIONS, name)
    assert entry.summary
    assert {"Shapes", "Options", "Use", "Raises", "Source"} <= entry.parts.keys()
    assert "channels" in entry.parts["Shapes"] or "C = 1" in entry.parts["Shapes"]
    assert all(f"`{option}`" in entry.parts["Options"] + entry.parts["Shapes"] for option in entry.options)


def test_one_picture_alone_is_refused(name, generator):
    with pytest.raises(InputError, match=r"\(N, C, H, W\), but got \(3, 3, 8\); .* images\[None\]"):
        draw(name, torch.zeros(3, 3, 8), generator())


@pytest.mark.parametrize("computes", ["rotation", "colour_jitter", "blur", "noise", "cutout", "mixup", "rand_augment"])
def test_whole_numbers_of_unknown_range_are_refused(computes, generator):
    with pytest.raises(InputError, match="uint8 or floats, but got torch"):
        draw(computes, torch.ones(2, 3, 8, 8, dtype=torch.int64), generator())


def test_compose_applies_in_order(pictures, generator):
    images = pictures(4)
    double = Compose((lambda x, _: x.float() + 1, lambda x, _: x * 2))
    assert torch.equal(double(images, generator()), (images.float() + 1) * 2)
    assert torch.equal(from_names([])(images, generator()), images)
    with pytest.raises(InputError, match="no Augmentation"):
        double.with_masks(images, images[:, 0], generator())


def test_compose_moves_masks_by_all_of_its_parts(pictures, generator):
    images = pictures(20)
    augment = from_names([{"name": "flip", "probability": 1}, "cutout", {"name": "shift", "pixels": 2}])
    masks = images[:, 0]
    _, moved = augment.with_masks(images, masks, generator())
    seen, _ = Compose((Flip(1), augment.parts[1], Shift(2))).with_masks(images, masks, generator())
    assert torch.equal(seen, augment(images, generator()))
    # Where nothing was hidden, the mask (a copy of the first channel) still shows the picture; outside it is void.
    same = (moved == seen[:, 0]) | ((moved == 255) & (seen[:, 0] == 0))
    assert same.float().mean() > 0.8
    hidden = from_names(["flip", {"name": "shift", "pixels": 2}])
    seen, moved = hidden.with_masks(images, masks, generator())
    assert torch.equal(moved.where(seen[:, 0] > 0, 0), seen[:, 0])
    assert set(moved[seen[:, 0] == 0].tolist()) == {255}


def test_what_mixes_comes_apart_from_what_changes_pictures():
    augment = from_names(["flip", "mixup"])
    assert augment == Compose((Flip(),), mixing=(Mixup(),))
    assert all(isinstance(part, Augmentation) for part in augment.parts)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["filp"], "did you mean 'flip'"),
        ([{"name": "shift", "pixel": 2}], "did you mean 'pixels'"),
        ([{"pixels": 2}], "needs a name"),
        (["mixup", "shift"], "they come last: put shift before"),
        (["shift", "alternating_flip"], "it comes first"),
        ([{"name": "flip", "probability": 1.5}], "probability must be between 0 and 1, but got 1.5"),
        ([{"name": "flip", "probability": "often"}], "but got 'often'"),
        ([{"name": "alternating_flip", "epoch": 0}], "1 or more, but got 0"),
        ([{"name": "shift", "pixels": -1}], "0 or more, but got -1"),
        ([{"name": "shift", "pixels": True}], "whole number"),
        ([{"name": "shift", "padding": "edge"}], "'zeros', 'nearest', 'reflect'"),
        ([{"name": "rotation", "degrees": 200}], "between 0 and 180, but got 200"),
        ([{"name": "rotation", "padding": "zero"}], "did you mean 'zeros'"),
        ([{"name": "affine", "translate": 2}], "affine: translate must be between 0 and 1"),
        ([{"name": "affine", "scale": 2}], "affine: scale must be two numbers"),
        ([{"name": "affine", "scale": [2, 1]}], "in order, but got 2 before 1"),
        ([{"name": "affine", "shear": 90}], "between 0 and 80"),
        ([{"name": "random_resized_crop", "scale": [0, 1]}], "between 0.0001 and 1, but got 0"),
        ([{"name": "random_resized_crop", "ratio": [1, 2, 3]}], "two numbers"),
        ([{"name": "colour_jitter", "hue": 0.6}], "between 0 and 0.5"),
        ([{"name": "colour_jitter", "brightness": -1}], "a finite number from 0 on, but got -1"),
        ([{"name": "blur", "sigma": [0, 1]}], "blur: sigma"),
        ([{"name": "noise", "std": float("nan")}], "but got nan"),
        ([{"name": "cutout", "size": 0}], "1 or more, but got 0"),
        ([{"name": "cutout", "fill": "grey"}], "'mean', 'zeros', 'noise'"),
        ([{"name": "random_erasing", "area": [0.1, 2]}], "between 0 and 1, but got 2"),
        ([{"name": "rand_augment", "strength": 31}], "0 to 30, but got 31"),
        ([{"name": "mixup", "alpha": 0}], "mixup: alpha"),
        ([{"name": "cutmix", "alpha": "1"}], "cutmix: alpha"),
    ],
)
def test_refusals(specs, message):
    with pytest.raises(InputError, match=message):
        from_names(specs)


def test_masks_that_do_not_lie_on_the_pictures(pictures, generator):
    for masks in (torch.zeros(64, 3, 3).long(), torch.zeros(64, 7, 9), torch.zeros(64, 1, 7, 9).long()):
        with pytest.raises(InputError, match=r"shape \(64, 7, 9\)"):
            Flip().with_masks(pictures(), masks, generator())
