import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from osler.errors import InputError
from osler.nn.segmentation_losses import VOID, Dice, DiceCrossEntropy

torch.manual_seed(3)
Z = torch.randn(4, 3, 5, 6, dtype=torch.float64)
MASK = torch.randint(3, (4, 5, 6))


def by_the_formula(z, mask):
    """One sample after the other, with one-hot masks."""
    losses = []
    for scores, true in zip(z.softmax(1), mask, strict=True):
        overlaps = []
        for c in true[true != VOID].unique().tolist():
            p, y = scores[c][true != VOID], (true == c)[true != VOID].to(scores.dtype)
            overlaps.append(2 * (p * y).sum() / (p.sum() + y.sum()))
        losses.append(1 - torch.stack(overlaps).mean() if overlaps else z.new_tensor(1.0))
    return torch.stack(losses)


@given(seed=st.integers(0, 10**6), void=st.sampled_from([0.0, 0.3]))
def test_dice_by_the_formula(seed, void):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randint(3, (4, 5, 6), generator=generator)
    mask[torch.rand(mask.shape, generator=generator) < void] = VOID
    torch.testing.assert_close(Dice(reduction="none")(Z, mask), by_the_formula(Z, mask))


def test_both_together_are_their_sum_over_each_samples_known_pixels():
    mask = MASK.clone()
    mask[0, :, :4] = VOID
    entropy = [F.cross_entropy(Z[i : i + 1], mask[i : i + 1], ignore_index=VOID) for i in range(4)]
    torch.testing.assert_close(
        DiceCrossEntropy(reduction="none")(Z, mask), torch.stack(entropy) + by_the_formula(Z, mask)
    )
    weights = [1.0, 2.0, 0.5]
    entropy = [
        F.cross_entropy(Z[i : i + 1], mask[i : i + 1], ignore_index=VOID, weight=Z.new_tensor(weights))
        for i in range(4)
    ]
    found = DiceCrossEntropy(class_weights=weights, reduction="none")(Z, mask)
    torch.testing.assert_close(found, torch.stack(entropy) + by_the_formula(Z, mask))


@pytest.mark.parametrize("loss", [Dice(), DiceCrossEntropy()])
def test_a_perfect_mask_and_one_of_which_nothing_is_known(loss):
    certain = F.one_hot(MASK, 3).movedim(-1, 1).double() * 100
    assert loss(certain, MASK).item() == pytest.approx(0, abs=1e-9)
    z = Z.clone().requires_grad_()
    value = loss(z, torch.full_like(MASK, VOID))
    value.backward()
    assert value.isfinite()
    assert z.grad.eq(0).all()


def test_gradients():
    assert torch.autograd.gradcheck(lambda z: DiceCrossEntropy()(z, MASK[:2]), (Z[:2].clone().requires_grad_(),))


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match="class indices"):
        Dice()(Z, MASK[:, :4])
