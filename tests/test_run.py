"""The main job, end to end: a run is trained, kept, loaded, moved, reproduced; what is wrong is refused well."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, r2_score
from torch import nn

import osler
from osler.errors import InputError

FILES = {
    "recipe.yaml",
    "metrics.jsonl",
    "model.safetensors",
    "preprocess.json",
    "run.json",
    "evaluation.json",
    "findings.json",
    "report.html",
}


@pytest.fixture(scope="module")
def passengers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small table with all kinds of columns and something to learn."""
    random = np.random.default_rng(0)
    n = 240
    frame = pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "age": np.where(random.random(n) < 0.1, np.nan, random.uniform(1, 80, n).round(1)),
            "class": random.choice(["first", "second", "third"], n),
            "boarded": pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"),
            "noise": random.normal(size=n),
        }
    )
    frame["survived"] = np.where((frame["class"] == "first") ^ (random.random(n) < 0.05), "yes", "no")
    path = tmp_path_factory.mktemp("data") / "passengers.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(passengers: Path, tmp_path_factory: pytest.TempPathFactory) -> osler.Run:
    out = tmp_path_factory.mktemp("runs") / "passengers"
    return osler.train(passengers, target="survived", epochs=15, out=out, verbose=False)


def test_run_folder_is_complete_and_readable_without_osler(run: osler.Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == FILES
    record = json.loads((run.folder / "run.json").read_text())
    assert record["status"] in ("finished", "stopped early")
    assert record["data"]["parts"] == {"train": 156, "validation": 36, "test": 48}
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert {"step", "loss/train", "loss/val", "accuracy/train", "accuracy/val", "lr", "seconds"} <= rows[0].keys()
    assert list(run.history["epoch"]) == [row["epoch"] for row in rows]


def test_learns_and_measures_right(run: osler.Run, passengers: Path) -> None:
    assert run.metrics["accuracy"] >= 0.85
    frame = pd.read_csv(passengers)
    measured = run.evaluate(passengers)["accuracy"]
    assert measured == pytest.approx(accuracy_score(frame["survived"], run.predict(passengers)["prediction"]))


def test_everything_said_is_in_the_record(run: osler.Run) -> None:
    notes = " ".join(run.record["data"]["notes"])
    assert "'id' left out" in notes
    chosen = {choice["what"]: choice for choice in run.record["choices"]}
    assert chosen["loss"]["chosen"] == "binary_cross_entropy"
    assert chosen["epochs"] == {"what": "epochs", "chosen": "15", "why": "asked for"}
    assert all(choice["why"] for choice in chosen.values())


def test_best_weights_come_back(run: osler.Run) -> None:
    best = run.history.loc[run.history["loss/val"].idxmin()]
    assert run.record["best_epoch"] == best["epoch"]


def test_moved_and_in_a_fresh_process_predicts_the_same(run: osler.Run, passengers: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(run.folder, moved)
    new = pd.read_csv(passengers).drop(columns=["survived"])
    shuffled = tmp_path / "new.csv"
    new[[*reversed(new.columns)]].to_csv(shuffled, index=False)
    code = "import osler, sys; print(osler.load(sys.argv[1]).predict(sys.argv[2])['p(yes)'].map(float.hex).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(moved), str(shuffled)], capture_output=True, text=True, check=True
    )
    here = run.predict(passengers)["p(yes)"].map(lambda p: float(p).hex()).tolist()
    assert done.stdout.strip() == str(here)


def test_missing_column_is_named(run: osler.Run, passengers: Path) -> None:
    frame = pd.read_csv(passengers).rename(columns={"age": "Agee"})
    with pytest.raises(InputError, match=r"lacks 1 of the columns trained on: 'age' \(is it 'Agee'\?\)"):
        run.predict(frame)


def test_report_says_how_to_reproduce(run: osler.Run, passengers: Path, tmp_path: Path) -> None:
    assert "osler train --recipe recipe.yaml" in (run.folder / "report.html").read_text()
    x, y = torch.randn(60, 3), torch.arange(60) % 2
    own = osler.train((x, y), model=nn.Linear(3, 1), epochs=1, out=tmp_path / "own", verbose=False)
    assert own.record["command"] == "osler.train((inputs, targets), model=Linear(…), recipe='recipe.yaml')"
    again = osler.train(
        (x, y), model=nn.Linear(3, 1), recipe=own.folder / "recipe.yaml", out=tmp_path / "2", verbose=False
    )
    assert again.recipe == own.recipe


def test_recipe_reproduces_the_weights_bit_for_bit(run: osler.Run, tmp_path: Path) -> None:
    again = osler.train(recipe=run.folder / "recipe.yaml", out=tmp_path / "again", verbose=False)
    assert (again.folder / "model.safetensors").read_bytes() == (run.folder / "model.safetensors").read_bytes()
    assert (again.folder / "recipe.yaml").read_bytes() == (run.folder / "recipe.yaml").read_bytes()
    assert again.metrics == run.metrics


def test_another_seed_gives_other_weights(run: osler.Run, tmp_path: Path) -> None:
    other = osler.train(recipe=run.folder / "recipe.yaml", seed=1, out=tmp_path / "other", verbose=False)
    assert (other.folder / "model.safetensors").read_bytes() != (run.folder / "model.safetensors").read_bytes()


def test_older_run_is_replaced_only_by_a_complete_one(run: osler.Run, passengers: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    shutil.copytree(run.folder, place)
    before = (place / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="lenet5"):
        osler.train(passengers, target="survived", model="lenet5", out=place, verbose=False)
    assert (place / "model.safetensors").read_bytes() == before
    osler.train(passengers, target="survived", model="linear", epochs=2, out=place, verbose=False)
    assert osler.load(place).recipe.model is not None
    assert osler.load(place).recipe.model.name == "linear"  # type: ignore[union-attr]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_own_network_sees_the_numbers_as_they_are(tmp_path: Path) -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * 5 + 3
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 4
    settings = {
        "optimizer": "sgd",
        "lr": 0.01,
        "schedule": "constant",
        "batch_size": "all",
        "epochs": 2000,
        "patience": 0,
    }
    run = osler.train((x, y), model=nn.Linear(3, 1), out=tmp_path / "own", verbose=False, **settings)
    oracle = LinearRegression().fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(run.model.weight.detach().numpy()[0], oracle.coef_, atol=1e-3)  # type: ignore[union-attr, operator]
    predicted = run.predict(x)["prediction"]
    assert r2_score(y.numpy(), predicted) > 0.9999
    with pytest.raises(InputError, match="your own network"):
        osler.load(run.folder)
    again = osler.load(run.folder, model=nn.Linear(3, 1))
    np.testing.assert_array_equal(again.predict(x)["prediction"], predicted)


def test_own_network_of_the_wrong_size_is_explained(tmp_path: Path) -> None:
    x, y = torch.randn(60, 3), torch.arange(60) % 3
    with pytest.raises(InputError, match=r"cannot take a batch of shape \(1, 3\)"):
        osler.train((x, y), model=nn.Linear(4, 3), out=tmp_path / "a", verbose=False)
    with pytest.raises(InputError, match="one logit for each of the 3 classes"):
        osler.train((x, y), model=nn.Linear(3, 2), out=tmp_path / "b", verbose=False)
    assert list(tmp_path.iterdir()) == []


def test_regression_in_the_targets_units(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.normal(size=300), "b": random.normal(size=300)})
    frame["price"] = 1000 * frame["a"] + 50_000
    run = osler.train(frame, target="price", model="linear", epochs=60, out=tmp_path / "r", verbose=False)
    assert run.metrics["r2"] > 0.999
    np.testing.assert_allclose(run.predict(frame)["prediction"], frame["price"], atol=100)


def test_several_targets_at_once(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4)).astype(np.float32)
    numbers = osler.train((x, x[:, :2] * 3), model="linear", epochs=40, out=tmp_path / "n", verbose=False)
    assert list(numbers.predict(x).columns) == ["prediction target_0", "prediction target_1"]
    assert numbers.metrics["r2"] > 0.99
    labels = osler.train((x, (x[:, :2] > 0).astype(int)), model="linear", epochs=40, out=tmp_path / "l", verbose=False)
    assert labels.record["task"]["kind"] == "multilabel"
    assert labels.metrics["accuracy"] > 0.9
    assert "residuals" in numbers.judged
    assert "confusion" not in labels.judged


def test_class_weights_balance(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 2)).astype(np.float32)
    y = (x[:, 0] + random.normal(size=400) > 1.5).astype(int)  # rare, and not certain
    plain = osler.train((x, y), model="linear", epochs=30, out=tmp_path / "p", verbose=False)
    weighted = osler.train(
        (x, y), model="linear", epochs=30, class_weights="balanced", out=tmp_path / "w", verbose=False
    )
    found = [int((run.predict(x)["prediction"] == "1").sum()) for run in (plain, weighted)]
    assert found[1] > 2 * found[0]
    assert isinstance(weighted.recipe.class_weights, dict)


def test_perceptron_cannot_learn_xor_but_an_mlp_does(tmp_path: Path) -> None:
    line = osler.train("xor", model="perceptron", epochs=10, out=tmp_path / "p", verbose=False)
    assert line.metrics["accuracy"] <= 0.76
    assert osler.train("xor", epochs=40, out=tmp_path / "m", verbose=False).metrics["accuracy"] == 1.0


def test_pictures(tmp_path: Path) -> None:
    run = osler.train("digits", epochs=4, out=tmp_path / "d", verbose=False)
    assert run.metrics["accuracy"] > 0.9
    worst = run.judged["worst"][0]
    assert worst["picture"]
    assert worst["target"] in run.record["task"]["classes"]
    assert len(run.predict("digits")) == 1797
    assert sum(map(sum, run.judged["confusion"]["counts"])) == run.judged["count"]


def test_folder_of_pictures_with_a_broken_one(tmp_path: Path) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for name, bright in (("dark", 60), ("light", 190)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            pixels = random.integers(bright - 40, bright + 40, (12, 12, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    whole = (tmp_path / "pictures/dark/3.png").read_bytes()
    (tmp_path / "pictures/dark/3.png").write_bytes(whole[: len(whole) // 2])
    run = osler.train(tmp_path / "pictures", epochs=3, out=tmp_path / "run", verbose=False)
    assert any("3.png" in note for note in run.record["data"]["notes"])
    notes: list[str] = []
    predicted = run.predict(tmp_path / "pictures", notes)
    assert len(predicted) == 39
    assert any("3.png" in note for note in notes)
    single = run.predict(tmp_path / "pictures/light/0.png")
    assert single["p(light)"][0] == pytest.approx(
        predicted.set_index("file")["p(light)"][str(tmp_path / "pictures/light/0.png")], abs=1e-5
    )


def test_diverged_is_said_and_the_best_weights_kept(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    run = osler.train(
        (x, x[:, 0]),
        model="linear",
        optimizer="sgd",
        lr=1e6,
        schedule="constant",
        epochs=50,
        out=tmp_path / "x",
        verbose=False,
    )
    assert run.status == "diverged"
    assert all(torch.isfinite(p).all() for p in run.model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "unknown recipe field 'epoch'; did you mean 'epochs'"),
        ({"model": "mpl"}, "unknown model 'mpl'; did you mean 'mlp'"),
        ({"model": {"name": "mlp", "hiden": [3]}}, "unknown option of model 'mlp': 'hiden'; did you mean 'hidden'"),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'; did you mean 'adam'"),
        ({"optimizer": "adam", "momentm": 1}, "unknown recipe field 'momentm'; did you mean 'momentum'"),
        ({"loss": "hubber"}, "unknown loss 'hubber'; did you mean 'huber'"),
        ({"metrics": ["acuracy"]}, "unknown metric 'acuracy'; did you mean 'accuracy'"),
        ({"epochs": 0}, "epochs = 0"),
        ({"task": "clasification"}, "unknown task 'clasification'; did you mean 'classification'"),
        ({"target": "petal"}, "target"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        osler.train("iris", out=tmp_path / "x", verbose=False, **settings)
    assert list(tmp_path.iterdir()) == []


def test_damaged_run_is_explained(run: osler.Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run folder"):
        osler.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"not a run folder: it has no run\.json"):
        osler.load(tmp_path)
    for name in ("model.safetensors", "preprocess.json", "recipe.yaml"):
        broken = tmp_path / name
        shutil.copytree(run.folder, broken)
        (broken / name).write_bytes((broken / name).read_bytes()[:40])
        with pytest.raises(InputError, match=name):
            osler.load(broken)


def test_shows_itself(run: osler.Run) -> None:
    assert "accuracy" in repr(run)
    assert "<table>" in run._repr_html_()


def test_penalty_and_bounds_from_a_recipe(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 5)).astype(np.float32)
    y = 3 * x[:, 0] + random.normal(size=300).astype(np.float32)
    settings = {"model": "linear", "epochs": 30, "verbose": False}
    free, lasso, bound = (
        osler.train((x, y), out=tmp_path / name, **settings, **more)  # type: ignore[arg-type]
        for name, more in {
            "free": {},
            "lasso": {"penalty": {"name": "lasso", "strength": 0.3}, "clip_value": 1.0},
            "bound": {"max_norm": 0.5},
        }.items()
    )
    weights = {run.folder.name: run.model.state_dict()["linear.weight"] for run in (free, lasso, bound)}
    # On standardised data the lasso moves the one useful weight by up to half its strength, the others to about 0.
    assert 0.08 < (weights["free"] - weights["lasso"])[0, 0] < 0.16
    assert weights["lasso"][0, 1:].abs().max() < 0.02
    assert weights["bound"].norm().item() == pytest.approx(0.5, abs=1e-4)
    assert lasso.recipe.penalty is not None
    assert lasso.recipe.penalty.name == "l1"
    assert {"penalty", "clip value"} <= {choice["what"] for choice in lasso.record["choices"]}
    active = osler.train((x, y), model="mlp", epochs=2, penalty="activity", out=tmp_path / "active", verbose=False)
    assert active.status == "finished"
