"""Losses against torch's, metrics against scikit-learn's."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.losses import LOSSES
from osler.objectives.classification import Classification
from osler.records import Batch, Task

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(40, 3, generator=GENERATOR)
CLASSES = torch.randint(3, (40,), generator=GENERATOR)
LABELS = torch.randint(2, (40, 3), generator=GENERATOR)
ONE, ZEROS_AND_ONES = LOGITS[:, :1], LABELS[:, :1]
IDENTITY = nn.Identity()


def loss(objective: Classification, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> float:
    return objective.evaluate(IDENTITY, Batch(outputs, targets, weights)).loss.item()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
def test_multiclass_equals_torch(smoothing: float, weights: list[float] | None) -> None:
    tensor = None if weights is None else torch.tensor(weights)
    expected = F.cross_entropy(LOGITS, CLASSES, weight=tensor, label_smoothing=smoothing).item()
    options = {"class_weights": weights, "label_smoothing": smoothing}
    for name in ("sparse_categorical_cross_entropy", "categorical_cross_entropy"):
        objective = Classification.multiclass(3, LOSSES.create(name, **options))
        assert loss(objective, LOGITS, CLASSES) == pytest.approx(expected, rel=1e-6)
    torchs = Classification.multiclass(3, nn.CrossEntropyLoss(weight=tensor, label_smoothing=smoothing))
    assert loss(torchs, LOGITS, CLASSES) == expected


def test_binary_equals_torch() -> None:
    targets = ZEROS_AND_ONES.float()
    expected = F.binary_cross_entropy_with_logits(ONE, targets).item()
    for criterion in (None, nn.BCEWithLogitsLoss()):
        objective = Classification.binary(criterion)
        # However the zeros and ones come: as a column or not, as whole numbers or not.
        for given in (targets, targets[:, 0], ZEROS_AND_ONES, ZEROS_AND_ONES[:, 0], ZEROS_AND_ONES.bool()):
            assert loss(objective, ONE, given) == pytest.approx(expected, rel=1e-6)
    weighted = Classification.binary(LOSSES.create("bce", class_weights=[1.0, 3.0], label_smoothing=0.1))
    each = F.binary_cross_entropy_with_logits(ONE, targets * 0.8 + 0.1, reduction="none")
    count = torch.where(targets == 1, 3.0, 1.0)
    assert loss(weighted, ONE, targets) == pytest.approx(((each * count).sum() / count.sum()).item(), rel=1e-6)


def test_multilabel_equals_torch() -> None:
    expected = F.binary_cross_entropy_with_logits(LOGITS, LABELS.float())
    assert loss(Classification.multilabel(3), LOGITS, LABELS) == pytest.approx(expected.item(), rel=1e-6)


def test_sample_weights() -> None:
    weights = torch.rand(40, generator=torch.Generator().manual_seed(3))
    each = F.cross_entropy(LOGITS, CLASSES, reduction="none")
    objective = Classification.multiclass(3)
    assert loss(objective, LOGITS, CLASSES, weights) == pytest.approx((each * weights).mean().item(), rel=1e-6)
    torch.testing.assert_close(objective.losses(LOGITS, CLASSES), each)
    each = F.binary_cross_entropy_with_logits(LOGITS, LABELS.float(), reduction="none").mean(1)
    torch.testing.assert_close(Classification.multilabel(3).losses(LOGITS, LABELS), each)
    expected = (each * weights).mean().item()
    assert loss(Classification.multilabel(3), LOGITS, LABELS, weights) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["mse", "hinge", "focal", "perceptron", "exponential", "squared_hinge"])
def test_every_loss_of_classes_can_be_learned_from(name: str) -> None:
    logits = LOGITS.clone().requires_grad_()
    outcome = Classification.multiclass(3, LOSSES.create(name)).evaluate(IDENTITY, Batch(logits, CLASSES))
    outcome.loss.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    if name == "mse":
        assert outcome.loss.item() == pytest.approx(F.mse_loss(LOGITS, F.one_hot(CLASSES).float()).item(), rel=1e-6)


def measured(objective: Classification, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    metrics = objective.metrics()
    for metric in metrics.values():
        metric.update(*objective.measured(outputs, Batch(outputs, targets)))
    return {name: float(metric.compute()) for name, metric in metrics.items()}


def test_metrics_equal_scikit_learns() -> None:
    many = measured(Classification.multiclass(3, metrics=["accuracy", "f1", "roc_auc"]), LOGITS, CLASSES)
    assert many["accuracy"] == pytest.approx(accuracy_score(CLASSES, LOGITS.argmax(1)))
    assert many["f1"] == pytest.approx(f1_score(CLASSES, LOGITS.argmax(1), average="macro"))
    assert many["roc_auc"] == pytest.approx(roc_auc_score(CLASSES, LOGITS.softmax(1), multi_class="ovr"), abs=2e-3)
    for targets in (ZEROS_AND_ONES.float(), ZEROS_AND_ONES[:, 0]):
        two = measured(Classification.binary(metrics=["accuracy", "f1", "roc_auc"]), ONE, targets)
        assert two["accuracy"] == pytest.approx(accuracy_score(ZEROS_AND_ONES, ONE > 0))
        assert two["f1"] == pytest.approx(f1_score(ZEROS_AND_ONES, ONE > 0))
        assert two["roc_auc"] == pytest.approx(roc_auc_score(ZEROS_AND_ONES, ONE), abs=2e-3)
    several = measured(Classification.multilabel(3, metrics=["accuracy", "f1"]), LOGITS, LABELS.float())
    assert several["f1"] == pytest.approx(f1_score(LABELS, LOGITS > 0, average="macro"))
    assert several["accuracy"] == pytest.approx(((LOGITS > 0) == LABELS.bool()).float().mean().item())


def test_predictions_and_probabilities() -> None:
    many, two, several = Classification.multiclass(3), Classification.binary(), Classification.multilabel(3)
    assert torch.equal(many.predictions(LOGITS), LOGITS.argmax(1))
    torch.testing.assert_close(many.probabilities(LOGITS), LOGITS.softmax(1))
    assert torch.equal(two.predictions(ONE), (ONE[:, 0].sigmoid() > 0.5).long())
    torch.testing.assert_close(two.probabilities(ONE), ONE.sigmoid())
    assert torch.equal(several.predictions(LOGITS), (LOGITS.sigmoid() > 0.5).long())


@pytest.mark.parametrize("criterion", [nn.BCELoss(), LOSSES.create("bce", from_logits=False)])
def test_a_network_that_ends_in_a_sigmoid_gives_probabilities(criterion: nn.Module) -> None:
    objective, outputs = Classification.binary(criterion, ["accuracy"]), ONE.sigmoid()
    assert torch.equal(objective.probabilities(outputs), outputs)
    assert torch.equal(objective.predictions(outputs), (outputs[:, 0] > 0.5).long())
    result = measured(objective, outputs, ZEROS_AND_ONES)
    assert result["accuracy"] == pytest.approx(accuracy_score(ZEROS_AND_ONES, outputs > 0.5))
    assert loss(objective, outputs, ZEROS_AND_ONES) == pytest.approx(
        F.binary_cross_entropy_with_logits(ONE, ZEROS_AND_ONES.float()).item(), rel=1e-5
    )


def test_a_network_that_ends_in_a_softmax() -> None:
    probabilities = LOGITS.softmax(1)
    ours = Classification.multiclass(3, LOSSES.create("cross_entropy", from_logits=False))
    torch.testing.assert_close(ours.probabilities(probabilities), probabilities)
    torchs = Classification.multiclass(3, nn.NLLLoss())
    torch.testing.assert_close(torchs.probabilities(LOGITS.log_softmax(1)), probabilities)
    expected = F.cross_entropy(LOGITS, CLASSES).item()
    assert loss(ours, probabilities, CLASSES) == pytest.approx(expected, rel=1e-5)
    assert loss(torchs, LOGITS.log_softmax(1), CLASSES) == pytest.approx(expected, rel=1e-6)


def test_the_ways_to_make_one() -> None:
    assert Classification.binary().task == Task("binary", 1, ("target",), ("0", "1"))
    assert Classification.multiclass(["cat", "dog"]).task == Task("multiclass", 2, ("target",), ("cat", "dog"))
    assert Classification.multilabel(2).task == Task("multilabel", 2, ("target",), ("0", "1"))
    assert Classification.multiclass(2).metric_names == ("accuracy", "f1")
    assert Classification.multiclass(2, metrics=[]).metrics() == {}
    for make in (Classification.multiclass, Classification.multilabel):
        with pytest.raises(InputError, match="at least two"):
            make(1)


@pytest.mark.parametrize(
    ("objective", "outputs", "targets", "rule"),
    [
        (Classification.binary(), LOGITS, ZEROS_AND_ONES, r"gives \(40, 3\).*needs \(40, 1\): one logit per sample"),
        (Classification.binary(), ONE[:, 0], ZEROS_AND_ONES, r"gives \(40,\)"),
        (Classification.multiclass(4), LOGITS, CLASSES, r"needs \(40, 4\): one logit for each of the 4 classes"),
        (Classification.multilabel(2), LOGITS, LABELS, r"each of the 2 labels"),
        (Classification.multiclass(3), (LOGITS, LOGITS), CLASSES, "gives tuple"),
        (Classification.multiclass(3), LOGITS, CLASSES[:, None], r"shape \(40, 1\).*class indices"),
        (Classification.multiclass(3), LOGITS, CLASSES.float(), r"torch.float32.*class indices"),
        (Classification.multiclass(3), LOGITS, F.one_hot(CLASSES), r"class indices, whole numbers of shape \(40,\)"),
        (Classification.binary(), ONE, LABELS, r"\(40, 3\) don't fit outputs of shape \(40, 1\)"),
        (Classification.multilabel(3), LOGITS, CLASSES, r"\(40,\) don't fit outputs of shape \(40, 3\)"),
        (Classification.binary(), ONE, None, "no targets"),
    ],
)
def test_what_does_not_fit_is_named_before_training(
    objective: Classification, outputs: Tensor, targets: Tensor | None, rule: str
) -> None:
    class Gives(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return outputs

    with pytest.raises(InputError, match=rule):
        objective.check(Gives(), Batch(LOGITS, targets))


def test_what_fits_passes() -> None:
    Classification.binary().check(IDENTITY, Batch(ONE, ZEROS_AND_ONES[:, 0]))
    Classification.multiclass(3).check(IDENTITY, Batch(LOGITS, CLASSES))
    Classification.multilabel(3).check(IDENTITY, Batch(LOGITS, LABELS))
