"""`osler doctor`: programs, runs, recipes and sources are examined; what is none of these is refused in a sentence."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import osler
from osler.consultation import consult
from osler.errors import InputError

PROGRAM = """
import sys
import torch
from torch import nn

def train(end=()):
    torch.manual_seed(0)
    x = torch.randn(200, 6)
    y = x[:, :3].argmax(1)
    net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3), *end)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for epoch in range(20):
        for rows in torch.randperm(200).split(20):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
    print("the program speaks", *sys.argv[1:])

def sick():
    train([nn.Softmax(1)])

if __name__ == "__main__":
    train()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


def shell(*arguments: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "osler", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_a_healthy_program(program: Path) -> None:
    done = shell("train.py", "--", "--fast", cwd=program.parent)
    assert done.returncode == 0, done.stderr
    assert "the program speaks --fast" in done.stdout
    assert "Nothing wrong was found." in done.stdout


def test_a_sick_function_as_json_and_as_a_page(program: Path) -> None:
    done = shell("train.py:sick", "--json", "--html", "page.html", cwd=program.parent)
    assert done.returncode == 1, done.stderr
    [patient] = json.loads(done.stdout)["patients"]  # nothing else is on standard output
    assert patient["findings"][0]["ailment"] == "double-softmax"
    assert patient["findings"][0]["cures"]
    assert "the program speaks" in done.stderr
    page = (program.parent / "page.html").read_text()
    assert "Softmax twice" in page
    assert "<svg" in page


def test_a_program_that_fails_is_diagnosed_all_the_same(program: Path) -> None:
    program.write_text(PROGRAM.replace("train()\n", "sick()\n    raise RuntimeError('no more data')\n"))
    consultation = consult(str(program))
    assert consultation.patients[0][1][0].ailment == "double-softmax"
    assert "no more data" in str(consultation)
    assert "no more data" in consultation.html()
    assert consultation.critical


def test_a_source_is_trained_and_nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    consultation = consult("digits", settings={"model": "mlp", "initialization": "zeros", "epochs": 3, "seed": None})
    [(name, diagnosis)] = consultation.patients
    assert (name, diagnosis[0].ailment) == ("", "constant-init")
    assert list(tmp_path.iterdir()) == []


def test_a_run_and_its_recipe(tmp_path: Path) -> None:
    run = osler.train("digits", model="mlp", initialization="zeros", epochs=3, out=tmp_path / "run", verbose=False)
    for patient in (run.folder, run.folder / "recipe.yaml"):
        [(_, diagnosis)] = consult(str(patient)).patients
        assert diagnosis[0].ailment == "constant-init"


@pytest.mark.parametrize(
    ("patient", "arguments", "settings", "said"),
    [
        ("nosuch.py", [], {}, "nosuch.py"),
        ("nosuch", [], {}, "unknown source"),
        ("{train}:nothing", [], {}, "nothing"),
        ("{train}", [], {"model": "mlp"}, "model: a program has its own settings"),
        ("digits", ["--epochs"], {}, "--epochs: only a program"),
        ("digits", [], {"nosuch": 3}, "nosuch"),
        ("nosuch.yaml", [], {}, "nosuch.yaml"),
        ("{folder}", [], {}, "no such file or folder"),
    ],
)
def test_bad_input(
    program: Path, patient: str, arguments: list[str], settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        consult(patient.format(train=program, folder=tmp_path / "run"), arguments, settings)


@pytest.mark.parametrize("text", ["def f(:\n", "\x00\x01", "x = 1"])
def test_what_is_no_training_program(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.py"
    path.write_text(text)
    if text == "x = 1":
        consultation = consult(str(path))
        assert not consultation.patients
        assert "no model was trained" in str(consultation).lower()
    else:
        with pytest.raises(InputError, match=r"odd\.py"):
            consult(str(path))
