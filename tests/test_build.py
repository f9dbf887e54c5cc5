"""Recipes become the objects they name."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from osler.build import balanced, build_objective, build_optimizer, with_known_names
from osler.data.columns import Number
from osler.data.preprocess import Preprocess
from osler.data.table import TableEncoder
from osler.data.targets import TargetEncoder
from osler.errors import InputError
from osler.recipe import Recipe
from osler.records import Task


def preprocess(task: Task) -> Preprocess:
    return Preprocess("table", TableEncoder([Number("x", 0.0, 0.0, 1.0, False, False)], []), TargetEncoder(task))


def test_aliases_become_names() -> None:
    recipe = with_known_names(
        Recipe.build({"model": "dense", "loss": "cross-entropy", "optimizer": "Adam", "init": "glorot"})
    )
    assert recipe.model is not None
    assert recipe.loss is not None
    assert recipe.optimizer is not None
    assert recipe.initialization is not None
    assert recipe.model.name == "mlp"
    assert recipe.loss.name == "sparse_categorical_cross_entropy"
    assert recipe.optimizer.name == "adam"
    assert recipe.initialization.name.startswith("xavier")


def test_balanced_weights_equal_scikit_learns() -> None:
    targets = np.repeat([0, 1, 2], [50, 30, 5])
    ours = balanced(("a", "b", "c"), np.bincount(targets))
    np.testing.assert_allclose(list(ours.values()), compute_class_weight("balanced", classes=np.arange(3), y=targets))


def test_class_weights_reach_the_loss_in_class_order() -> None:
    task = Task("multiclass", 3, ("y",), ("a", "b", "c"))
    recipe = Recipe.build({"loss": "cross_entropy", "class_weights": {"c": 3, "a": 1, "b": 2}, "label_smoothing": 0.1})
    objective = build_objective(with_known_names(recipe), preprocess(task))
    logits, targets = torch.randn(8, 3), torch.arange(8) % 3
    oracle = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)
    assert objective.criterion(logits, targets).item() == pytest.approx(oracle(logits, targets).item(), rel=1e-6)
    with pytest.raises(InputError, match="no weight for 'c'"):
        build_objective(Recipe.build({"loss": "cross_entropy", "class_weights": {"a": 1, "b": 2}}), preprocess(task))
    with pytest.raises(InputError, match="unknown class in class_weights"):
        build_objective(Recipe.build({"loss": "cross_entropy", "class_weights": {"d": 1}}), preprocess(task))


@pytest.mark.parametrize("loss", ["hinge", "focal", "cross_entropy", "bce", "cce", "perceptron"])
def test_losses_of_classes_are_refused_for_numbers(loss: str) -> None:
    with pytest.raises(InputError, match="compares classes, but 'price' is a number"):
        build_objective(with_known_names(Recipe.build({"loss": loss})), preprocess(Task("regression", 1, ("price",))))


def test_weight_decay_spares_biases() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
    optimizer = build_optimizer(Recipe.build({"optimizer": {"name": "adamw", "lr": 0.1, "weight_decay": 0.5}}), model)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        "0.weight": 0.5, "0.bias": 0, "1.weight": 0, "1.bias": 0, "2.weight": 0.5, "2.bias": 0,
    }  # fmt: skip
