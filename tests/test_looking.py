"""`osler look` on runs of pictures and of a table."""

import base64
import io
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import osler
from osler.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    how = {"seed": 0, "verbose": False, "doctor": False, "epochs": 1}
    osler.train("digits", model="lenet5", out=folder / "digits", **how)
    osler.train("iris", out=folder / "iris", **how)
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[2:6, 3] = 255
    Image.fromarray(pixels).save(folder / "one.png")
    return folder


def look(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str]:
    monkeypatch.chdir(runs)
    monkeypatch.setattr(sys, "argv", ["osler", "look", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out + told.err


def tiles(path: Path) -> list[np.ndarray]:
    text = path.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    found = re.findall(r"data:image/png;base64,([^\"]+)", text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_filters(runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = look(runs, capsys, monkeypatch, "digits", "--json")
    assert code == 0
    record = json.loads(told)
    assert record["layers"] == [{"name": "c1", "kind": "Conv2d", "shape": [6, 1, 5, 5], "note": ""}]
    assert [tile.shape for tile in tiles(runs / record["picture"])] == [(5, 5)] * 6


def test_maps(runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, told = look(
        runs, capsys, monkeypatch, "digits", "one.png", "--layer", "c1", "--layer", "s4", "--out", "m.svg"
    )
    assert code == 0
    assert "s4                       AvgPool2d 16×5×5" in told
    found = tiles(runs / "m.svg")
    assert [tile.shape for tile in found] == [(8, 8), *[(28, 28)] * 6, *[(5, 5)] * 16]
    np.testing.assert_array_equal(found[0], np.asarray(Image.open(runs / "one.png")))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--layer", "c2"], "c1"),
        (["digits", "one.png", "--layer", "output"], "'output' gives none"),
        (["iris"], "filters and maps are of pictures"),
    ],
)
def test_mistakes(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    code, told = look(runs, capsys, monkeypatch, *words)
    assert code == 2
    assert message in told
