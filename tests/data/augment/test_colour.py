"""Colours against Pillow's enhancers and the standard library's YIQ."""

import colorsys
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from osler.data.augment import ColourJitter
from osler.data.augment.colour import coloured
from osler.errors import InputError


def changed(images, brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0):
    n = len(images)
    factors = torch.tensor([[brightness] * n, [contrast] * n, [saturation] * n])
    return coloured(images, factors, torch.full((n,), hue))


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_is_that_of_pillow(name, enhancer, factor, channels, smooth):
    images = smooth(channels=channels)
    for before, after in zip(images, changed(images, **{name: factor}), strict=True):
        pixels = before.permute(1, 2, 0).numpy()
        picture = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        wanted = np.asarray(enhancer(picture).enhance(factor)).reshape(pixels.shape).astype(int)
        assert np.abs(after.permute(1, 2, 0).numpy().astype(int) - wanted).max() <= 2  # Pillow rounds greys first


def test_hue_turns_colours_in_yiq(generator):
    images = torch.rand(1, 3, 5, 6, generator=generator(), dtype=torch.float64)
    turn = 0.15
    result = changed(images, hue=turn)[0].flatten(1).T
    for before, after in zip(images[0].flatten(1).T, result, strict=True):
        y, i, q = colorsys.rgb_to_yiq(*before.tolist())
        angle = -turn * 2 * math.pi  # from I to Q colours go from orange to purple: backwards
        i, q = i * math.cos(angle) - q * math.sin(angle), i * math.sin(angle) + q * math.cos(angle)
        # The standard library's grey has coefficients of two digits, and cuts off what is out of 0 … 1.
        wanted = colorsys.yiq_to_rgb(y, i, q)
        np.testing.assert_allclose(after.clamp(0, 1).numpy(), wanted, atol=0.02)


@pytest.mark.parametrize("hue", [-0.3, 0.1, 1 / 3])
def test_hue_keeps_brightness_and_goes_the_way_of_hsv(hue, generator):
    muted = torch.rand(1, 3, 4, 4, generator=generator(), dtype=torch.float64) * 0.2 + 0.4
    result = changed(muted, hue=hue)
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    torch.testing.assert_close(
        torch.einsum("nchw,c->nhw", result, weights), torch.einsum("nchw,c->nhw", muted, weights)
    )
    for before, after in zip(muted[0].flatten(1).T, result[0].flatten(1).T, strict=True):
        one, other = (colorsys.rgb_to_hsv(*pixel.tolist())[0] for pixel in (before, after))
        assert abs((other - one - hue + 0.5) % 1 - 0.5) < 0.13  # another space, another pace


def test_a_full_turn_and_grey_stay(generator):
    images = torch.rand(2, 3, 4, 4, generator=generator())
    torch.testing.assert_close(changed(images, hue=1.0), images, atol=1e-4, rtol=0)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(changed(grey, hue=0.4, saturation=0.3), grey, atol=1e-4, rtol=0)


def test_a_grey_picture_changes_as_its_three_equal_channels(smooth, generator):
    grey = smooth(channels=1)
    alone = ColourJitter()(grey, generator())
    as_rgb = ColourJitter()(grey.expand(-1, 3, -1, -1).contiguous(), generator())
    assert (alone.int() - as_rgb.int()).abs().max() <= 1


def test_other_channels_have_no_hue(generator):
    spectral = torch.rand(2, 5, 4, 4, generator=generator())
    with pytest.raises(InputError, match="but got 5 channels: set saturation=0 and hue=0"):
        ColourJitter()(spectral, generator())
    result = ColourJitter(brightness=0, saturation=0, hue=0)(spectral, generator())
    torch.testing.assert_close(result.mean((1, 2, 3)), spectral.mean((1, 2, 3)))
    assert not torch.equal(result, spectral)


def test_factors_are_evenly_spread(generator):
    bright = ColourJitter(brightness=0.5, contrast=0, saturation=0, hue=0)(torch.ones(4000, 3, 1, 1), generator())
    shares = torch.histc(bright[:, 0].flatten(), 5, 0.5, 1.5) / 4000
    assert (shares - 0.2).abs().max() < 0.026  # four standard deviations
    strong = ColourJitter(brightness=3, contrast=0, saturation=0, hue=0)(torch.ones(1000, 1, 1, 1), generator())
    assert strong.min() >= 0
    assert strong.max() > 3.9
