"""Folders of runs as training leaves them, small but like real ones."""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LENET = [
    ("c1", "Conv2d", [1, 32, 32], [6, 28, 28], 156, "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28"),
    ("a1", "Tanh", [6, 28, 28], [6, 28, 28], 0, ""),
    ("s2", "AvgPool2d", [6, 28, 28], [6, 14, 14], 0, "⌊(28 + 2·0 − 2)/2⌋ + 1 = 14"),
    ("c3", "Conv2d", [6, 14, 14], [16, 10, 10], 2416, "⌊(14 + 2·0 − 5)/1⌋ + 1 = 10"),
    ("a3", "Tanh", [16, 10, 10], [16, 10, 10], 0, ""),
    ("s4", "AvgPool2d", [16, 10, 10], [16, 5, 5], 0, "⌊(10 + 2·0 − 2)/2⌋ + 1 = 5"),
    ("flatten", "Flatten", [16, 5, 5], [400], 0, "16·5·5 = 400"),
    ("f5", "Linear", [400], [120], 48120, "400·120 + 120 = 48 120 parameters"),
    ("f6", "Linear", [120], [84], 10164, "120·84 + 84 = 10 164 parameters"),
    ("output", "Linear", [84], [10], 850, "84·10 + 10 = 850 parameters"),
]


def mlp(inputs: int, hidden: int, outputs: int) -> list[tuple[Any, ...]]:
    first, second = inputs * hidden + hidden, hidden * outputs + outputs
    return [
        ("0", "Linear", [inputs], [hidden], first, f"{inputs}·{hidden} + {hidden} = {first} parameters"),
        ("1", "ReLU", [hidden], [hidden], 0, ""),
        ("2", "Dropout", [hidden], [hidden], 0, ""),
        ("3", "Linear", [hidden], [outputs], second, f"{hidden}·{outputs} + {outputs} = {second} parameters"),
    ]


def run_json(
    source: str, task: dict[str, Any], data: dict[str, Any], network: str, layers: list[Any]
) -> dict[str, Any]:
    keys = ("name", "kind", "inputs", "outputs", "parameters", "arithmetic")
    rows = [dict(zip(keys, layer, strict=True)) for layer in layers]
    return {
        "osler": "0.1.0",
        "status": "finished",
        "created": "2026-03-14T15:09:26Z",
        "seconds": 83.4,
        "command": f"osler train {source} --seed 0",
        "task": task,
        "data": {"source": source, **data},
        "choices": [
            {"what": "model", "chosen": network, "why": "the data are " + data["kind"]},
            {"what": "loss", "chosen": "cross-entropy", "why": "one class of several is right"},
            {"what": "optimizer", "chosen": "adamw, lr 0.002", "why": "works without tuning; decay regularises"},
            {"what": "schedule", "chosen": "one_cycle", "why": "the number of epochs is known"},
            {"what": "batch size", "chosen": "64", "why": "you asked for it"},
        ],
        "network": {"name": network, "inputs": layers[0][2], "layers": rows, "parameters": sum(r[4] for r in layers)},
        "best_epoch": 9,
        "environment": {"python": "3.11.9", "torch": "2.13.0", "threads": 2, "device": "cpu"},
    }


def history(epochs: int, metric: str, final: float) -> list[dict[str, Any]]:
    rows = []
    for e in range(1, epochs + 1):
        fit, over = math.exp(-e / 3), 0.012 * max(0, e - 9)
        rows.append(
            {
                "epoch": e,
                "step": 23 * e,
                "loss/train": 0.06 + 2.1 * fit,
                "loss/val": 0.15 + 2.0 * fit + over,
                f"{metric}/train": min(1.0, final + 0.02) - 0.7 * fit,
                f"{metric}/val": final - 0.7 * fit - over / 3,
                "lr": 0.002 * (1 + math.cos(math.pi * e / epochs)) / 2,
                "seconds": 1.1,
            }
        )
    return rows


def save(folder: Path, run: Any, epochs: list[dict[str, Any]], evaluation: Any = None, findings: Any = None) -> Path:
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in epochs)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    (folder / "recipe.yaml").write_text("source: somewhere\nmodel:\n  name: mlp\nseed: 0\n", encoding="utf-8")
    for name, content in (("run", run), ("evaluation", evaluation), ("findings", findings)):
        if content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def picture(pixels: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def images(folder: Path) -> Path:
    """Handwritten digits: ten classes, pictures, a convolutional network, findings."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(0)
    counts = np.diag(rng.integers(30, 38, 10)) + (rng.random((10, 10)) < 0.12) * rng.integers(1, 4, (10, 10))
    classes = [str(i) for i in range(10)]
    chosen = rng.choice(len(digits.images), 12, replace=False)
    worst = [
        {
            "row": f"image {i}",
            "target": str(digits.target[i]),
            "prediction": str((digits.target[i] + 1 + k % 8) % 10),
            "confidence": 0.995 - 0.03 * k,
            "loss": 5.1 - 0.3 * k,
            "picture": picture((digits.images[i] * 15.9).astype(np.uint8)),
            "features": None,
        }
        for k, i in enumerate(chosen)
    ]
    data = {
        "kind": "images",
        "notes": ["1797 images of 8×8 pixels, one channel", "pixels scaled to mean 0, standard deviation 1"],
        "parts": {"train": 1257, "validation": 180, "test": 360},
        "classes": [{"name": c, "train": 126 - i % 4, "validation": 18, "test": 36} for i, c in enumerate(classes)],
    }
    task = {"kind": "multiclass", "outputs": 10, "names": ["digit"], "classes": classes, "why": "ten whole numbers"}
    run = run_json("digits", task, data, "lenet5", LENET)
    accuracy = float(np.trace(counts) / counts.sum())
    evaluation = {
        "part": "test",
        "count": int(counts.sum()),
        "metrics": {"accuracy": accuracy, "f1": accuracy - 0.001, "loss": 0.1432},
        "confusion": {"classes": classes, "counts": counts.tolist()},
        "worst": worst,
    }
    findings = [
        {
            "ailment": "overfitting",
            "title": "Learned by heart",
            "severity": "warning",
            "where": ["output"],
            "evidence": {"loss/train": 0.0691, "loss/val": 0.2214, "epochs": 6},
            "explanation": "The validation loss has been rising since epoch 9 while the training loss still falls.",
            "healthy": {"loss/val": "near loss/train"},
            "why": "The network stores samples.",
            "cures": [
                {"title": "more dropout", "patch": "+ nn.Dropout(0.3)", "settings": {"model.dropout": 0.3}},
                {"title": "more data by augmentation", "patch": "+ augment(x)", "settings": {}},
            ],
        },
        {
            "ailment": "miscalibrated",
            "title": "Confidence that is not earned",
            "severity": "hint",
            "because": "overfitting",
            "explanation": "Mean confidence 0.99, accuracy 0.95.",
        },
    ]
    curves = {
        "gradients": [["conv1.weight", 0.003], ["conv2.weight", 0.002], ["output.weight", 0.01]],
        "updates": [[1, 0.002], [10, 0.004], [100, 0.001], [1000, 0.0002]],
    }
    diagnosis = {"findings": findings, "not_examined": ["the curvature: too slow"], "curves": curves}
    return save(folder, run, history(15, "accuracy", 0.955), evaluation, diagnosis)


def table(folder: Path) -> Path:
    """Passengers who survived or not: two classes, columns of several kinds."""
    features = [
        ("Pclass", "category", 0, "3 (55 %), 1 (24 %), 2 (21 %)"),
        ("Sex", "category", 0, "male (65 %), female (35 %)"),
        ("Age", "number", 177, "0.42 … 80, mean 29.7"),
        ("SibSp", "number", 0, "0 … 8, mean 0.523"),
        ("Fare", "number", 0, "0 … 512.3, mean 32.2"),
        ("Embarked", "category", 2, "S (72 %), C (19 %), Q (9 %)"),
    ]
    data = {
        "kind": "table",
        "notes": ["'Name' left out: 891 of 891 values differ", "'Ticket' left out: 681 of 891 values differ"],
        "parts": {"train": 641, "validation": 71, "test": 179},
        "features": [dict(zip(("name", "kind", "missing", "summary"), f, strict=True)) for f in features],
        "classes": [
            {"name": "0", "train": 395, "validation": 44, "test": 110},
            {"name": "1", "train": 246, "validation": 27, "test": 69},
        ],
    }
    task = {"kind": "binary", "outputs": 1, "names": ["Survived"], "classes": ["0", "1"], "why": "two values, 0 and 1"}
    passenger = {"Pclass": "1", "Sex": "female", "Age": "22", "SibSp": "0", "Fare": "151.55", "Embarked": "S"}
    evaluation = {
        "part": "test",
        "count": 179,
        "metrics": {"accuracy": 148 / 179, "f1": 0.7669, "roc_auc": 0.8731, "loss": 0.4127},
        "confusion": {"classes": ["0", "1"], "counts": [[97, 13], [18, 51]]},
        "worst": [
            {
                "row": f"line {298 + 31 * i}",
                "target": "0",
                "prediction": "1",
                "confidence": 0.981 - 0.02 * i,
                "loss": 3.96 - 0.3 * i,
                "picture": None,
                "features": {**passenger, "Age": str(22 + 3 * i)},
            }
            for i in range(8)
        ],
    }
    run = run_json("data/titanic/train.csv", task, data, "mlp", mlp(12, 64, 1))
    run["status"] = "stopped early"
    return save(folder, run, history(15, "accuracy", 0.82), evaluation)


def regression(folder: Path) -> Path:
    """House prices and their logarithm: two targets."""
    rng = np.random.default_rng(1)
    truth = rng.gamma(4.0, 0.5, (2, 400))
    guess = truth + rng.normal(0, 0.3, truth.shape)
    data = {
        "kind": "table",
        "notes": ["16512 rows"],
        "parts": {"train": 14448, "validation": 2064, "test": 4128},
        "features": [
            {"name": f"feature {i}", "kind": "number", "missing": 0, "summary": f"0 … {i + 3}, mean {i / 2 + 1:g}"}
            for i in range(30)
        ],
    }
    task = {"kind": "regression", "outputs": 2, "names": ["price", "log price"], "classes": [], "why": "real numbers"}
    evaluation = {
        "part": "test",
        "count": 4128,
        "metrics": {"r2": 0.8134, "rmse": 0.3021, "mae": 0.2373, "loss": 0.0913},
        "residuals": {
            "names": ["price", "log price"],
            "target": truth.tolist(),
            "prediction": guess.tolist(),
        },
        "worst": [
            {
                "row": f"row {i}",
                "target": f"{truth[0, i]:.3f}",
                "prediction": f"{guess[0, i]:.3f}",
                "loss": 1.1 - 0.1 * i,
            }
            for i in range(6)
        ],
    }
    run = run_json("california_housing.csv", task, data, "mlp", mlp(30, 128, 2))
    return save(folder, run, history(40, "r2", 0.8), evaluation)


def interrupted(folder: Path) -> Path:
    """Stopped by the user before the first evaluation, with a line of metrics half written and no validation."""
    data = {"kind": "arrays", "parts": {"train": 1200}}
    task = {"kind": "multiclass", "outputs": 3, "names": ["y"], "classes": ["a", "b", "c"]}
    run = run_json("arrays", task, data, "mlp", mlp(64, 32, 3))
    run |= {"status": "interrupted", "best_epoch": None}
    epochs = [{k: v for k, v in e.items() if not k.endswith("/val")} for e in history(7, "accuracy", 0.9)]
    save(folder, run, epochs)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"epoch": 8, "loss/tr')
    return folder


KINDS = {"images": images, "table": table, "regression": regression, "interrupted": interrupted}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder of each kind; only to be read (and to hold report.html)."""
    home = tmp_path_factory.mktemp("runs")
    return {name: build(home / name) for name, build in KINDS.items()}


@pytest.fixture
def broken(tmp_path: Path) -> Any:
    """A function that builds a run of some kind and changes its run.json, evaluation.json or metrics."""

    def build(kind: str, **changes: Any) -> Path:
        folder = KINDS[kind](tmp_path / kind)
        for name, change in changes.items():
            path = folder / f"{name}.json"
            content = json.loads(path.read_text(encoding="utf-8"))
            change(content)
            path.write_text(json.dumps(content), encoding="utf-8")
        return folder

    return build
