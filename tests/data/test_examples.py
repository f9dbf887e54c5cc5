from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import datasets
from sklearn.linear_model import LogisticRegression

from osler.data.examples import EXAMPLES
from osler.data.parts import Source


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_set_trains_and_is_the_same_every_time(name: str, ready: Callable) -> None:
    prepared, notes = ready(name)
    assert len(prepared.parts["train"]) > 90
    assert any(note.startswith("split at random") for note in notes)
    assert torch.equal(prepared.parts["train"].inputs, ready(name)[0].parts["train"].inputs)
    assert EXAMPLES.summary(name).endswith(".")


@pytest.mark.parametrize(
    ("name", "target"),
    [("iris", "species"), ("wine", "grower"), ("breast_cancer", "tumour"), ("diabetes", "progression")],
)
def test_real_sets_are_those_of_scikit_learn(name: str, target: str) -> None:
    bunch = getattr(datasets, f"load_{name}")()
    part = EXAMPLES.create(name).parts["all"]
    np.testing.assert_array_equal(part.inputs.to_numpy(), bunch.data)
    assert list(part.targets.columns) == [target]
    expected = bunch.target if name == "diabetes" else bunch.target_names[bunch.target]
    assert part.targets[target].tolist() == list(expected)


def test_digits_are_pictures() -> None:
    part = EXAMPLES.create("digits").parts["all"]
    assert part.inputs.shape == (1797, 1, 8, 8)
    assert part.inputs.dtype == torch.uint8
    assert (part.inputs.min(), part.inputs.max()) == (0, 255)
    np.testing.assert_array_equal(part.targets, datasets.load_digits().target)


def separable(source: Source) -> float:
    part = source.parts["all"]
    x, y = part.inputs.to_numpy(), part.targets["class"].to_numpy()
    return float(LogisticRegression().fit(x, y).score(x, y))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("xor", 0.4, 0.76), ("moons", 0.8, 0.95), ("circles", 0.4, 0.7), ("spirals", 0.4, 0.75), ("blobs", 0.97, 1)],
)
def test_synthetic_sets_are_as_hard_as_they_say(name: str, low: float, high: float) -> None:
    assert low <= separable(EXAMPLES.create(name)) <= high
