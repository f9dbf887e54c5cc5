"""`osler list` and `osler show`, as a student types them."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest


def osler(*arguments, cwd):
    command = [sys.executable, "-m", "osler.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, encoding="utf-8")


def test_lists(tmp_path):
    everything = osler("list", cwd=tmp_path).stdout
    assert all(kind in everything for kind in ("activations", "schedules", "datasets", "he_normal"))
    losses = json.loads(osler("list", "losses", "--json", cwd=tmp_path).stdout)
    assert losses["huber"]["summary"].startswith("Squared near zero")
    assert "l1" in losses["mae"]["aliases"]


def test_shows_and_draws(tmp_path):
    done = osler("show", "leaky_relu", "--set", "slope=0.2", "--svg", "leaky.svg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("leaky_relu (slope = 0.2)")
    assert "\x1b" not in done.stdout  # no colours in a pipe
    assert done.stdout.endswith("drawn in leaky.svg\n")
    ElementTree.parse(tmp_path / "leaky.svg")


def test_a_name_of_several_kinds_shows_all_of_them(tmp_path):
    done = osler("show", "perceptron", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("────\n") >= 2
    assert "osler show model perceptron" in done.stdout
    entries = json.loads(osler("show", "perceptron", "--json", cwd=tmp_path).stdout)["entries"]
    assert [entry["kind"] for entry in entries] == ["loss", "model"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "adamm"], "did you mean 'adam'"),
        (["show", "perceptron", "--svg", "x.svg"], "osler show loss perceptron"),
        (["list", "optimisers"], "'optimizers'"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path):
    done = osler(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.strip().splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())
