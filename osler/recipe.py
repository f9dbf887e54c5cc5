"""The recipe: everything that defines a run. Same recipe, seed, machine and threads → same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from osler.errors import InputError, nearest, unknown_name


class Named(BaseModel):
    """Something with a name and its own options: `adam`, or `{name: adam, lr: 0.01}`; without a name it is advised."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _only_a_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """What stands beside the name."""
        return dict(self.model_extra or {})

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({options})" if options else self.name


class Recipe(BaseModel):
    """All fields of a run. A field left empty is chosen from the data, and the choice explained."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    source: str | None = Field(None, description="embedded data set, file or folder")
    target: list[str] | None = Field(None, description="column(s) to predict, by name or position")
    task: str | None = Field(None, description="classification, binary, multiclass, multilabel or regression")
    group: str | None = Field(None, description="column: rows of one group stay on one side of the split")
    time: str | None = Field(None, description="column: later rows are held out")
    weight: str | None = Field(None, description="column: how much each row counts")
    drop: list[str] = Field([], description="columns to leave out")
    image_size: PositiveInt | None = Field(None, description="side to which the pictures of a folder are brought")
    scale: bool | None = Field(None, description="standardise inputs and regression targets")
    seed: int = Field(0, ge=0, description="of splits, weights, order of batches and dropout")

    model: Named | None = Field(None, description="network and its options")
    initialization: Named | None = Field(
        None, description="of the weights; 'default' leaves them as the model made them"
    )
    loss: Named | None = Field(None, description="loss and its options")
    class_weights: Literal["none", "balanced"] | dict[str, float] | None = Field(
        None, description="how much each class counts: none, balanced, or a number for each class"
    )
    label_smoothing: float | None = Field(None, ge=0, lt=1, description="0.1 turns a target of 1 into 0.9")
    metrics: list[str] | None = Field(None, description="what is measured on training and validation data")
    optimizer: Named | None = Field(None, description="optimizer and its options (lr, weight_decay …)")
    schedule: Named | None = Field(None, description="of the learning rate")
    clip_norm: float | None = Field(None, ge=0, description="largest norm of a step's gradient; 0: no clipping")
    augment: list[Named] | None = Field(None, description="changes to training pictures, in this order")
    epochs: PositiveInt | None = Field(None, description="passes over the training data")
    batch_size: PositiveInt | Literal["all"] | None = Field(
        None, description="samples a step: 1 is stochastic, all is batch gradient descent, in between mini-batch"
    )
    patience: int | None = Field(None, ge=0, description="epochs without a better validation loss; 0: never stop early")
    threads: PositiveInt | None = Field(None, description="processor threads")
    device: str | None = Field(None, description="cpu, cuda …")

    @model_validator(mode="before")
    @classmethod
    def _one_target(cls, value: Any) -> Any:
        """`target: a` and `drop: a` stand for lists of one (or of several, with commas)."""
        if not isinstance(value, dict):
            return value
        lists = {key: value[key] for key in ("target", "drop", "metrics", "augment") if value.get(key) is not None}
        for key, given in lists.items():
            if isinstance(given, str | int):
                parts = [part.strip() for part in str(given).split(",") if part.strip() not in ("", "none")]
                value = {**value, key: parts}
        return value

    @classmethod
    def build(cls, settings: dict[str, Any], base: Recipe | None = None) -> Recipe:
        """A recipe from settings by name; dotted names reach options ("optimizer.lr"), short ones (`lr`) stand for it.

        Settings overrule `base`. Raises one InputError that names every wrong field and the nearest right ones.
        """
        fields = {} if base is None else base.to_dict()
        for key, value in settings.items():
            if value is not None:
                _put(fields, SHORT.get(_plain(key), _plain(key)), value)
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InputError("recipe: " + "; ".join(_sentence(e) for e in error.errors())) from None

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """The recipe in a YAML file."""
        try:
            fields = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"no such recipe: {str(path)!r}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not readable ({error})") from None
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
        if not isinstance(fields, dict):
            raise InputError(
                f"{path}: a recipe is a list of fields like 'epochs: 10', but this is {type(fields).__name__}"
            )
        return cls.build({str(key): value for key, value in fields.items()})

    def to_dict(self) -> dict[str, Any]:
        """Only the fields that are set, plain values."""
        fields = self.model_dump(exclude_none=True)
        return {key: value for key, value in fields.items() if value != [] or key == "augment"}

    def to_yaml(self) -> str:
        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, default_flow_style=None))


# Options that people give without saying what they belong to.
SHORT = {
    "lr": "optimizer.lr",
    "learning_rate": "optimizer.lr",
    "momentum": "optimizer.momentum",
    "weight_decay": "optimizer.weight_decay",
    "hidden": "model.hidden",
    "dropout": "model.dropout",
    "activation": "model.activation",
    "init": "initialization",
    "initialisation": "initialization",
}


def _plain(key: str) -> str:
    return key.strip().replace("-", "_")


def _put(fields: dict[str, Any], key: str, value: Any) -> None:
    """Sets a field, or with a dot an option inside it (`optimizer.lr`), keeping what stands beside it."""
    head, _, option = key.partition(".")
    if head not in Recipe.model_fields:
        raise unknown_name("recipe field", head, [*Recipe.model_fields, *SHORT])
    if not option:
        # Options may come before the name they belong to; another name does away with the options of the old one.
        before = fields.get(head)
        nameless = isinstance(before, dict) and not before.get("name") and isinstance(value, str)
        fields[head] = {**(before or {}), "name": value} if nameless else value
        return
    before = fields.get(head)
    inside = {"name": before} if isinstance(before, str) else dict(before or {})
    fields[head] = {**inside, option: value}


def _sentence(error: Any) -> str:
    """One of pydantic's errors, for people."""
    place = ".".join(str(part) for part in error["loc"] if isinstance(part, str) and part in Recipe.model_fields)
    place = place or ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        near = nearest(place, Recipe.model_fields)
        return f"unknown field {place!r}" + (f", did you mean {' or '.join(map(repr, near))}?" if near else "")
    return f"{place} = {error['input']!r}: {error['msg'].removeprefix('Value error, ').removeprefix('Input ')}"
