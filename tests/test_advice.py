"""What is chosen when nothing was said: the curriculum's table, with a reason for everything."""

from dataclasses import replace

import numpy as np
import pytest

from osler.advice import Facts, advise, outlying
from osler.recipe import Recipe
from osler.records import Task

TASKS = {
    "binary": Task("binary", 1, ("y",), ("no", "yes")),
    "multiclass": Task("multiclass", 3, ("y",), ("a", "b", "c")),
    "multilabel": Task("multilabel", 4, ("p", "q", "r", "s"), ("p", "q", "r", "s")),
    "regression": Task("regression", 1, ("y",)),
}


def facts(task: str = "binary", **others: object) -> Facts:
    return Facts(
        **{"task": replace(TASKS[task], why="as seen"), "kind": "table", "rows": 1000, "shape": (20,), **others}
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("binary", "binary_cross_entropy"),
        ("multiclass", "sparse_categorical_cross_entropy"),
        ("multilabel", "binary_cross_entropy"),
        ("regression", "mse"),
    ],
)
def test_loss_fits_the_task(kind: str, loss: str) -> None:
    recipe, _ = advise(Recipe(), facts(kind))
    assert recipe.loss is not None
    assert recipe.loss.name == loss


def test_far_out_targets_ask_for_huber() -> None:
    targets = np.random.default_rng(0).normal(size=(1000, 1))
    assert outlying(targets) == 0
    targets[:20] += 50
    assert outlying(targets) == 0.02
    recipe, _ = advise(Recipe(), facts("regression", outlying=outlying(targets)))
    assert recipe.loss is not None
    assert recipe.loss.name == "huber"


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("source", ["table", "images"])
@pytest.mark.parametrize("rows", [20, 1000, 100_000])
def test_every_choice_has_a_reason_and_no_field_is_left_open(kind: str, source: str, rows: int) -> None:
    shape = (3, 32, 32) if source == "images" else (20,)
    recipe, choices = advise(Recipe(), facts(kind, kind=source, rows=rows, shape=shape))
    assert all(choice.what and choice.chosen and choice.why for choice in choices)
    needed = ("model", "initialization", "scale", "loss", "metrics", "batch_size", "epochs", "optimizer", "schedule")
    assert all(getattr(recipe, field) is not None for field in (*needed, "clip_norm", "patience", "threads", "device"))
    assert recipe.model is not None
    assert recipe.model.name == ("convnet" if source == "images" else "mlp")
    # Advice upon advice changes nothing: a run's recipe is complete.
    assert advise(recipe, facts(kind, kind=source, rows=7, shape=shape))[0] == recipe


def test_what_the_user_said_stays() -> None:
    asked = Recipe.build({"model": "linear", "lr": 0.5, "epochs": 3, "batch_size": "all", "loss": "hinge"})
    recipe, choices = advise(asked, facts())
    assert recipe.optimizer is not None
    assert (recipe.optimizer.name, recipe.optimizer.options["lr"]) == ("adamw", 0.5)
    assert (recipe.epochs, recipe.batch_size) == (3, "all")
    reasons = {choice.what: choice.why for choice in choices}
    assert reasons["epochs"] == reasons["loss"] == "asked for"
    assert reasons["batch size"] == "batch gradient descent: asked for"
    assert reasons["optimizer"].endswith("lr asked for")


def test_pictures_too_small_for_convolutions_get_an_mlp() -> None:
    recipe, _ = advise(Recipe(), facts("multiclass", kind="images", shape=(1, 5, 5)))
    assert recipe.model is not None
    assert recipe.model.name == "mlp"
    assert recipe.augment == []


def test_perceptron_learns_by_rosenblatts_rule() -> None:
    recipe, _ = advise(Recipe.build({"model": "perceptron"}), facts())
    assert recipe.loss is not None
    assert recipe.optimizer is not None
    assert recipe.loss.name == "perceptron"
    assert (recipe.optimizer.name, recipe.optimizer.options["lr"], recipe.batch_size) == ("sgd", 1.0, 1)


def test_own_network_is_left_alone() -> None:
    recipe, choices = advise(Recipe(), facts(own_model=True, kind="arrays"))
    assert recipe.model is None
    assert recipe.initialization is None
    assert recipe.scale is False
    assert choices[1].chosen == "your own network"


def test_series_are_continued_by_lines_each_window_in_units_of_its_own() -> None:
    task = Task("forecasting", 12, ("sales",), why="as seen")
    recipe, choices = advise(Recipe(), Facts(task=task, kind="series", rows=60, shape=(24, 3), season=12))
    assert all(choice.what and choice.chosen and choice.why for choice in choices)
    assert (recipe.model.name, recipe.model.options) == ("dlinear", {"window": 13})  # a season, and odd
    assert (recipe.instance, recipe.loss.name, recipe.clip_norm) == ("revin", "mse", 0)
    assert recipe.class_weights is None
    recurrent, _ = advise(
        Recipe.build({"model": "lstm"}), Facts(task=task, kind="series", rows=60, shape=(24, 3), season=12)
    )
    assert recurrent.clip_norm == 1


def test_classes_of_series_are_for_convolutions_over_time() -> None:
    recipe, _ = advise(Recipe(), facts("multiclass", kind="arrays", shape=(150, 3), rows=50))
    assert recipe.model.name == "fcn"
    recipe, _ = advise(Recipe(), facts("multiclass", kind="arrays", shape=(20,), rows=50))
    assert recipe.model.name == "mlp"


def test_words_are_counted_and_other_tokens_read_in_order() -> None:
    recipe, choices = advise(Recipe(), facts(kind="text", tokens="words", rows=7000, shape=(54,)))
    assert recipe.model is not None
    assert recipe.model.name == "bag_of_embeddings"
    assert (recipe.label_smoothing, recipe.clip_norm, recipe.epochs, recipe.length) == (0.1, 0, 5, 54)
    assert recipe.scale is None  # token ids have no scale
    assert {"tokens", "length"} <= {choice.what for choice in choices}
    recipe, _ = advise(Recipe(), facts("regression", kind="text", tokens="characters", shape=(54,)))
    assert recipe.model is not None
    assert (recipe.model.name, recipe.clip_norm, recipe.scale) == ("gru", 1, True)
    assert recipe.label_smoothing is None
    recipe, _ = advise(Recipe.build({"tokens.size": 500}), facts(kind="text", tokens="words", shape=(9,)))
    assert str(recipe.tokens) == "words(size=500)"


def test_recordings_are_classified_as_pictures_and_transcribed_by_recurrence() -> None:
    recipe, choices = advise(Recipe(), facts("multiclass", kind="audio", shape=(1, 40, 85)))
    assert recipe.model is not None
    assert recipe.model.name == "convnet"
    assert [named.name for named in recipe.augment or ()] == ["spec_augment"]
    assert recipe.clip_norm == 0
    text = Task("transcription", 4, ("text",), ("", "a", "b", "\ufffd"), "as seen")
    recipe, choices = advise(Recipe(), Facts(text, "audio", 1000, (1, 40, 300)))
    assert recipe.model is not None
    assert recipe.model.name == "conv_recurrent"
    assert recipe.loss is not None
    assert recipe.loss.name == "ctc"
    assert recipe.metrics == ["word_error_rate", "character_error_rate"]
    assert recipe.clip_norm == 1
    assert all(choice.what and choice.chosen and choice.why for choice in choices)
