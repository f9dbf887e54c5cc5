"""The README tells the truth: its Python runs, its commands print what it shows (but for the digits of numbers)."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from osler.recipe import Recipe

TEXT = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"), ids=range(len(blocks("python"))))
def test_python_runs(code: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("console"), ids=range(len(blocks("console"))))
def test_console_prints_what_it_shows(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, *shown = block.strip().splitlines()
    words = shlex.split(command.removeprefix("$ osler "))
    monkeypatch.setenv("COLUMNS", "120")
    done = subprocess.run([sys.executable, "-m", "osler.cli", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [shape(line) for line in done.stdout.strip().splitlines()] == [shape(line) for line in shown]


def shape(line: str) -> str:
    """The line without what differs from machine to machine: the digits, and how many there are."""
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?(e-?\d+)?", "#", line)).strip()


def test_recipe_is_one() -> None:
    for block in blocks("yaml"):
        assert Recipe.build(yaml.safe_load(block)).epochs == 60
