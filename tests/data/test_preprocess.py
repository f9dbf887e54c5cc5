import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from osler.data.parts import Part
from osler.data.preprocess import ArrayEncoder, ImageEncoder, Preprocess
from osler.errors import InputError

RANDOM = np.random.default_rng(0)
PICTURES = torch.from_numpy(RANDOM.integers(0, 256, (20, 3, 5, 4)).astype(np.uint8))


def copied(preprocess: Preprocess) -> Preprocess:
    return Preprocess.from_json(json.loads(json.dumps(preprocess.to_json(), ensure_ascii=False, allow_nan=False)))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("kind", ["table", "several", "floats", "integers", "images"])
def test_json_gives_the_same_bits(ready: Callable, table: Callable, kind: str, scale: bool) -> None:
    source, target = {
        "table": (table(d=pd.date_range("2021", periods=60), m=[1.5, None, -1e300] * 20), "t"),
        "several": (table(y=RANDOM.normal(size=60), z=range(60)), "y,z"),
        "floats": ((RANDOM.normal(size=(60, 2, 3)), list("ab") * 30), None),
        "integers": ((RANDOM.integers(0, 9, (60, 4)), RANDOM.normal(size=60)), None),
        "images": ((RANDOM.integers(0, 256, (60, 6, 6)).astype(np.uint8), list("äb") * 30), None),
    }[kind]
    prepared, _ = ready(source, target, scale=scale)
    again = copied(prepared.preprocess)
    assert again.targets.task == prepared.task
    assert again.shape == prepared.preprocess.shape
    for name, part in prepared.raw.items():
        first, second = prepared.parts[name], again.encode(part, [])
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)
        assert tuple(first.inputs.shape[1:]) == again.shape
        transform, other = prepared.preprocess.transform(), again.transform()
        if transform is not None and other is not None:
            assert torch.equal(transform(first.inputs), other(second.inputs))


def test_arrays_equal_scikit_learn() -> None:
    values = RANDOM.normal(3, 2, (30, 4))
    encoded = ArrayEncoder.fit(values, scale=True).encode(values, [])
    np.testing.assert_allclose(encoded.numpy(), StandardScaler().fit_transform(values), atol=1e-6)
    assert encoded.dtype == torch.float32


@pytest.mark.parametrize(("scale", "dtype"), [(True, torch.float32), (False, torch.int64)])
def test_integers_are_numbers_unless_left_alone(scale: bool, dtype: torch.dtype) -> None:
    values = RANDOM.integers(0, 9, (30, 4))
    encoder = ArrayEncoder.fit(values, scale)
    assert encoder.encode(values, []).dtype == dtype
    assert encoder.encode(values.astype(np.uint8), []).dtype == dtype


def test_the_type_trained_on_is_kept() -> None:
    floats = ArrayEncoder.fit(np.ones((3, 2)), scale=False)
    assert floats.encode(np.ones((3, 2), dtype=int), []).dtype == torch.float32
    integers = ArrayEncoder.fit(np.ones((3, 2), dtype=int), scale=False)
    with pytest.raises(InputError, match="the network was trained on integers, but got an array of float64"):
        integers.encode(np.ones((3, 2)), [])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gaps_are_refused_with_their_place(bad: float) -> None:
    values = np.ones((3, 2))
    encoder = ArrayEncoder.fit(values, scale=True)
    values[2, 1] = bad
    for use in (lambda: encoder.encode(values, []), lambda: ArrayEncoder.fit(values, scale=True)):
        with pytest.raises(InputError, match=r"1 values that are NaN or infinite, the first at \(2, 1\); clean them"):
            use()


def test_unscaled_numbers_beyond_single_precision_are_refused() -> None:
    with pytest.raises(InputError, match=r"1 values that are NaN or infinite, the first at \(1, 0\)"):
        ArrayEncoder.fit(np.ones((2, 2)), scale=False).encode(np.array([[1.0, 2], [1e300, 4]]), [])


def test_pictures_are_standardised_per_channel() -> None:
    encoder = ImageEncoder.fit(PICTURES, scale=True)
    assert encoder.encode(PICTURES, []) is PICTURES
    got = encoder.transform()(PICTURES)
    flat = PICTURES.permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    wanted = StandardScaler().fit_transform(flat.astype(float))
    np.testing.assert_allclose(got.permute(0, 2, 3, 1).reshape(-1, 3).numpy(), wanted, atol=1e-5)
    blank = ImageEncoder.fit(torch.full((4, 1, 2, 2), 7, dtype=torch.uint8), scale=True)
    assert not blank.transform()(torch.full((1, 1, 2, 2), 7, dtype=torch.uint8)).any()


def test_unscaled_pictures_are_shares_of_white() -> None:
    got = ImageEncoder.fit(PICTURES, scale=False).transform()(PICTURES)
    torch.testing.assert_close(got, PICTURES.float() / 255)


@pytest.mark.parametrize(
    ("encoder", "inputs"),
    [
        (ImageEncoder.fit(PICTURES, True), PICTURES[:, :1]),
        (ArrayEncoder.fit(np.ones((4, 3)), True), np.ones((4, 2))),
    ],
)
def test_other_shapes_are_refused(encoder: Any, inputs: Any) -> None:
    with pytest.raises(InputError, match=r"the network was trained on .* of shape .*, but got"):
        encoder.encode(inputs, [])


def test_targets_and_weights_only_where_there_are_any(ready: Callable, table: Callable) -> None:
    prepared, _ = ready(table(w=np.arange(60) / 7), "t", weight="w")
    train = prepared.parts["train"]
    assert train.weights is not None
    assert train.weights.dtype == torch.float32
    np.testing.assert_allclose(train.weights, [int(row) / 29.5 for row in prepared.raw["train"].rows], rtol=1e-6)
    bare = prepared.preprocess.encode(Part(prepared.raw["test"].inputs), [])
    assert bare.targets is None
    assert bare.weights is None
