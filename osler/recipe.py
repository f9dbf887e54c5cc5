"""The recipe: everything that defines a run. Same recipe, seed, machine and threads → same weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue

from osler.errors import InputError, unknown_name
from osler.yamltext import read_value, write_value

LARGEST = 2**20  # bytes of a recipe file


class Named(BaseModel):
    """Something with a name and its own options: `adam`, or `{name: adam, lr: 0.01}`; without a name it is advised."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _only_a_name(cls, value: Any) -> Any:
        if not isinstance(value, str | dict | Named):
            raise ValueError("should be a name, or a name with options like {name: adam, lr: 0.01}")
        return {"name": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}

    @property
    def options(self) -> dict[str, Any]:
        """What stands beside the name."""
        return dict(self.model_extra or {})

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}({options})" if options else self.name


class EngineSettings(BaseModel):
    """How steps are computed; what is left out is measured where there is enough to train to repay it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    precision: Literal["float32", "bfloat16"] | None = Field(None, description="of products and convolutions")
    channels_last: bool | None = Field(None, description="pictures as (N, H, W, C) in memory")
    compile: bool | None = Field(None, description="by torch.compile")
    micro_batches: PositiveInt = Field(1, description="parts in which each batch is worked on, for less memory")
    deterministic: bool = Field(False, description="the same bits on a GPU each time, for some of its speed")
    sharding: bool = Field(False, description="weights spread over the processes, for networks too large for one")


class CheckpointSettings(BaseModel):
    """When the whole state is saved, so that `osler resume` can go on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    every: float = Field(30.0, gt=0, description="seconds")
    every_steps: PositiveInt | None = Field(None, description="steps, instead of seconds")
    keep: PositiveInt = Field(2, description="the last so many, beside the best")


class UnfreezeSettings(BaseModel):
    """When frozen modules begin to learn."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    epoch: PositiveInt = Field(description="the first in which they learn, counted from 1")
    gradual: int = Field(0, ge=0, description="epochs from one layer to the next, from the last one back; 0: together")


# Written as a list, but one name (or a position) will do.
Names = Annotated[
    list[str], WithJsonSchema({"type": ["array", "string", "integer"], "items": {"type": ["string", "integer"]}})
]


class Recipe(BaseModel):
    """All fields of a run. A field left empty is chosen from the data, and the choice explained."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    source: str | None = Field(None, description="embedded data set, file or folder")
    target: Names | None = Field(None, min_length=1, description="column(s) to predict, by name or position")
    task: str | None = Field(
        None,
        description="classification, binary, multiclass, multilabel, regression, transcription, forecasting, language "
        "or translation",
    )
    group: str | None = Field(None, description="column: rows of one group stay on one side of the split")
    time: str | None = Field(None, description="column: later rows are held out")
    test: str | None = Field(None, description="condition on a column, whose rows are held out to test: take<5")
    horizon: PositiveInt | None = Field(None, description="steps to forecast; makes the table a series")
    window: PositiveInt | None = Field(None, description="steps that a forecast looks back")
    parts: list[PositiveInt] | None = Field(
        None, min_length=3, max_length=3, description="rows of a series to learn from, to validate and to test"
    )
    weight: str | None = Field(None, description="column: how much each row counts")
    drop: Names = Field([], description="columns to leave out")
    image_size: PositiveInt | None = Field(None, description="side to which the pictures of a folder are brought")
    tokens: Named | None = Field(None, description="what texts are cut into: words, characters or bpe")
    length: PositiveInt | None = Field(None, description="tokens kept of a text, or read at a time")
    label_pattern: str | None = Field(None, description="of recordings' names: {label}_{speaker}_{take}")
    sample_rate: PositiveInt | None = Field(None, description="Hz that recordings are brought to")
    seconds: float | None = Field(None, gt=0, description="length that recordings are brought to")
    features: Named | None = Field(None, description="of recordings: log_mel or mfcc, and options (mels, hop …)")
    scale: bool | None = Field(None, description="standardise inputs and regression targets")
    seed: int = Field(0, ge=0, lt=2**32, description="of splits, weights, order of batches and dropout")

    model: Named | None = Field(None, description="network and its options")
    weights: str | None = Field(None, description="published weights to begin with: a file, or a name (resnet18)")
    pixels: str | None = Field(
        None,
        description="how pictures are scaled: data (by the training part); imagenet, inception, caffe (as published)",
    )
    instance: Literal["none", "last", "revin"] | None = Field(
        None, description="how each window of a series is normalised by itself, and its forecast brought back"
    )
    initialization: Named | None = Field(
        None, description="of the weights; 'default' leaves them as the model made them"
    )
    loss: Named | None = Field(None, description="loss and its options")
    class_weights: Literal["none", "balanced"] | dict[str, float] | None = Field(
        None, description="how much each class counts: none, balanced, or a number for each class"
    )
    label_smoothing: float | None = Field(None, ge=0, lt=1, description="0.1 turns a target of 1 into 0.9")
    metrics: Names | None = Field(None, description="what is measured on training and validation data")
    optimizer: Named | None = Field(None, description="optimizer and its options (lr, weight_decay …)")
    layer_decay: float | None = Field(
        None,
        gt=0,
        le=1,
        description="learning rate of a layer as a share of that of the next one; the head has the full rate",
    )
    schedule: Named | None = Field(None, description="of the learning rate")
    penalty: Named | None = Field(None, description="added to the training loss: l1, l2, elastic_net …")
    max_norm: float | None = Field(None, gt=0, description="largest norm of the weights into a unit")
    clip_value: float | None = Field(None, gt=0, description="largest size of an entry of a step's gradient")
    clip_norm: float | None = Field(None, ge=0, description="largest norm of a step's gradient; 0: no clipping")
    augment: list[Named] | None = Field(
        None, description="changes to training pictures (and spectrograms), in this order"
    )
    epochs: PositiveInt | None = Field(None, description="passes over the training data")
    batch_size: PositiveInt | Literal["all"] | None = Field(
        None, description="samples a step: 1 is stochastic, all is batch gradient descent, in between mini-batch"
    )
    patience: int | None = Field(None, ge=0, description="epochs without a better validation loss; 0: never stop early")
    freeze: Names | None = Field(
        None, description="modules that keep their weights, by name or pattern; backbone: all but the head"
    )
    unfreeze: UnfreezeSettings | None = Field(None, description="when frozen modules begin to learn, if ever")
    averaging: Named | None = Field(None, description="of the weights, for validation and the end: ema or swa")
    tensorboard: bool | None = Field(None, description="write curves for TensorBoard into the run folder")
    goal: str | None = Field(None, description="a validation metric to stop at: accuracy>=0.99, loss<=0.1")
    on_nonfinite: Literal["stop", "skip", "rollback"] | None = Field(
        None, description="what to do about a loss that is no finite number"
    )
    engine: EngineSettings | None = Field(None, description="how steps are computed")
    checkpoints: CheckpointSettings | None = Field(None, description="when the state is saved")
    threads: PositiveInt | None = Field(None, description="processor threads")
    device: str | None = Field(None, description="cpu, cuda …")

    @model_validator(mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        """`target: a` and `drop: a` stand for lists of one (or of several, with commas)."""
        if not isinstance(value, dict):
            return value
        lists = {key: value[key] for key in LISTS if value.get(key) is not None}
        return {**value, **{key: _listed(given, key) for key, given in lists.items()}}

    @classmethod
    def build(cls, settings: dict[str, Any], base: Recipe | None = None) -> Recipe:
        """A recipe from settings by name; dotted names reach options ("optimizer.lr"), short ones (`lr`) stand for it.

        Settings overrule `base`; their order doesn't matter. Raises one InputError that names every wrong field and
        the nearest right ones.
        """
        fields = {} if base is None else base.to_dict()
        wrong = []
        given = [(_path(key), value) for key, value in settings.items() if value is not None]
        for (field, option), value in sorted(given, key=lambda item: bool(item[0][1])):  # the options after the names
            if field not in cls.model_fields:
                wrong.append(str(unknown_name("recipe field", field, [*cls.model_fields, *SHORT])))
            elif field in NESTED and option and option not in NESTED[field].model_fields:
                wrong.append(str(unknown_name(f"setting of {field}", option, NESTED[field].model_fields)))
            else:
                fields[field] = (
                    _with_option(fields.get(field), option, value) if option else _whole(fields, field, value)
                )
        for field in [field for field in NESTED if isinstance(fields.get(field), dict)]:
            known = NESTED[field].model_fields
            wrong += [
                str(unknown_name(f"setting of {field}", name, known)) for name in fields[field] if name not in known
            ]
            fields[field] = {name: value for name, value in fields[field].items() if name in known}
        try:
            recipe = cls.model_validate(fields)
        except ValidationError as error:
            wrong += _sentences(error.errors(), fields)
        if wrong:
            raise InputError("; ".join(wrong))
        return recipe

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """The recipe in a YAML file."""
        try:
            with open(path, "rb") as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            raise InputError(f"no such recipe: {str(path)!r}") from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not readable ({error})") from None
        if len(data) > LARGEST:
            raise InputError(f"{path}: a recipe is a small text file, but this has more than {LARGEST >> 20} MB")
        try:
            fields = read_value(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from None
        if not isinstance(fields, dict):
            got = "it is empty" if fields is None else f"this is a {type(fields).__name__}"
            raise InputError(f"{path}: a recipe has lines like 'epochs: 10', but {got}")
        try:
            return cls.build({str(key): value for key, value in fields.items()})
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Only the fields that are set, plain values."""
        fields = {key: value for key, value in self.model_dump().items() if value is not None}
        for key in NESTED.keys() & fields.keys():
            fields[key] = {setting: value for setting, value in fields[key].items() if value is not None}
        return {key: value for key, value in fields.items() if (key, value) != ("drop", [])}

    def to_yaml(self) -> str:
        return write_value(self.to_dict())


LISTS = ("target", "drop", "metrics", "augment", "freeze", "parts")
# Fields with fixed settings of their own.
NESTED: dict[str, type[BaseModel]] = {
    "engine": EngineSettings,
    "checkpoints": CheckpointSettings,
    "unfreeze": UnfreezeSettings,
}
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


def _path(key: str) -> tuple[str, str]:
    """Field and option that a key means: "optimizer.weight-decay" and "lr", and ("epochs", "") for a whole field."""
    field, dot, option = key.strip().partition(".")
    field = field.replace("-", "_")
    if not dot:
        field, _, option = SHORT.get(field, field).partition(".")
    # The names of classes are the user's own.
    return field, option if field == "class_weights" else option.replace("-", "_")


def _whole(fields: dict[str, Any], field: str, value: Any) -> Any:
    """A field's new value; a name joins options that had none, another name does away with the options of the old."""
    before = fields.get(field)
    nameless = isinstance(before, dict) and before.get("name") == ""
    return {**before, "name": value} if nameless and isinstance(value, str) else value  # type: ignore[dict-item]


def _with_option(before: Any, option: str, value: Any) -> dict[str, Any]:
    inside = before if isinstance(before, dict) else {"name": before} if isinstance(before, str) else {}
    return {**inside, option: value}


def _listed(given: Any, field: str) -> Any:
    if isinstance(given, str | int):
        nothing = ("",) if field == "target" else ("", "none")
        return [part.strip() for part in str(given).split(",") if part.strip() not in nothing]
    if field == "augment":
        return [given] if isinstance(given, dict) else given
    if field == "parts":
        return given
    return [str(v) if isinstance(v, int) else v for v in given] if isinstance(given, list | tuple) else given


def _sentences(errors: Iterable[Any], fields: dict[str, Any]) -> list[str]:
    """Pydantic's errors for people: one sentence a field, whatever kinds of value it could have taken."""
    rules: dict[str, list[str]] = {}
    for error in errors:
        field, rule = error["loc"][0], error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if error["type"] == "model_type":
            rule = f"should be settings by name ({', '.join(NESTED[field].model_fields)})"
        rules.setdefault(field, []).append(rule)
    return [f"{field} = {fields[field]!r}: {' or '.join(dict.fromkeys(rule))}" for field, rule in rules.items()]
