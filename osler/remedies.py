"""From a finding to changes of a recipe, the likeliest to help first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osler.errors import InputError
from osler.recipe import Named, Recipe
from osler.records import Finding

# What belongs to the data, to the task, or to the machine, and is nobody's fault.
SETTLED = (
    *("source", "target", "task", "group", "time", "weight", "drop", "image_size", "weights", "seed", "metrics"),
    *("goal", "tensorboard", "engine", "checkpoints", "threads", "device", "on_nonfinite"),
)
# The settings that an ailment is likeliest to come from, the first suspect first; of the others any may be at fault.
SIZE = ("optimizer.lr", "optimizer.name", "schedule", "batch_size", "clip_norm", "clip_value")
STRICT = ("penalty", "optimizer.weight_decay", "model.dropout", "max_norm", "label_smoothing")
WIDTH = ("model.hidden", "model.width", "model.depth")
SUSPECTS = {
    "learning-rate-high": ("optimizer.lr",),
    "loss-diverges": ("optimizer.lr", "initialization", "scale"),
    "nonfinite": ("optimizer.lr", "initialization", "scale"),
    "learning-rate-low": ("optimizer.lr", "clip_norm", "clip_value"),
    "init-scale": ("initialization",),
    "symmetric-init": ("initialization",),
    "constant-init": ("initialization",),
    "dying-relu": ("optimizer.lr", "initialization", "model.activation"),
    "saturation": ("initialization", "scale", "model.activation"),
    "vanishing-gradient": ("model.activation", "initialization", "model.hidden"),
    "exploding-gradient": ("initialization", "optimizer.lr", "clip_norm"),
    "missing-nonlinearity": ("model.activation",),
    "excessive-dropout": ("model.dropout",),
    "regularization-dominates": STRICT,
    "unscaled-input": ("scale",),
    "unscaled-target": ("scale",),
    "too-few-epochs": ("epochs", *SIZE),
    "overfitting": ("patience", "model.dropout", "optimizer.weight_decay", "epochs"),
    "loss-task-mismatch": ("loss",),
    "underfitting": (*WIDTH, *STRICT, *SIZE, "epochs", "model.activation", "initialization"),
    "constant-output": ("initialization", *SIZE, *STRICT, *WIDTH, "model.activation"),
    "loss-plateau": (*SIZE, "initialization", *STRICT, *WIDTH, "model.activation"),
}
WIDER, LONGER = 4, 3
LEAVE_ALL = "leave all that was asked for to the advice"


def remedies(finding: Finding, recipe: Recipe) -> Iterator[tuple[str, dict[str, Any], Recipe]]:
    """(in words, the settings that change, the new recipe) for everything that may cure it.

    First what the doctor prescribes; then each suspicious setting that was asked for, left to the advice instead, all
    of them at once, and each other one; then what only makes the network, or its training, larger. `recipe`: as the
    user gave it, before any advice.
    """
    for cure in finding.cures:
        if cure.settings:
            yield from _changed(cure.title, dict(cure.settings), recipe)
    given = asked_for(recipe)
    suspects = [path for path in SUSPECTS.get(finding.ailment, ()) if _given(path, given)]
    for path in suspects:
        yield f"leave {path} to the advice", {path: None}, without(recipe, path)
    if len(given) > 1:
        yield LEAVE_ALL, dict.fromkeys(given), without_all(recipe, given)
    for path in given:
        if path not in suspects:
            yield f"leave {path} to the advice", {path: None}, without(recipe, path)
    if finding.ailment in ("underfitting", "too-few-epochs", "loss-plateau"):
        if isinstance(recipe.epochs, int):
            yield from _changed("train longer", {"epochs": LONGER * recipe.epochs}, recipe)
        hidden = recipe.model.options.get("hidden") if recipe.model else None
        if isinstance(hidden, list) and hidden:
            yield from _changed("a wider network", {"model.hidden": [WIDER * width for width in hidden]}, recipe)


def _changed(title: str, settings: dict[str, Any], recipe: Recipe) -> Iterator[tuple[str, dict[str, Any], Recipe]]:
    try:
        new = Recipe.build(settings, recipe)
    except InputError:  # this recipe has no such setting
        return
    if new != recipe:
        yield title, settings, new


def asked_for(recipe: Recipe) -> list[str]:
    """What the user has set and might be at fault, as dotted names."""
    found = []
    for field in type(recipe).model_fields:
        value = getattr(recipe, field)
        if value is None or field in SETTLED:
            continue
        if isinstance(value, Named):
            found += [f"{field}.{option}" for option in value.options]
            found += [f"{field}.name"] if value.name and field != "model" else []
        else:
            found.append(field)
    return found


def _given(path: str, given: list[str]) -> bool:
    """Whether a setting was asked for; of a whole field ("penalty") whether anything of it was."""
    return path in given or any(one.startswith(f"{path}.") for one in given)


def without_all(recipe: Recipe, paths: list[str]) -> Recipe:
    """The recipe with several settings left open."""
    for path in paths:
        recipe = without(recipe, path)
    return recipe


def without(recipe: Recipe, path: str) -> Recipe:
    """The recipe with one setting left open."""
    field, _, option = path.partition(".")
    named = getattr(recipe, field)
    if not option or not isinstance(named, Named) or (option == "name" and not named.options):
        return recipe.model_copy(update={field: None})
    kept = {key: value for key, value in named.model_dump().items() if key != option and value != ""}
    return recipe.model_copy(update={field: Named.model_validate(kept) if kept else None})
