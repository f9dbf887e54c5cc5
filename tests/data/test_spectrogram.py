import math

import numpy as np
import pytest
import torch

from osler.data.spectrogram import Spectrogram, cosine_transform, hertz_to_mel, mel_filters, mel_to_hertz
from osler.errors import InputError

# What librosa 0.11.0 gives of WAVE: melspectrogram(sr=8000, n_fft=256, hop_length=80, win_length=200, n_mels=40),
# then power_to_db(ref=np.max, top_db=80), then mfcc(S=…, n_mfcc=20).
TIME = np.arange(1600) / 8000
WAVE = torch.from_numpy(
    (
        0.5 * np.sin(2 * np.pi * (300 + 2000 * TIME) * TIME)
        + 0.2 * np.sin(2 * np.pi * 1800 * TIME)
        + 0.1 * np.sign(np.sin(2 * np.pi * 97 * TIME))
    ).astype(np.float32)
)[None]
FRAME_7 = [-14.5364, -26.4403, -4.0073, -33.5096, -35.8834, -34.8139, -40.7052, -43.138]  # every fifth band
BAND_20 = [-39.9141, -35.4577, -35.5665, -35.6777, -35.7916, -36.2224, -36.226, -36.1776, -36.148, -35.7487, -19.0486]
MFCC_7 = [-202.836, 49.4007, 10.4405, 12.6214, -22.2208, -16.6877, 15.0146, 8.1729]


def test_log_mel_is_librosas():
    found = Spectrogram(8000)(WAVE)
    assert found.shape == (1, 40, 21)
    np.testing.assert_allclose(found[0, ::5, 7], FRAME_7, atol=2e-4)
    np.testing.assert_allclose(found[0, 20, ::2], BAND_20, atol=2e-4)


def test_mfcc_is_librosas():
    found = Spectrogram(8000, kind="mfcc")(WAVE)
    assert found.shape == (1, 20, 21)
    np.testing.assert_allclose(found[0, :8, 7], MFCC_7, atol=4e-4)


def test_filters_are_librosas():
    """librosa.filters.mel(sr=8000, n_fft=256, n_mels=40) and (sr=16000, n_fft=512, n_mels=64, fmin=60, fmax=7600)."""
    narrow = mel_filters(8000, 256, 40)[20] * 1000
    np.testing.assert_allclose(narrow[38:42], [5.47007, 11.58454, 10.08593, 4.32158], atol=2e-5)
    wide = mel_filters(16000, 512, 64, 60, 7600)[50] * 1000
    np.testing.assert_allclose(wide[122:126], [0.21675, 1.16325, 2.10976, 3.05626], atol=2e-5)
    assert (wide != 0).sum() == 12


def test_each_filter_has_area_one_over_hertz():
    filters = mel_filters(16000, 2**15, 40)
    torch.testing.assert_close(filters.sum(1) * 16000 / 2**15, torch.ones(40), atol=1e-3, rtol=0)


def test_mel_and_back():
    hertz = torch.tensor([0.0, 500.0, 1000.0, 4000.0, 8000.0], dtype=torch.float64)
    np.testing.assert_allclose(hertz_to_mel(hertz), [0.0, 7.5, 15.0, 35.16376, 45.24564], atol=1e-5)
    torch.testing.assert_close(mel_to_hertz(hertz_to_mel(hertz)), hertz)


def test_the_cosine_transform_keeps_lengths():
    basis = cosine_transform(16, 16)
    torch.testing.assert_close(basis @ basis.T, torch.eye(16))
    assert basis[0].tolist() == pytest.approx([0.25] * 16)


def test_loudness_does_not_matter_and_silence_is_no_accident():
    torch.testing.assert_close(Spectrogram(8000)(WAVE * 0.1), Spectrogram(8000)(WAVE), atol=1e-3, rtol=0)
    assert torch.equal(Spectrogram(8000)(torch.zeros(1, 800)), torch.zeros(1, 40, 11))


def test_each_of_a_batch_for_itself():
    both = torch.cat([WAVE, 0.01 * WAVE.flip(1)])
    apart = torch.cat([Spectrogram(8000)(one[None]) for one in both])
    torch.testing.assert_close(Spectrogram(8000)(both), apart, atol=1e-3, rtol=0)


def test_as_many_frames_as_said():
    for length in (0, 79, 80, 81, 1234):
        assert Spectrogram(8000).frames(length) == 1 + length // 80
    assert Spectrogram(8000)(torch.zeros(1, 1234)).shape[2] == Spectrogram(8000).frames(1234)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "log_mell"}, "did you mean|log_mel"),
        ({"mels": 0}, "mels"),
        ({"window": 25}, "seconds, not milliseconds"),
        ({"hop": -1.0}, "hop"),
        ({"high": 5000.0}, "half of the rate"),
        ({"kind": "mfcc", "coefficients": 60}, "60 coefficients of 40 mels"),
        ({"range": math.inf}, "range"),
    ],
)
def test_impossible_options_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        Spectrogram(8000, **options)
