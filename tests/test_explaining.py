"""`osler explain` and `osler dream` on runs of pictures, tables and arrays."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_wine

import osler
from osler.cli import main
from osler.errors import InputError
from osler.explaining import FOR_PICTURES, FOR_TABLES, dream_run, explain_run
from osler.explainpage import page


def trained(source: object, folder: Path, **settings: object) -> osler.Run:
    return osler.train(source, out=folder, seed=0, verbose=False, doctor=False, **settings)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> osler.Run:
    return trained("digits", tmp_path_factory.mktemp("runs") / "digits", model="convnet", epochs=2)


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> osler.Run:
    return trained("wine", tmp_path_factory.mktemp("runs") / "wine", epochs=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured pictures of two classes, a folder for each."""
    place = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for name, channel in (("red", 0), ("green", 1)):
        (place / name).mkdir()
        for i in range(12):
            pixels = random.integers(0, 80, (16, 16, 3), dtype=np.uint8)
            pixels[4:12, 4:12, channel] = 255
            Image.fromarray(pixels).save(place / name / f"{i}.png")
    return place


def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["osler", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_pictures_on_a_page(digits: osler.Run) -> None:
    found = explain_run(digits, "digits", first=2)
    assert [a.method for a in found.attributions] == list(FOR_PICTURES)
    assert all(a.values.shape == (2, 1, 8, 8) for a in found.attributions)
    predicted = digits.predict("digits")
    for i, sample in enumerate(found.samples):
        assert sample.prediction == predicted["prediction"][i]
        assert sample.scores == pytest.approx({str(c): predicted[f"p({c})"][i] for c in range(10)}, abs=1e-5)
        assert {found.explained(a, i) for a in found.attributions} == {str(sample.prediction)}
    html = page(found)
    assert html.count("<img ") == 2 * (1 + len(FOR_PICTURES))
    assert "Can the maps be trusted" in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)  # nothing from elsewhere
    assert html.count("<script>") == 1


def test_a_network_without_maps_leaves_grad_cam_out(tmp_path: Path) -> None:
    run = trained("digits", tmp_path / "run", model="mlp", epochs=1)
    found = explain_run(run, "digits", first=1, sanity=False)
    assert "grad_cam" not in [a.method for a in found.attributions]
    assert any(note.startswith("grad_cam left out") for note in found.notes)
    with pytest.raises(InputError, match="no module of this network does"):
        explain_run(run, "digits", ["grad_cam"])


def test_lenet5_and_the_shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("digits", tmp_path / "run", model="lenet5", epochs=1)
    how = ("--first", 1, "--target", "3", "--method", "deep_lift", "--method", "grad_cam")
    code, out, _ = shell(capsys, monkeypatch, "explain", tmp_path / "run", "digits", *how)
    assert code == 0
    assert "can be trusted" in out
    assert "deep lift" in out
    assert "layer s4" in out
    assert "for 3" in (tmp_path / "run" / "explanation.html").read_text(encoding="utf-8")


def test_a_folder_of_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(folder, tmp_path / "run", model="convnet", epochs=3)
    one = folder / "red" / "3.png"
    out = tmp_path / "page.html"
    code, text, err = shell(capsys, monkeypatch, "explain", run.folder, one, "--method", "ig", "--out", out, "--json")
    assert code == 0, err
    record = json.loads(text)
    assert record["samples"][0]["name"] == "3.png"
    assert record["methods"]["integrated_gradients"]["complete"]
    assert record["methods"]["integrated_gradients"]["sanity"]["trusted"]
    assert record["page"] == str(out)
    assert "3.png" in out.read_text(encoding="utf-8")
    assert len(explain_run(run, folder, ["saliency"], first=30, sanity=False).samples) == 24

    code, text, err = shell(capsys, monkeypatch, "dream", run.folder, one, "--out", tmp_path / "dream.png", "--json")
    assert code == 0, err
    record = json.loads(text)
    assert record["after"] > record["before"]
    assert record["layer"].startswith("stages.")
    with Image.open(tmp_path / "dream.png") as image:
        assert image.size == (192, 192)  # 16 pixels, each a block of 12


def test_a_table_on_a_page(wine: osler.Run) -> None:
    found = explain_run(wine, "wine", first=3)
    assert [a.method for a in found.attributions] == list(FOR_TABLES)
    assert all(a.complete for a in found.attributions)
    columns = list(load_wine().feature_names)
    assert list(found.columns) == columns
    for a in found.attributions:
        total = sum(found.by_column(a, 0).values())
        assert total == pytest.approx(float(a.values[0].sum()), abs=1e-5)
    assert {i.column for i in found.importances} == set(columns)
    assert found.importances[0].mean > 0.01
    assert found.measure == "accuracy"
    assert [d.column for d in found.dependences] == [i.column for i in found.importances[:6]]
    html = page(found)
    for title in ("Predictions explained", "Permutation importance", "Partial dependence", "What to keep in mind"):
        assert f"<h2>{title}</h2>" in html
    assert "proline" in found.text()


def test_without_a_target_importance_is_left_out(wine: osler.Run) -> None:
    table = load_wine(as_frame=True).data.head(5)
    found = explain_run(wine, table, ["saliency"], first=1, sanity=False)
    assert not found.importances
    assert any("permutation importance left out" in note for note in found.notes)
    assert found.dependences


def test_a_regression(tmp_path: Path) -> None:
    run = trained("diabetes", tmp_path / "run", model="linear", epochs=2)
    found = explain_run(run, "diabetes", ["integrated_gradients"], first=2, sanity=False)
    assert found.outputs == ("progression",)
    assert found.measure == "r2"
    assert "progression" in page(found)


def test_names_from_strangers_are_only_words(tmp_path: Path) -> None:
    frame = load_wine(as_frame=True).data.iloc[:, :2].set_axis(["<script>a</script>", "b & c"], axis=1)
    frame["kind"] = np.where(frame["b & c"] > 2, "<b>x</b>", "y")
    run = trained(frame, tmp_path / "run", target="kind", epochs=1)
    html = page(explain_run(run, frame, ["saliency"], first=1, sanity=False))
    assert html.count("<script>") == 1
    assert "&lt;script&gt;a&lt;/script&gt;" in html
    assert "<b>x</b>" not in html


def test_arrays(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    run = trained((x, (x[:, 0] > 0).astype(int)), tmp_path / "run", epochs=2)
    found = explain_run(run, x, ["shapley"], first=1, sanity=False)
    assert list(found.columns) == ["input 1", "input 2", "input 3"]
    assert "input 3" in page(found)


def test_dreams(digits: osler.Run, wine: osler.Run) -> None:
    found, pixels = dream_run(digits, None, "output:3")
    assert pixels.shape == (8, 8, 1)
    assert pixels.dtype == np.uint8
    assert found.after > found.before
    with torch.no_grad():
        seen = digits.model(digits.encode("digits"))[:, 3]
        again = digits.model(digits.encode(pixels[None, :, :, 0]))[0, 3]
    assert found.after > seen.max()  # more of a 3 than any picture
    assert float(again) == pytest.approx(found.after, rel=0.02)  # the pixels are whole numbers
    with pytest.raises(InputError, match="only a run trained on pictures"):
        dream_run(wine, None)


def test_bad_input_is_one_line(
    digits: osler.Run,
    wine: osler.Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n", encoding="utf-8")
    for words, said in (
        (("explain", digits.folder, "nothing.png"), "no such file or folder: 'nothing.png'"),
        (("explain", digits.folder, "digits", "--method", "shaply"), "did you mean 'shapley'"),
        (("explain", digits.folder, "digits", "--target", "eleven"), "unknown target 'eleven'"),
        (("explain", digits.folder, "iris"), "trained on images"),
        (("explain", digits.folder, "digits", "--out", tmp_path / "no" / "a.html"), "there is no folder"),
        (("explain", wine.folder, other), "the data lacks"),
        (("explain", wine.folder, "wine", "--method", "grad_cam"), "grad_cam explains pictures"),
        (("explain", tmp_path, "wine"), "is not a run folder"),
        (("dream", digits.folder, "--layer", "stages.0.conf2"), "did you mean 'stages.0.conv2'"),
        (("dream", digits.folder, "--layer", "output:10"), "does not exist"),
    ):
        code, out, err = shell(capsys, monkeypatch, *words)
        assert code == 2, err
        assert out == ""
        assert said in err
        assert len(err.strip().splitlines()) == 1


def test_captum_waits_until_it_is_needed() -> None:
    code = (
        "import sys, osler.explain, osler.explaining; print([m for m in ('captum', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
