"""Recipes: in and out of YAML, overrides, and what is wrong with them, said plainly."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from osler.errors import InputError
from osler.recipe import Recipe
from osler.yamltext import read_value

FULL = {
    "source": "data/tïtanic.csv",
    "target": ["Survived", "Price, USD"],
    "task": "multiclass",
    "drop": ["Name"],
    "scale": False,
    "seed": 7,
    "model": {"name": "mlp", "hidden": [64, 32], "activation": {"name": "leaky_relu", "slope": 0.1}, "dropout": None},
    "loss": {"name": "sparse_categorical_cross_entropy"},
    "class_weights": {"no": 1.0, "1e-3": 2.5, "2020-01-01": 1.0, "12:30": 3.0, "null": 0.5, "010": 1.0, "": 1.0},
    "label_smoothing": 0.1,
    "metrics": ["accuracy", "f1"],
    "optimizer": {"name": "adamw", "lr": 1e-05, "weight_decay": 0.01},
    "augment": [{"name": "flip"}, {"name": "shift", "pixels": 2}],
    "epochs": 30,
    "batch_size": "all",
}


def read(tmp_path: Path, text: str | bytes) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Recipe.read(path)


# Out and in again


def test_yaml_round_trip(tmp_path: Path) -> None:
    recipe = Recipe.build(FULL)
    assert recipe.to_dict() == FULL
    assert read(tmp_path, recipe.to_yaml()) == recipe
    assert yaml.safe_load(recipe.to_yaml()) == FULL  # other readers understand the same


def test_empty_lists_that_were_chosen_stay() -> None:
    recipe = Recipe.build({"metrics": "none", "augment": []})
    assert recipe.to_dict() == {"seed": 0, "metrics": [], "augment": []}
    assert Recipe.build({}).to_dict() == {"seed": 0}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), values, max_size=4), st.lists(st.text(), min_size=1, max_size=3))
@example({"a": "1e-3", "no": "\u2028x"}, ["\x85", " a\n", "'", "<<", "=", "---", "# b"])
def test_whatever_an_option_is_it_comes_back(options: dict[str, Any], target: list[str]) -> None:
    recipe = Recipe.build({"model": {**options, "name": "mlp"}, "target": target})
    fields = read_value(recipe.to_yaml())
    assert Recipe.build(fields) == recipe
    assert yaml.safe_load(recipe.to_yaml()) == fields


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="ab:[]{}-&*!<>|#,'\"\n 1e.?%@`", max_size=60).map(str.encode))
def test_any_bytes_are_a_recipe_or_one_clear_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    message = f"{path}: fine"
    try:
        Recipe.read(path)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("-1E+2", -100.0), (".inf", math.inf), ("-7", -7),
        ("[64, 32]", [64, 32]), ("{name: adam, lr: 1e-2}", {"name": "adam", "lr": 0.01}), ("true", True), ("~", None),
        ("", None), ("no", "no"), ("on", "on"), ("y", "y"), ("010", "010"), ("2020-01-01", "2020-01-01"),
        ("12:30", "12:30"), ("1_000", "1_000"), ("0x10", "0x10"), ("e5", "e5"), ("nan", "nan"), ("'1'", "1"),
    ],
)  # fmt: skip
def test_values_are_what_people_mean(text: str, value: Any) -> None:
    assert read_value(text) == value
    assert type(read_value(text)) is type(value)


# Settings over settings


def test_short_forms() -> None:
    recipe = Recipe.build(
        {
            "target": "a, b",
            "drop": 3,
            "metrics": "f1",
            "augment": {"name": "shift"},
            "optimizer": "adam",
            "batch-size": 8,
        }
    )
    assert (recipe.target, recipe.drop, recipe.metrics) == (["a", "b"], ["3"], ["f1"])
    assert recipe.augment is not None
    assert recipe.augment[0].name == "shift"
    assert str(recipe.optimizer) == "adam"
    assert recipe.batch_size == 8
    assert Recipe.build({"target": [-1]}).target == ["-1"]
    assert Recipe.build({"target": "none"}).target == ["none"]


SETTINGS = {
    "optimizer": "sgd",
    "optimizer.lr": 0.5,
    "momentum": 0.9,
    "model.hidden": [8],
    "optimizer.weight-decay": 0.1,
}


@pytest.mark.parametrize("order", list(itertools.permutations(SETTINGS)))
@pytest.mark.parametrize("base", [None, {"optimizer": {"name": "adam", "lr": 0.1, "betas": [0.5, 0.9]}}])
def test_overrides_in_any_order(order: tuple[str, ...], base: dict[str, Any] | None) -> None:
    recipe = Recipe.build({key: SETTINGS[key] for key in order}, Recipe.build(base) if base else None)
    assert recipe.optimizer is not None
    assert recipe.optimizer.name == "sgd"
    # Another optimizer has other options.
    assert recipe.optimizer.options == {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.1}
    assert recipe.model is not None
    assert (recipe.model.name, recipe.model.options) == ("", {"hidden": [8]})


def test_overrides_keep_what_stands_beside_them() -> None:
    base = Recipe.build({"optimizer": {"name": "adam", "lr": 0.1, "weight_decay": 0.2}, "model": {"hidden": [3]}})
    recipe = Recipe.build({"lr": 0.3, "model": "mlp", "epochs": None, "class_weights.Iris-setosa": 2}, base)
    assert recipe.to_dict() == {
        "seed": 0,
        "optimizer": {"name": "adam", "lr": 0.3, "weight_decay": 0.2},
        "model": {"name": "mlp", "hidden": [3]},
        "class_weights": {"Iris-setosa": 2.0},
    }
    assert base.optimizer is not None
    assert base.optimizer.options["lr"] == 0.1


# What is wrong


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Recipe.build({"epochz": 3, "optimiser.lr": 1, "epochs": "many", "label_smoothing": 1.5, "batch_size": "some"})
    message = str(caught.value)
    assert "unknown recipe field 'epochz'; did you mean 'epochs'" in message
    assert "unknown recipe field 'optimiser'; did you mean 'optimizer'" in message
    assert "epochs = 'many': should be a valid integer" in message
    assert "label_smoothing = 1.5: should be less than 1" in message
    assert (
        "batch_size = 'some': should be a valid integer, unable to parse string as an integer or should be 'all'"
        in message
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"epochs": 0}, "epochs = 0: should be greater than 0"),
        ({"epochs.x": 3}, "epochs = {'x': 3}"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": 2**40}, "seed = "),
        ({"model": 3}, "model = 3: should be a name, or a name with options like"),
        ({"optimizer": {"name": 3}}, "optimizer = {'name': 3}: should be a valid string"),
        ({"optimizer": {3: 4}}, "optimizer = {3: 4}"),
        ({"class_weights": {"a": "x"}}, "class_weights = {'a': 'x'}"),
        ({"clip_norm": math.nan}, "clip_norm = nan"),
        ({"target": []}, "target = "),
        ({"target": {"a": 1}}, "target = "),
        ({"metrics": ["f1", None]}, "metrics = "),
        ({"": 1}, "unknown recipe field ''"),
    ],
)
def test_wrong_values_are_named(fields: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError) as caught:
        Recipe.build(fields)
    assert rule in str(caught.value)


# Settings with fixed names


def test_engine_and_checkpoints_in_and_out(tmp_path: Path) -> None:
    settings = {"engine.precision": "bfloat16", "engine.micro-batches": 3, "checkpoints": {"every_steps": 7}}
    recipe = Recipe.build({**settings, "goal": "accuracy>=0.99", "on-nonfinite": "rollback"})
    assert recipe.engine is not None
    assert recipe.checkpoints is not None
    assert (recipe.engine.precision, recipe.engine.micro_batches, recipe.engine.compile) == ("bfloat16", 3, None)
    assert (recipe.checkpoints.every, recipe.checkpoints.every_steps, recipe.checkpoints.keep) == (30.0, 7, 2)
    assert (recipe.goal, recipe.on_nonfinite) == ("accuracy>=0.99", "rollback")
    assert read(tmp_path, recipe.to_yaml()) == recipe
    over = Recipe.build({"engine.precision": "float32", "checkpoints.keep": 5}, recipe)
    fields = over.to_dict()
    assert fields.pop("engine").items() >= {"precision": "float32", "micro_batches": 3}.items()
    assert fields == {
        "seed": 0,
        "checkpoints": {"every": 30.0, "every_steps": 7, "keep": 5},
        "goal": "accuracy>=0.99",
        "on_nonfinite": "rollback",
    }
    assert "None" not in recipe.to_yaml()


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"engine.precison": "x"}, "unknown setting of engine 'precison'; did you mean 'precision'?"),
        ({"engine": {"precison": "x"}}, "unknown setting of engine 'precison'; did you mean 'precision'?"),
        ({"engine.chanels-last": True}, "unknown setting of engine 'chanels_last'; did you mean 'channels_last'?"),
        ({"engine.threads": 2}, "unknown setting of engine 'threads'; known: channels_last, compile, deterministic"),
        ({"engine.precision": "float16"}, "should be 'float32' or 'bfloat16'"),
        ({"engine.compile": "maybe"}, "engine = {'compile': 'maybe'}: should be a valid boolean"),
        ({"engine.micro_batches": 0}, "engine = {'micro_batches': 0}: should be greater than 0"),
        ({"engine": "fast"}, "engine = 'fast': should be settings by name (precision, channels_last, compile"),
        ({"engine": []}, "engine = []: should be settings by name"),
        ({"engin.precision": "float32"}, "unknown recipe field 'engin'; did you mean 'engine'?"),
        ({"checkpoint.every": 3}, "unknown recipe field 'checkpoint'; did you mean 'checkpoints'?"),
        ({"checkpoints.evry": 3}, "unknown setting of checkpoints 'evry'; did you mean 'every'?"),
        ({"checkpoints": {"every_step": 3}}, "unknown setting of checkpoints 'every_step'; did you mean 'every_steps'"),
        ({"checkpoints.every": 0}, "checkpoints = {'every': 0}: should be greater than 0"),
        ({"checkpoints.every_steps": 2.5}, "checkpoints = {'every_steps': 2.5}: should be a valid integer"),
        ({"checkpoints.keep": -1}, "checkpoints = {'keep': -1}: should be greater than 0"),
        ({"goal": 3}, "goal = 3: should be a valid string"),
        ({"gaol": "accuracy>=0.9"}, "unknown recipe field 'gaol'; did you mean 'goal'?"),
        ({"on_nonfinite": "skipp"}, "on_nonfinite = 'skipp': should be 'stop', 'skip' or 'rollback'"),
        ({"on_nonfinit": "skip"}, "unknown recipe field 'on_nonfinit'; did you mean 'on_nonfinite'"),
    ],
)
def test_wrong_settings_are_named(fields: dict[str, Any], rule: str) -> None:
    given = {key: dict(value) if isinstance(value, dict) else value for key, value in fields.items()}
    with pytest.raises(InputError) as caught:
        Recipe.build(fields)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)
    assert fields == given  # what was given is left as it is


def test_typos_in_a_file_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "engine: {precison: bfloat16, compil: true}\ncheckpoints: {kep: 3}\nepochs: 0\n")
    for part in ("'precison'; did you mean 'precision'", "did you mean 'compile'", "did you mean 'keep'", "epochs = 0"):
        assert part in str(caught.value)


def bomb(levels: int = 9) -> str:
    names = "abcdefghij"
    lines = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x]"]
    for one, other in itertools.pairwise(names[: levels + 1]):
        lines.append(f"{other}: &{other} [{', '.join(['*' + one] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (bomb(), r"the alias \*a is not allowed"),
        ("model: &m {x: *m}", "alias"),
        ("model: !!python/object/apply:os.system [true]", "could not determine a constructor for the tag"),
        ("model: !!python/name:os.system", "could not determine a constructor"),
        ("model: !!binary aGk=", "could not determine a constructor"),
        ("- epochs: 3", "a recipe has lines like 'epochs: 10', but this is a list"),
        ("hello", "but this is a str"),
        ("", "but it is empty"),
        ("# nothing\n", "but it is empty"),
        ("epochs: 3\nepochs: 4", "'epochs' is given twice"),
        ("optimizer: {lr: 1, lr: 2}", "'lr' is given twice"),
        ("? [a]\n: 3", "not readable as YAML"),
        ("a: b: c", "not readable as YAML"),
        ("--- {}\n--- {}", "not readable as YAML"),
        ("model: " + "[" * 5000, "more than 20 levels deep"),
        ("seed: " + "1" * 5000, "not readable as YAML"),
        (b"model: \xff\xfe", "not UTF-8 text .* at byte 7"),
        ("model: \x00", "not readable as YAML"),
        (b"x" * (2**20 + 1), "more than 1 MB"),
        ("<<: {epochs: 3}", "unknown recipe field '<<'"),
        ("epoch: 3", "unknown recipe field 'epoch'; did you mean 'epochs'"),
    ],
)
def test_hostile_files_get_one_clear_line(tmp_path: Path, text: str | bytes, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert "recipe.yaml" in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfepochs: 3").epochs == 3


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recipe"):
        Recipe.read(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="not readable"):
        Recipe.read(tmp_path)
    with pytest.raises(InputError, match="not readable"):
        Recipe.read("a\0b")


# The JSON Schema


def fits(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """The part of JSON Schema that ours uses."""
    if "$ref" in schema:
        return fits(value, definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return any(fits(value, each, definitions) for each in schema["anyOf"])
    types = {"string": str, "array": list, "object": dict, "boolean": bool, "null": type(None)}
    names = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    numbers = {"integer": (int,), "number": (int, float)}
    if names and not any(
        isinstance(value, numbers[name]) and not isinstance(value, bool)
        if name in numbers
        else isinstance(value, types[name])
        for name in names
    ):
        return False
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if isinstance(value, list) and "items" in schema:
        return len(value) >= schema.get("minItems", 0) and all(fits(v, schema["items"], definitions) for v in value)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        return all(
            fits(v, known[k], definitions)
            if k in known
            else fits(v, rest, definitions)
            if isinstance(rest, dict)
            else rest
            for k, v in value.items()
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (
            value >= schema.get("minimum", -math.inf)
            and value > schema.get("exclusiveMinimum", -math.inf)
            and value < schema.get("exclusiveMaximum", math.inf)
        )
    return True


def test_the_schema_fits_what_is_written() -> None:
    schema = Recipe.model_json_schema()
    definitions = schema["$defs"]
    assert schema["properties"].keys() == Recipe.model_fields.keys()
    assert schema["additionalProperties"] is False
    assert all(field.get("description") for field in schema["properties"].values())
    written = [
        Recipe.build(FULL).to_yaml(),
        "epochs: 3",
        "optimizer: adam",
        "target: Survived",
        "class_weights: balanced",
    ]
    for text in written:
        assert fits(read_value(text), schema, definitions), text
    for text in ("epochs: 0", "epochs: many", "epoch: 3", "optimizer: 3", "label_smoothing: 1.5", "class_weights: some",
                 "batch_size: few", "augment: [3]", "optimizer: {name: 3}", "target: {a: 1}"):  # fmt: skip
        assert not fits(read_value(text), schema, definitions), text
        with pytest.raises(InputError):
            Recipe.build(read_value(text))
