import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from osler.data.augment import Blur, Noise


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("shape", [(2, 1, 20, 31), (3, 3, 5, 4)])
def test_blur_is_the_gaussian_filter_of_scipy(sigma, shape, generator):
    images = torch.rand(shape, generator=generator(), dtype=torch.float64)
    result = Blur(sigma=(sigma, sigma))(images, generator())
    radius = int(np.ceil(3 * sigma))
    wanted = ndimage.gaussian_filter(
        images.numpy(), (0, 0, sigma, sigma), radius=(0, 0, radius, radius), mode="nearest"
    )
    np.testing.assert_allclose(result, wanted, atol=1e-6)


def test_bytes_are_rounded(pictures, generator):
    images = pictures(6, 3, 12, 12)
    exact = Blur()(images.double(), generator())
    assert torch.equal(Blur()(images, generator()).double(), exact.round())


def test_each_picture_has_its_own_width(generator):
    dots = torch.zeros(1000, 1, 15, 15, dtype=torch.float64)
    dots[:, :, 7, 7] = 1
    height = Blur(sigma=(1.0, 2.0))(dots, generator())[:, 0, 7, 7]
    sigma = (1 / (2 * np.pi * height)).sqrt()  # of a Gaussian's peak
    assert 0.98 < sigma.min() < 1.02
    assert 1.95 < sigma.max() < 2.05
    assert abs(float(sigma.mean()) - 1.5) < 0.05


def test_noise_is_normal_and_of_the_size_asked_for(generator):
    images = torch.full((20, 3, 32, 32), 0.5)
    noise = (Noise(std=0.1)(images, generator()) - images).flatten().numpy()
    assert stats.kstest(noise / 0.1, "norm").pvalue > 0.01
    flat = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    assert abs((Noise(std=0.1)(flat, generator()).float() - 128).std() - 25.5) < 0.3
    assert Noise(std=0.1)(torch.zeros_like(flat), generator()).float().mean() == pytest.approx(
        25.5 / np.sqrt(2 * np.pi), rel=0.03
    )
