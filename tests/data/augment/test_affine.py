"""Sampling against PIL's and SciPy's."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from osler.data.augment import Affine, RandomResizedCrop, Rotation
from osler.data.augment.affine import inverse, sampling, slanted, turned

MODES = {"zeros": "grid-constant", "nearest": "nearest", "reflect": "reflect"}


def turn(images, degrees, padding="zeros"):
    angle = torch.full((len(images),), float(degrees))
    return sampling(inverse(turned(angle), torch.zeros(len(images), 2)), padding)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_are_exact(quarter, pictures):
    images = pictures(8, 3, 9, 9)
    assert torch.equal(turn(images, 90 * quarter)(images, None), torch.rot90(images, quarter, (2, 3)))


@pytest.mark.parametrize("degrees", [-37.5, 12.0, 100.0])
def test_rotation_is_that_of_pillow(degrees, smooth):
    images = smooth()
    result = turn(images, degrees)(images, None)
    for before, after in zip(images, result, strict=True):
        picture = Image.fromarray(before.permute(1, 2, 0).numpy())
        wanted = np.asarray(picture.rotate(degrees, Image.Resampling.BILINEAR)).astype(int)
        inside = np.asarray(Image.new("L", picture.size, 255).rotate(degrees, Image.Resampling.NEAREST)) > 0
        inside = ndimage.binary_erosion(inside, iterations=2)
        assert inside.mean() > 0.2
        assert np.abs(after.permute(1, 2, 0).numpy().astype(int) - wanted)[inside].max() <= 1


@pytest.mark.parametrize("padding", MODES)
def test_any_affine_map_is_that_of_scipy(padding, generator):
    images = torch.rand(5, 2, 11, 14, generator=generator(), dtype=torch.float64)
    sources = torch.eye(2, 3) + 0.3 * torch.randn(5, 2, 3, generator=generator())
    sources[:, :, 2] *= 8
    result = sampling(sources, padding)(images, None)
    centre = np.array([5.0, 6.5])
    for before, of, after in zip(images, sources.double().numpy(), result, strict=True):
        matrix, shift = of[::-1, 1::-1], of[::-1, 2]  # (x, y) → (row, column)
        offset = centre + shift - matrix @ centre
        for channel, shown in zip(before, after, strict=True):
            wanted = ndimage.affine_transform(channel.numpy(), matrix, offset, order=1, mode=MODES[padding])
            np.testing.assert_allclose(shown.numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("padding", ["zeros", "nearest"])
def test_masks_take_the_nearest_pixel_and_void_comes_from_outside(padding, generator):
    masks = torch.randint(1, 200, (4, 1, 13, 10), generator=generator())
    sources = torch.eye(2, 3) + 0.2 * torch.randn(4, 2, 3, generator=generator(1))
    moved = sampling(sources, padding)(masks, 250)
    assert moved.dtype == masks.dtype
    centre = np.array([6.0, 4.5])
    for before, of, after in zip(masks, sources.double().numpy(), moved, strict=True):
        matrix, shift = of[::-1, 1::-1], of[::-1, 2]
        mode = {"zeros": "grid-constant", "nearest": "nearest"}[padding]
        offset = centre + shift - matrix @ centre
        wanted = ndimage.affine_transform(before[0].numpy(), matrix, offset, order=0, mode=mode, cval=250)
        assert (after[0].numpy() == wanted).mean() > 0.98  # but for a point that lies between two pixels


def test_large_numbers_of_masks_stay_what_they_are():
    masks = torch.tensor([[[[16_000_001, 2]]]])
    assert torch.equal(turn(masks, 0)(masks, 255), masks)


def test_angles_are_evenly_spread(generator):
    probe = torch.zeros(2000, 1, 65, 65)
    probe[:, :, 32, 62] = 1.0  # 30 to the right of the centre
    shown = Rotation(degrees=40)(probe, generator())[:, 0]
    mass = shown.sum((1, 2))
    y, x = ((shown * torch.arange(-32.0, 33).view(shape)).sum((1, 2)) / mass for shape in ((1, 65, 1), (1, 1, 65)))
    angles = torch.atan2(-y, x).rad2deg()
    assert angles.min() > -41.5
    assert angles.max() < 41.5
    shares = torch.histc(angles, 4, -40, 40) / 2000
    assert (shares - 0.25).abs().max() < 0.04  # four standard deviations


def test_affine_combines_what_it_says(generator):
    """With only one thing to draw, the map is known: a scale of exactly 2 enlarges the middle."""
    images = torch.rand(3, 1, 8, 8, generator=generator())
    twice = Affine(degrees=0, translate=0, scale=(2, 2), shear=0)(images, generator())
    wanted = torch.nn.functional.interpolate(images[:, :, 2:6, 2:6], scale_factor=2, mode="bilinear")
    torch.testing.assert_close(twice[:, :, 1:-1, 1:-1], wanted[:, :, 1:-1, 1:-1])
    still = Affine(degrees=0, translate=0, scale=(1, 1), shear=0)(images, generator())
    torch.testing.assert_close(still, images)
    matrix = turned(torch.tensor([90.0])) @ slanted(torch.tensor([45.0]))
    # Down (0, 1) is slanted to (1, 1), which a quarter turn to the left makes (1, −1).
    torch.testing.assert_close(matrix @ torch.tensor([0.0, 1.0]), torch.tensor([[1.0, -1.0]]), atol=1e-6, rtol=0)


def test_translation_reaches_its_share_of_the_sides(generator):
    probe = torch.zeros(1000, 1, 41, 81)
    probe[:, :, 20, 40] = 1.0
    shown = Affine(degrees=0, translate=0.25, scale=(1, 1), shear=0)(probe, generator())[:, 0]
    y = (shown * torch.arange(-20.0, 21)[:, None]).sum((1, 2))
    x = (shown * torch.arange(-40.0, 41)).sum((1, 2))
    assert 9.9 < y.abs().max() <= 10.26
    assert 19.8 < x.abs().max() <= 20.26
    assert abs(float(y.mean())) < 0.8
    assert abs(float(x.mean())) < 1.6


def crops(count, generator, **options):
    """What part of the picture each crop shows: left, top, right, bottom as shares, read from two ramps."""
    side = 101
    ramp = torch.arange(side, dtype=torch.float64).expand(side, side)
    images = torch.stack([ramp, ramp.T]).expand(count, -1, -1, -1)
    shown = RandomResizedCrop(**options)(images, generator())
    # Linear inside, so that two pixels tell both ends.
    slope = torch.stack([shown[:, 0, 50, 60] - shown[:, 0, 50, 50], shown[:, 1, 60, 50] - shown[:, 1, 50, 50]], 1) / 10
    centre = (shown[:, :, 50, 50] + 0.5) / side
    return centre - slope / 2, centre + slope / 2


def test_crops_are_as_large_and_as_wide_as_asked(generator):
    low, high = crops(3000, generator, scale=(0.2, 0.5), ratio=(0.5, 2.0))
    assert low.min() > -1e-6
    assert high.max() < 1 + 1e-6
    width, height = (high - low).unbind(1)
    area, ratio = width * height, width / height
    assert 0.2 - 1e-6 < area.min() < 0.205
    assert 0.495 < area.max() < 0.5 + 1e-6
    assert abs(float(area.mean()) - 0.35) < 0.01
    assert 0.5 - 1e-6 < ratio.min() < 0.51
    assert 1.96 < ratio.max() < 2 + 1e-6
    assert abs(float(ratio.log().mean())) < 0.03
    assert float(low[:, 0].min()) < 0.01
    assert float(high[:, 1].max()) > 0.99


def test_a_crop_is_that_of_pillow(smooth):
    images = smooth(1, 1, 40, 60)
    x0, y0, width, height = 7.0, 3.0, 45.0, 24.0
    share = torch.tensor([[width / 60, height / 40]])
    centre = torch.tensor([[x0 + width / 2 - 30, y0 + height / 2 - 20]])
    sources = torch.cat([torch.diag_embed(share), centre[:, :, None]], dim=2)
    result = sampling(sources, "nearest")(images, None)[0, 0].numpy().astype(int)
    box = (x0, y0, x0 + width, y0 + height)
    wanted = np.asarray(Image.fromarray(images[0, 0].numpy()).resize((60, 40), Image.Resampling.BILINEAR, box=box))
    assert np.abs(result - wanted.astype(int)).max() <= 1


def test_a_whole_crop_is_the_picture(pictures, generator):
    images = pictures(5, 3, 10, 14)
    assert torch.equal(RandomResizedCrop(scale=(1, 1), ratio=(1, 1))(images, generator()), images)
