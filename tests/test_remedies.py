"""From findings to recipes that may cure them."""

from osler.recipe import Recipe
from osler.records import Cure, Finding
from osler.remedies import asked_for, remedies, without


def found(ailment: str, *cures: Cure) -> Finding:
    return Finding(ailment, "critical", "It is sick.", cures=cures)


def test_asked_for_is_what_might_be_at_fault() -> None:
    recipe = Recipe.build({"source": "x.csv", "seed": 3, "model": "mlp", "lr": 0.1, "optimizer": "sgd", "epochs": 3})
    assert asked_for(recipe) == ["optimizer.lr", "optimizer.name", "epochs"]


def test_without_leaves_one_setting_open() -> None:
    recipe = Recipe.build({"optimizer": "sgd", "lr": 0.1, "momentum": 0.9})
    assert without(recipe, "optimizer.lr") == Recipe.build({"optimizer": "sgd", "momentum": 0.9})
    assert without(recipe, "optimizer.name") == Recipe.build({"lr": 0.1, "momentum": 0.9})
    assert without(Recipe.build({"lr": 0.1}), "optimizer.lr") == Recipe()
    assert without(Recipe.build({"epochs": 3}), "epochs") == Recipe()


def test_a_whole_field_may_be_at_fault() -> None:
    recipe = Recipe.build({"penalty": {"name": "l1", "strength": 1.0}, "epochs": 3})
    title, settings, changed = next(remedies(found("regularization-dominates"), recipe))
    assert (title, settings) == ("leave penalty to the advice", {"penalty": None})
    assert changed == Recipe.build({"epochs": 3})


def test_what_the_doctor_prescribes_comes_first() -> None:
    recipe = Recipe.build({"epochs": 3, "lr": 5.0})
    cure = Cure("lower the learning rate", settings={"optimizer.lr": 0.5})
    titles = [title for title, _, _ in remedies(found("learning-rate-high", Cure("look"), cure), recipe)]
    alone = ("lower the learning rate", "leave optimizer.lr to the advice", "leave epochs to the advice")
    assert titles == [*alone[:2], "leave all that was asked for to the advice", alone[2]]


def test_all_that_was_asked_for_can_be_left_at_once() -> None:
    recipe = Recipe.build(
        {"source": "x", "optimizer": "sgd", "lr": 5.0, "epochs": 3, "model": {"name": "mlp", "hidden": [2]}}
    )
    changed = {title: new for title, _, new in remedies(found("underfitting"), recipe)}
    left = changed["leave all that was asked for to the advice"]
    assert left == Recipe.build({"source": "x", "model": "mlp"})


def test_settings_join_what_the_user_gave() -> None:
    recipe = Recipe.build({"optimizer": "sgd", "lr": 5.0})
    cure = Cure("lower the learning rate", settings={"optimizer.lr": 0.5})
    _, settings, changed = next(remedies(found("learning-rate-high", cure), recipe))
    assert settings == {"optimizer.lr": 0.5}
    assert changed == Recipe.build({"optimizer": "sgd", "lr": 0.5})


def test_a_cure_that_changes_nothing_or_is_unknown_is_none() -> None:
    cures = (Cure("as it is", settings={"lr": 1.0}), Cure("no such thing", settings={"shuffle": True}))
    assert not list(remedies(found("unshuffled-data", *cures), Recipe.build({"source": "x", "lr": 1.0})))[1:]


def test_too_little_may_be_cured_by_more() -> None:
    recipe = Recipe.build({"model": {"name": "mlp", "hidden": [2]}, "epochs": 2})
    titles = [title for title, _, _ in remedies(found("underfitting"), recipe)]
    assert titles[:2] == ["leave model.hidden to the advice", "leave epochs to the advice"]
    assert titles[2:] == ["leave all that was asked for to the advice", "train longer", "a wider network"]
