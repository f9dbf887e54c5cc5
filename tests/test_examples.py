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
