import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from osler.errors import InputError
from osler.nn.auxiliary import WithAuxiliary
from osler.nn.losses import LOSSES
from osler.objectives.classification import Classification
from osler.objectives.regression import Regression
from osler.objectives.supervised import Supervised
from osler.records import Batch

OUTPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 1, 2, 2, 1, 0])
WEIGHTS = torch.tensor([0.0, 1.0, 2.0, 0.5, 1.5, 1.0])
IDENTITY = nn.Identity()


def loss(objective: Supervised, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> float:
    return objective.evaluate(IDENTITY, Batch(outputs, targets, weights)).loss.item()


def test_any_criterion_of_torch_will_do() -> None:
    assert loss(Supervised(nn.CrossEntropyLoss()), OUTPUTS, CLASSES) == F.cross_entropy(OUTPUTS, CLASSES).item()
    shape = torch.randn(6, 3)
    assert loss(Supervised(nn.L1Loss()), OUTPUTS, shape) == F.l1_loss(OUTPUTS, shape).item()
    assert Supervised(nn.L1Loss()).metrics() == {}


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss(), LOSSES.create("sparse_categorical_cross_entropy")])
def test_sample_weights_multiply_the_losses(criterion: nn.Module) -> None:
    single = F.cross_entropy(OUTPUTS, CLASSES, reduction="none")
    objective = Supervised(criterion)
    assert loss(objective, OUTPUTS, CLASSES, WEIGHTS) == pytest.approx((single * WEIGHTS).mean().item(), rel=1e-6)
    assert loss(objective, OUTPUTS, CLASSES, torch.ones(6)) == pytest.approx(single.mean().item(), rel=1e-6)
    assert loss(objective, OUTPUTS, CLASSES, torch.zeros(6)) == 0.0


def test_a_weight_of_two_is_a_sample_twice() -> None:
    twice = torch.tensor([0, 1, 1, 2, 4, 4])
    weights = torch.tensor([1.0, 2.0, 1.0, 0.0, 2.0, 0.0])  # of mean 1
    objective = Supervised(nn.CrossEntropyLoss())
    expected = loss(objective, OUTPUTS[twice], CLASSES[twice])
    assert loss(objective, OUTPUTS, CLASSES, weights) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "criterion",
    [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)],
)
def test_the_loss_of_each_sample(criterion: nn.CrossEntropyLoss) -> None:
    before = copy.deepcopy(criterion)
    losses = Supervised(criterion).losses(OUTPUTS, CLASSES)
    options = {"weight": criterion.weight, "label_smoothing": criterion.label_smoothing}
    torch.testing.assert_close(losses, F.cross_entropy(OUTPUTS, CLASSES, reduction="none", **options))
    assert criterion.reduction == before.reduction == "mean"


def test_the_loss_of_each_sample_is_the_mean_over_its_numbers() -> None:
    targets = torch.randn(6, 3)
    torch.testing.assert_close(
        Supervised(nn.MSELoss()).losses(OUTPUTS, targets), (OUTPUTS - targets).square().mean(dim=1)
    )


def test_a_criterion_without_reductions_is_asked_for_each_sample() -> None:
    class Own(nn.Module):
        def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return (outputs - targets).abs().amax()

    targets = torch.randn(6, 3)
    expected = (OUTPUTS - targets).abs().amax(dim=1)
    torch.testing.assert_close(Supervised(Own()).losses(OUTPUTS, targets), expected)
    weighted = loss(Supervised(Own()), OUTPUTS, targets, WEIGHTS)
    assert weighted == pytest.approx((expected * WEIGHTS).mean().item(), rel=1e-6)


def test_what_the_criterion_holds_follows_the_outputs() -> None:
    criterion = nn.CrossEntropyLoss(weight=torch.ones(3))
    objective = Supervised(criterion)
    objective.evaluate(IDENTITY, Batch(OUTPUTS.to("meta"), CLASSES.to("meta")))
    assert criterion.weight is not None
    assert criterion.weight.device.type == "meta"


@pytest.mark.parametrize("metric", ["confusion_matrix", "bleu", "perplexity", "cer"])
def test_what_is_no_number_cannot_be_followed(metric: str) -> None:
    with pytest.raises(InputError, match=metric):
        Classification.multiclass(3, metrics=[metric])


def test_unknown_metrics_are_named_before_training() -> None:
    with pytest.raises(InputError, match="did you mean 'accuracy'"):
        Regression.of(1, metrics=["acuracy"])


def test_targets_have_to_be_there() -> None:
    with pytest.raises(InputError, match="no targets"):
        Supervised(nn.MSELoss()).check(IDENTITY, Batch(OUTPUTS))
    Supervised(nn.MSELoss()).check(IDENTITY, Batch(OUTPUTS, OUTPUTS))


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_a_loss_is_a_mean(reduction: str) -> None:
    with pytest.raises(InputError, match=f"reduction '{reduction}'"):
        Supervised(nn.MSELoss(reduction=reduction))


class TwoHeads(nn.Module):
    """Gives its inputs as logits, and while training half and twice of them too."""

    def forward(self, x: Tensor) -> Tensor | WithAuxiliary:
        return WithAuxiliary(x, (0.5 * x, 2 * x), 0.3) if self.training else x


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_auxiliary_heads_count_as_much_as_their_network_says(weights: Tensor | None) -> None:
    objective, model = Supervised(nn.CrossEntropyLoss()), TwoHeads()
    batch = Batch(OUTPUTS, CLASSES, weights)
    main, half, twice = (loss(objective, factor * OUTPUTS, CLASSES, weights) for factor in (1, 0.5, 2))
    outcome = objective.learn(model, batch)
    assert outcome.loss.item() == pytest.approx(main + 0.3 * (half + twice), rel=1e-6)
    assert torch.equal(outcome.outputs, OUTPUTS)
    assert objective.evaluate(model.eval(), batch).loss.item() == pytest.approx(main, rel=1e-6)
