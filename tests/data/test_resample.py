import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from osler.data.resample import resample

NOISE = torch.randn(3000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("before", "after", "samples"),
    [(44100, 16000, 3000), (8000, 16000, 777), (16000, 8000, 1001), (48000, 44100, 999), (7, 3, 50), (8000, 11025, 1)],
)
def test_as_scipy_resamples(before, after, samples):
    wave = NOISE[:samples]
    wanted = resample_poly(wave.double().numpy(), after, before)
    np.testing.assert_allclose(resample(wave, before, after), wanted, atol=2e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 60))
def test_any_two_rates_and_lengths(before, after, samples):
    wave = NOISE[:samples]
    got = resample(wave, before, after)
    assert len(got) == -(-samples * after // before)
    if samples:
        np.testing.assert_allclose(got, resample_poly(wave.double().numpy(), after, before), atol=5e-6)


def test_a_tone_keeps_its_pitch_and_loudness_and_what_is_too_high_goes():
    time = torch.arange(44100) / 44100
    low, high = torch.sin(2 * torch.pi * 440 * time), torch.sin(2 * torch.pi * 15000 * time)
    wanted = torch.sin(2 * torch.pi * 440 * torch.arange(16000) / 16000)
    inside = slice(100, -100)
    torch.testing.assert_close(resample(low, 44100, 16000)[inside], wanted[inside], atol=2e-3, rtol=0)
    assert resample(high, 44100, 16000)[inside].abs().max() < 0.02


def test_the_same_rate_changes_nothing():
    assert torch.equal(resample(NOISE, 8000, 8000), NOISE)
