"""What is said of held-out rows, against scikit-learn and NumPy."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, mean_absolute_error
from torch import Tensor, nn

from osler.data.batches import Batches, Dataset
from osler.data.parts import Part
from osler.evaluation import RESIDUALS, WORST, judge
from osler.nn.losses import LOSSES
from osler.objectives.classification import Classification
from osler.objectives.regression import Regression
from osler.records import Task

GENERATOR = torch.Generator().manual_seed(0)
N = 100
LOGITS = torch.randn(N, 3, generator=GENERATOR)
CLASSES = torch.randint(3, (N,), generator=GENERATOR)
LABELS = torch.randint(2, (N, 3), generator=GENERATOR).float()
NAMES = ("ant", "bee", "fly")
MANY = Classification(Task("multiclass", 3, ("insect",), NAMES), nn.CrossEntropyLoss(), ["accuracy"])


def judged(objective: Classification | Regression, outputs: Tensor, targets: Tensor, size: int = 17) -> dict:
    """The network gives what it gets."""
    part = Part(
        pd.DataFrame({"a": range(len(outputs)), "b": "x"}), None, tuple(f"line {i}" for i in range(len(outputs)))
    )
    return judge(nn.Identity(), objective, Batches(Dataset(outputs, targets), size), part)


def test_confusions_and_metrics_of_many_classes() -> None:
    record = judged(MANY, LOGITS, CLASSES)
    assert record["count"] == N
    assert record["confusion"]["classes"] == list(NAMES)
    assert record["confusion"]["counts"] == confusion_matrix(CLASSES, LOGITS.argmax(1)).tolist()
    assert record["metrics"]["accuracy"] == pytest.approx(accuracy_score(CLASSES, LOGITS.argmax(1)))
    assert record["metrics"]["loss"] == pytest.approx(F.cross_entropy(LOGITS, CLASSES).item(), rel=1e-5)
    assert "residuals" not in record


def test_confusions_of_two_classes_even_where_one_is_never_seen() -> None:
    objective = Classification(Task("binary", 1, ("y",), ("no", "yes")), nn.BCEWithLogitsLoss(), ["accuracy"])
    one, targets = LOGITS[:, :1], LABELS[:, :1]
    counts = judged(objective, one, targets)["confusion"]["counts"]
    assert counts == confusion_matrix(targets, one > 0).tolist()
    never = judged(objective, -one.abs(), torch.zeros_like(targets))
    assert never["confusion"]["counts"] == [[N, 0], [0, 0]]


def test_the_worst_predictions_come_first() -> None:
    record = judged(MANY, LOGITS, CLASSES)
    losses = F.cross_entropy(LOGITS, CLASSES, reduction="none").numpy()
    order = np.argsort(-losses)[:WORST]
    assert [entry["row"] for entry in record["worst"]] == [f"line {i}" for i in order]
    np.testing.assert_allclose([entry["loss"] for entry in record["worst"]], losses[order], rtol=1e-6)
    first = record["worst"][0]
    assert first["target"] == NAMES[CLASSES[order[0]]]
    assert first["prediction"] == NAMES[LOGITS[order[0]].argmax()]
    assert first["confidence"] == pytest.approx(LOGITS[order[0]].softmax(0).max().item(), rel=1e-6)
    assert first["features"] == {"a": str(order[0]), "b": "x"}
    assert first["picture"] is None


def test_batches_and_ties_do_not_matter() -> None:
    # Losses of two sizes, which unstable sorting would mix.
    outputs = torch.zeros(1000, 3)
    outputs[::2, 0] = 1.0
    for size in (7, 300, 1000):
        worst = judged(MANY, outputs, torch.ones(1000, dtype=torch.long), size)["worst"]
        assert [entry["row"] for entry in worst] == [f"line {2 * i}" for i in range(WORST)]
    whole = judged(MANY, LOGITS, CLASSES, N)
    for size in (1, 7):
        parts = judged(MANY, LOGITS, CLASSES, size)
        assert parts["confusion"] == whole["confusion"]
        assert [entry["row"] for entry in parts["worst"]] == [entry["row"] for entry in whole["worst"]]


def test_fewer_rows_than_are_shown() -> None:
    assert len(judged(MANY, LOGITS[:3], CLASSES[:3])["worst"]) == 3


def test_what_is_no_number_is_worst_of_all() -> None:
    outputs = LOGITS.clone()
    outputs[[5, 60]] = torch.nan
    assert [entry["row"] for entry in judged(MANY, outputs, CLASSES)["worst"]][:2] == ["line 5", "line 60"]


def test_labels() -> None:
    objective = Classification(Task("multilabel", 3, NAMES, NAMES), LOSSES.create("bce"), ["f1"])
    record = judged(objective, LOGITS, LABELS)
    assert record.keys() == {"count", "metrics", "worst"}
    losses = F.binary_cross_entropy_with_logits(LOGITS, LABELS, reduction="none").mean(1)
    worst = int(losses.argmax())
    entry = record["worst"][0]
    assert entry["row"] == f"line {worst}"
    on = [name for name, value in zip(NAMES, LABELS[worst], strict=True) if value]
    assert entry["target"] == (", ".join(on) or "none")
    certain = LOGITS[worst].sigmoid()
    assert entry["confidence"] == pytest.approx(torch.maximum(certain, 1 - certain).min().item(), rel=1e-6)


def test_residuals_are_in_the_targets_own_units() -> None:
    mean, std = [100.0, -3.0], [20.0, 0.5]
    objective = Regression(Task("regression", 2, ("a", "b")), nn.MSELoss(), ["mae"], mean, std)
    outputs, targets = LOGITS[:, :2], LOGITS[:, 1:]
    record = judged(objective, outputs, targets)
    predicted = outputs * torch.tensor(std) + torch.tensor(mean)
    known = targets * torch.tensor(std) + torch.tensor(mean)
    residuals = record["residuals"]
    assert residuals["names"] == ["a", "b"]
    for column in range(2):
        pairs = sorted(zip(residuals["target"][column], residuals["prediction"][column], strict=True))
        expected = sorted(zip(known[:, column].tolist(), predicted[:, column].tolist(), strict=True))
        np.testing.assert_allclose(pairs, expected, rtol=1e-6)
    assert record["metrics"]["mae"] == pytest.approx(mean_absolute_error(known, predicted), rel=1e-5)
    worst = int((outputs - targets).square().mean(1).argmax())
    entry = record["worst"][0]
    assert entry["row"] == f"line {worst}"
    assert entry["target"] == ", ".join(f"{v:.4g}" for v in known[worst].tolist())
    assert entry["confidence"] is None


def test_of_many_rows_a_fixed_sample_of_residuals_is_kept() -> None:
    rows = 3 * RESIDUALS
    outputs = torch.arange(rows, dtype=torch.float32)[:, None]
    objective = Regression.of(1, metrics=[])
    kept = [judged(objective, outputs, -outputs, size)["residuals"] for size in (512, rows)]
    for residuals in kept:
        (target,), (prediction,) = residuals["target"], residuals["prediction"]
        assert len(set(prediction)) == RESIDUALS
        assert target == [-value for value in prediction]
        # From all of the data, not from its beginning.
        assert np.mean(prediction) == pytest.approx(rows / 2, rel=0.05)
    assert sorted(kept[0]["prediction"][0]) == sorted(kept[1]["prediction"][0])


def test_pictures_are_shown() -> None:
    pictures = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :3].float()

    part = Part(pictures, None, ("a.png", "b.png", "c.png", "d.png"))
    record = judge(Flat(), MANY, Batches(Dataset(pictures, CLASSES[:4]), 2), part)
    for entry in record["worst"]:
        place = part.rows.index(entry["row"])
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(entry["picture"]))).convert("L"))
        np.testing.assert_array_equal(shown, pictures[place, 0])
        assert entry["features"] is None


def test_it_only_looks() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout())
    state, before = torch.get_rng_state(), {name: value.clone() for name, value in model.state_dict().items()}
    part = Part(pd.DataFrame({"a": range(N)}))
    judge(model, MANY, Batches(Dataset(LOGITS, CLASSES), 10), part)
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_in_words() -> None:
    assert MANY.in_words(np.int64(2)) == "fly"
    assert Regression.of(2).in_words(np.array([1234.567, 0.5])) == "1235, 0.5"
    labels = Classification.multilabel(["red", "big", "old"])
    assert labels.in_words(np.array([1, 0, 1])) == "red, old"
    assert labels.in_words(np.array([0, 0, 0])) == "none"
