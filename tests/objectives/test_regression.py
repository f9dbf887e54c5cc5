import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.losses import LOSSES
from osler.objectives.regression import Regression
from osler.records import Batch, Task

GENERATOR = torch.Generator().manual_seed(0)
OUTPUTS, TARGETS = torch.randn(2, 30, 2, generator=GENERATOR).unbind()
TASK = Task("regression", 2, ("a", "b"))
IDENTITY = nn.Identity()


def loss(objective: Regression, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> float:
    return objective.evaluate(IDENTITY, Batch(outputs, targets, weights)).loss.item()


@pytest.mark.parametrize(
    ("name", "torchs"), [("mse", nn.MSELoss()), ("mae", nn.L1Loss()), ("huber", nn.HuberLoss()), (None, nn.MSELoss())]
)
def test_losses_equal_torchs(name: str | None, torchs: nn.Module) -> None:
    for criterion in (LOSSES.create(name) if name else None, torchs):
        objective = Regression.of(2, criterion)
        assert loss(objective, OUTPUTS, TARGETS) == pytest.approx(torchs(OUTPUTS, TARGETS).item(), rel=1e-6)
        # Doubles come from NumPy all the time.
        assert loss(objective, OUTPUTS, TARGETS.double()) == pytest.approx(torchs(OUTPUTS, TARGETS).item(), rel=1e-6)


def test_sample_weights() -> None:
    weights = torch.rand(30, generator=torch.Generator().manual_seed(1))
    each = F.mse_loss(OUTPUTS, TARGETS, reduction="none").mean(1)
    torch.testing.assert_close(Regression.of(2).losses(OUTPUTS, TARGETS), each)
    expected = (each * weights).mean().item()
    assert loss(Regression.of(2), OUTPUTS, TARGETS, weights) == pytest.approx(expected, rel=1e-6)


def test_one_target_needs_no_column() -> None:
    for criterion in (None, nn.MSELoss()):
        objective = Regression.of(1, criterion)
        expected = F.mse_loss(OUTPUTS[:, 0], TARGETS[:, 0]).item()
        assert loss(objective, OUTPUTS[:, :1], TARGETS[:, 0]) == pytest.approx(expected, rel=1e-6)


def test_metrics_are_in_the_targets_own_units() -> None:
    mean, std = torch.tensor([100.0, -3.0]), torch.tensor([20.0, 0.5])
    objective = Regression(TASK, nn.MSELoss(), ["rmse", "mae", "r2"], mean.tolist(), std.tolist())
    predicted, known = objective.measured(OUTPUTS, Batch(OUTPUTS, TARGETS))
    torch.testing.assert_close(predicted, OUTPUTS * std + mean)
    torch.testing.assert_close(known, TARGETS * std + mean)
    metrics = {}
    for name, metric in objective.metrics().items():
        metric.update(predicted, known)
        metrics[name] = float(metric.compute())
    squared = root_mean_squared_error(known, predicted, multioutput="raw_values") ** 2
    assert metrics["rmse"] == pytest.approx(squared.mean() ** 0.5, rel=1e-5)
    assert metrics["mae"] == pytest.approx(mean_absolute_error(known, predicted), rel=1e-5)
    assert metrics["r2"] == pytest.approx(r2_score(known, predicted), rel=1e-5)


def test_numbers_that_were_never_standardised_stay() -> None:
    objective = Regression.of(["weight", "height"])
    assert objective.task.names == ("weight", "height")
    assert torch.equal(objective.in_units(OUTPUTS), OUTPUTS)
    column = Regression.of(1).measured(OUTPUTS[:, :1], Batch(OUTPUTS, TARGETS[:, 0]))
    assert torch.equal(column[1], TARGETS[:, :1])


@pytest.mark.parametrize(
    ("outputs", "targets", "rule"),
    [
        (OUTPUTS[:, :1], TARGETS, r"gives \(30, 1\) for a batch of 30; it needs \(30, 2\): one number for each target"),
        (OUTPUTS, TARGETS[:, 0], r"targets of shape \(30,\) don't fit outputs of shape \(30, 2\)"),
        (OUTPUTS, TARGETS.T, r"targets of shape \(2, 30\)"),
        (OUTPUTS, None, "no targets"),
    ],
)
def test_what_does_not_fit_is_named_before_training(outputs: Tensor, targets: Tensor | None, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        Regression.of(2).check(IDENTITY, Batch(outputs, targets))
