import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import mean_absolute_percentage_error, mean_pinball_loss

from osler.errors import InputError
from osler.nn.losses import LOSSES

torch.manual_seed(0)
PREDICTION = torch.randn(20, 3, dtype=torch.float64) * 3
TARGET = torch.randn(20, 3, dtype=torch.float64) * 3


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("name", "options", "torchs"),
    [
        ("mse", {}, F.mse_loss),
        ("mae", {}, F.l1_loss),
        ("huber", {"delta": 0.7}, lambda p, t, reduction: F.huber_loss(p, t, reduction, delta=0.7)),
        ("half_mse", {}, lambda p, t, reduction: F.mse_loss(p, t, reduction=reduction) / 2),
    ],
)
def test_equals_torchs(name, options, torchs, reduction):
    ours = LOSSES.create(name, reduction=reduction, **options)(PREDICTION, TARGET)
    torch.testing.assert_close(ours, torchs(PREDICTION, TARGET, reduction=reduction), rtol=0, atol=0)


def test_several_quantiles_are_each_scikit_learns():
    quantiles = [0.1, 0.5, 0.9]
    t, p = TARGET.reshape(-1, 1), PREDICTION.reshape(-1, 1)
    stacked = torch.stack([p, p + 1, p - 1], dim=1)
    ours = LOSSES.create("quantile", quantile=quantiles)(stacked, t).item()
    theirs = [mean_pinball_loss(t, stacked[:, i], alpha=q) for i, q in enumerate(quantiles)]
    assert ours == pytest.approx(sum(theirs) / 3)
    for wrong in ([], [0.5, 0.1], [0.1, 0.1], [0.1, 1.0]):
        with pytest.raises(InputError, match="quantile"):
            LOSSES.create("quantile", quantile=wrong)
    with pytest.raises(InputError, match="each of 3 quantiles has shape"):
        LOSSES.create("quantile", quantile=quantiles)(p, t)


def test_percentage_error_and_quantile_equal_scikit_learns():
    p, t = PREDICTION.numpy(), TARGET.numpy()
    assert LOSSES.create("mape")(PREDICTION, TARGET).item() == pytest.approx(mean_absolute_percentage_error(t, p))
    for quantile in (0.1, 0.5, 0.9):
        ours = LOSSES.create("quantile", quantile=quantile)(PREDICTION, TARGET).item()
        assert ours == pytest.approx(mean_pinball_loss(t, p, alpha=quantile))


@pytest.mark.parametrize("error", [0.0, 1e-9, 1e-4, 0.3, 0.999, 1.0, 1.001, 20.0, 700.0])
def test_log_cosh_and_pseudo_huber_by_numpys_long_double(error):
    wide = np.longdouble(error)
    log_cosh = np.log1p(2 * np.sinh(wide / 2) ** 2)
    a = wide / 2
    pseudo_huber = 4 * (a**2 / (1 + np.sqrt(1 + a**2)))
    p, t = torch.tensor([error], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert LOSSES.create("log_cosh")(p, t).item() == pytest.approx(float(log_cosh), rel=1e-13)
    assert LOSSES.create("pseudo_huber", delta=2.0)(p, t).item() == pytest.approx(float(pseudo_huber), rel=1e-13)


def test_derivatives_of_the_smooth_ones_are_exact_even_for_tiny_and_huge_errors():
    e = torch.tensor([-1e4, -1.0, -1e-7, 0.0, 1e-3, 1.0, 1e4], requires_grad=True)
    LOSSES.create("log_cosh", reduction="sum")(e, torch.zeros(7)).backward()
    torch.testing.assert_close(e.grad, torch.tanh(e.detach()))
    e.grad = None
    LOSSES.create("pseudo_huber", delta=0.5, reduction="sum")(e, torch.zeros(7)).backward()
    torch.testing.assert_close(e.grad, e.detach() / torch.sqrt(1 + (e.detach() / 0.5) ** 2))


def test_known_values():
    ones = torch.tensor([1e4, -1e4])
    assert LOSSES.create("log_cosh")(ones, torch.zeros(2)).item() == pytest.approx(1e4 - math.log(2), rel=1e-6)
    # δ(|e| − ½δ) = 2(5 − 1)
    assert LOSSES.create("huber", delta=2.0)(torch.tensor([5.0]), torch.tensor([0.0])).item() == 8
    assert LOSSES.create("mape")(torch.tensor([1.0]), torch.tensor([0.0])).item() == pytest.approx(1e6)


def test_types_are_widened_not_narrowed():
    loss = LOSSES.create("log_cosh")
    assert loss(torch.zeros(2), torch.ones(2, dtype=torch.float64)).dtype == torch.float64
    assert loss(torch.zeros(2, dtype=torch.bfloat16), torch.ones(2)).dtype == torch.float32
    assert loss(torch.zeros(2), torch.ones(2, dtype=torch.long)).dtype == torch.float32


def test_the_message_for_column_and_vector_names_shapes_and_cure():
    with pytest.raises(InputError, match=r"\(4, 1\).*\(4,\).*target\.reshape\(\(4, 1\)\)"):
        LOSSES.create("mse")(torch.zeros(4, 1), torch.zeros(4))


@pytest.mark.parametrize(
    ("name", "options"),
    [("huber", {"delta": 0}), ("pseudo_huber", {"delta": -1}), ("quantile", {"quantile": 1}), ("mape", {"epsilon": 0})],
)
def test_impossible_options_are_refused(name, options):
    with pytest.raises(InputError, match=next(iter(options))):
        LOSSES.create(name, **options)
