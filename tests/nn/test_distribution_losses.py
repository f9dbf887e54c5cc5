import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cosine
from scipy.special import softmax
from scipy.stats import entropy

from osler.errors import InputError
from osler.nn.losses import LOSSES

torch.manual_seed(4)
Z = torch.randn(8, 5, dtype=torch.float64)
Q = torch.rand(8, 5, dtype=torch.float64).softmax(1)


def test_kl_divergence_equals_scipys():
    wanted = [entropy(q, softmax(z)) for q, z in zip(Q.numpy(), Z.numpy(), strict=True)]
    assert LOSSES.create("kl_divergence", reduction="none")(Z, Q).tolist() == pytest.approx(wanted)
    assert LOSSES.create("kl_divergence")(Z, Q).item() == pytest.approx(sum(wanted) / 8)
    assert LOSSES.create("kl_divergence", from_logits=False)(Z.softmax(1), Q).item() == pytest.approx(sum(wanted) / 8)


def test_kl_divergence_of_equal_distributions_is_zero_and_of_certain_ones_is_finite():
    assert LOSSES.create("kl_divergence")(Q.log(), Q).item() == pytest.approx(0, abs=1e-15)
    certain = torch.tensor([[1.0, 0.0]])
    assert LOSSES.create("kl_divergence", from_logits=False)(1 - certain, certain).isfinite()


def test_kl_divergence_of_images_is_a_mean_over_pixels():
    z, q = torch.randn(2, 3, 4, 5), torch.rand(2, 3, 4, 5).softmax(1)
    single = LOSSES.create("kl_divergence", reduction="none")(z, q)
    assert single.shape == (2, 4, 5)
    torch.testing.assert_close(LOSSES.create("kl_divergence")(z, q), single.mean())


def test_cosine_equals_scipys():
    wanted = [cosine(a, b) for a, b in zip(Z.numpy(), Q.numpy(), strict=True)]
    assert LOSSES.create("cosine_similarity", reduction="none")(Z, Q).tolist() == pytest.approx(wanted)


def test_cosine_of_zero_is_one_and_has_a_finite_gradient():
    z = torch.zeros(1, 3, requires_grad=True)
    loss = LOSSES.create("cosine_similarity")(z, torch.ones(1, 3))
    loss.backward()
    assert loss.item() == 1
    assert z.grad.isfinite().all()
    with pytest.raises(InputError, match=r"\(3,\)"):
        LOSSES.create("cosine_similarity")(torch.ones(3), torch.ones(3))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ctc_equals_torchs(reduction):
    z = torch.randn(3, 9, 5, dtype=torch.float64)
    y = torch.tensor([[1, 2, 2, 4], [3, 0, 0, 0], [4, 1, 0, 0]])
    lengths, steps = torch.tensor([4, 1, 2]), torch.tensor([9, 5, 7])
    wanted = F.ctc_loss(z.log_softmax(2).transpose(0, 1), y, steps, lengths, reduction=reduction)
    loss = LOSSES.create("ctc", reduction=reduction)
    torch.testing.assert_close(loss(z, y, None, steps, lengths), wanted)
    torch.testing.assert_close(loss(z, y, prediction_lengths=steps), wanted)


def test_ctc_by_counting_paths():
    # Two steps, two symbols, all paths equally likely: (1,1), (1,–), (–,1) of four give "1".
    p = LOSSES.create("ctc", reduction="none")(torch.zeros(1, 2, 2), torch.tensor([[1]])).neg().exp()
    assert p.item() == pytest.approx(3 / 4)


def test_ctc_of_a_sequence_too_short_for_its_labels():
    z, y = torch.zeros(1, 2, 3), torch.tensor([[1, 2, 1]])
    assert LOSSES.create("ctc")(z, y).isinf()
    assert LOSSES.create("ctc", zero_infinity=True)(z, y) == 0
    with pytest.raises(InputError, match=r"\(N, T, C\)"):
        LOSSES.create("ctc")(z[0], y)
