"""The scripts in examples/ run."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_own_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert runpy.run_path(str(EXAMPLES / "own_network.py"))["main"]() > 0.97
    assert "loss/train" in capsys.readouterr().out


@pytest.mark.slow
def test_titanic(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(EXAMPLES / "titanic.py"))["main"]
    main(str(real_data / "titanic" / "train.csv"), str(real_data / "titanic" / "test.csv"))
    printed = capsys.readouterr().out
    assert "'Name' left out" in printed
    assert "'Fare': 1 values missing" in printed


def test_digit_strings(real_data: Path, tmp_path: Path) -> None:
    import pandas as pd
    import soundfile

    write = runpy.run_path(str(EXAMPLES / "digit_strings.py"))["write_strings"]
    write(real_data / "fsdd" / "recordings", tmp_path, {"train": 12, "test": 6})
    table = pd.read_csv(tmp_path / "test.csv")
    assert len(table) == 6
    assert table["text"].str.split().str.len().between(2, 5).all()
    assert sorted(table["speaker"]) == ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"]
    assert all(soundfile.info(tmp_path / name).duration > 0.5 for name in table["file"])
