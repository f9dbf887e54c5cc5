"""Generators and pictures."""

import pytest
import torch


def make_generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_pictures(n=64, channels=3, height=7, width=9):
    return torch.randint(1, 256, (n, channels, height, width), dtype=torch.uint8, generator=make_generator(1))


def make_smooth(n=4, channels=3, height=24, width=32):
    """Pictures without sharp edges, on which every good way of interpolating says nearly the same."""
    rough = torch.rand(n, channels, 5, 6, generator=make_generator(2))
    smooth = torch.nn.functional.interpolate(rough, (height, width), mode="bicubic", align_corners=True)
    return (smooth.clamp(0, 1) * 255).round().to(torch.uint8)


@pytest.fixture
def generator():
    return make_generator


@pytest.fixture
def pictures():
    return make_pictures


@pytest.fixture
def smooth():
    return make_smooth
