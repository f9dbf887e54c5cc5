import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from osler.data.augment import CutMix, Mix, Mixup
from osler.errors import InputError


def one_hot(n):
    return torch.eye(n)


@given(
    kind=st.sampled_from([Mixup, CutMix]),
    n=st.integers(1, 30),
    classes=st.integers(2, 12),
    alpha=st.floats(0.05, 10),
    seed=st.integers(0, 2**32),
)
def test_soft_targets_sum_to_one(kind, n, classes, alpha, seed):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 3, 6, 7), dtype=torch.uint8, generator=random)
    targets = torch.randint(classes, (n,), generator=random)
    mixed, soft = Mix((kind(alpha), kind(alpha)), classes)(images, targets, random)
    assert (mixed.shape, mixed.dtype) == (images.shape, images.dtype)
    assert soft.shape == (n, classes)
    torch.testing.assert_close(soft.sum(1), torch.ones(n))
    assert soft.min() >= 0


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_blends_pictures_as_it_blends_targets(alpha, generator):
    n = 3000
    images = torch.arange(n, dtype=torch.float64)[:, None, None, None].expand(-1, 1, 2, 2)
    mixed, soft = Mixup(alpha)(images, one_hot(n).double(), generator())
    torch.testing.assert_close(mixed[:, 0, 0, 0], soft @ torch.arange(n, dtype=torch.float64))
    own = soft.diagonal()
    own = own[(soft > 0).sum(1) == 2]
    assert stats.kstest(own.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_mixup_rounds_bytes(generator):
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)
    mixed, soft = Mixup(1.0)(images, one_hot(2), generator(4))
    assert mixed.dtype == torch.uint8
    assert torch.equal(mixed[:, 0, 0, 0].float(), (soft[:, 1] * 255).round())
    assert 0 < float(soft[0, 1]) < 1


def test_cutmix_pastes_one_box_and_counts_its_pixels(generator):
    n = 500
    images = torch.arange(1, n + 1)[:, None, None, None].expand(-1, 2, 14, 11)
    mixed, soft = CutMix()(images, one_hot(n), generator())
    shares = []
    for i in range(n):
        foreign = mixed[i, 0] != i + 1
        assert torch.equal(mixed[i, 0], mixed[i, 1])
        if not foreign.any():
            assert soft[i, i] == pytest.approx(1)
            continue
        [other] = mixed[i, 0][foreign].unique().tolist()
        rows, columns = foreign.any(1), foreign.any(0)
        assert torch.equal(foreign, rows[:, None] & columns)  # a box
        assert soft[i, other - 1] == pytest.approx(float(foreign.float().mean()), abs=1e-6)
        assert soft[i, i] == pytest.approx(1 - float(foreign.float().mean()), abs=1e-6)
        shares.append(float(foreign.float().mean()))
    assert max(shares) > 0.8
    assert min(shares) < 0.05


def test_numbers_of_a_regression_and_labels_mix_linearly(generator):
    images = torch.rand(6, 1, 3, 3, generator=generator())
    targets = images.mean((2, 3))  # (N, 1): so that they must stay the mean of the pixels
    mixed, numbers = Mix((Mixup(1.0),))(images, targets, generator())
    torch.testing.assert_close(numbers, mixed.mean((2, 3)))
    assert not torch.equal(numbers, targets)


def test_indices_are_not_mixed_as_numbers(pictures, generator):
    with pytest.raises(InputError, match="make class indices one-hot"):
        Mixup()(pictures(4), torch.tensor([0, 1, 2, 3]), generator())
    with pytest.raises(InputError, match=r"targets of shape \(3, 2\)"):
        CutMix()(pictures(4), torch.rand(3, 2), generator())
