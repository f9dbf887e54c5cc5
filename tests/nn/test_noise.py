import pytest
import torch

from osler.errors import InputError
from osler.nn.noise import GaussianNoise, MaskingNoise, SaltAndPepperNoise


@pytest.mark.parametrize("noise", [GaussianNoise(), MaskingNoise(), SaltAndPepperNoise()])
def test_only_while_training(noise):
    x = torch.rand(3, 4, 5)
    assert torch.equal(noise.eval()(x), x)
    noisy = noise.train()(x)
    assert noisy.shape == x.shape
    assert not torch.equal(noisy, x)


@pytest.mark.parametrize("noise", [GaussianNoise(0), MaskingNoise(0), SaltAndPepperNoise(0)])
def test_none_at_zero(noise):
    x = torch.rand(50)
    assert torch.equal(noise(x), x)


def test_gaussian_has_its_width():
    torch.manual_seed(0)
    noise = GaussianNoise(std=0.5)(torch.zeros(40_000))
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)
    assert abs(noise.mean().item()) < 0.01


def test_masking_zeroes_its_part_and_keeps_the_rest():
    torch.manual_seed(0)
    x = 1 + torch.rand(40_000)
    masked = MaskingNoise(p=0.3)(x)
    zero = masked == 0
    assert zero.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(masked[~zero], x[~zero])


def test_salt_and_pepper_in_equal_parts():
    torch.manual_seed(0)
    x = torch.full((40_000,), 0.5)
    noisy = SaltAndPepperNoise(p=0.4, low=-1.0, high=2.0)(x)
    for value, share in ((-1.0, 0.2), (2.0, 0.2), (0.5, 0.6)):
        assert (noisy == value).float().mean().item() == pytest.approx(share, abs=0.01)


def test_impossible_options_are_refused():
    for make in (lambda: GaussianNoise(-1), lambda: MaskingNoise(1.5), lambda: SaltAndPepperNoise(-0.1)):
        with pytest.raises(InputError, match="must"):
            make()
