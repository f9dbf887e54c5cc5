"""Runs that are killed, interrupted or told to end, and go on: with real processes and real signals."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import osler
from osler.errors import InputError

COMMAND = [sys.executable, "-m", "osler"]
# Dropout, augmentation and a schedule: everything that has a state of its own.
TRAIN = ["--model", "convnet", "--epochs", "40", "--seed", "1"]
TRAIN += ["--set", "model.dropout=0.2", "--set", "model.width=8", "--set", "threads=1"]
# Else measured, and on a busy machine not twice the same.
TRAIN += ["--set", "engine.precision=float32", "--set", "engine.channels_last=no", "--set", "engine.compile=no"]
OFTEN = ["--set", "checkpoints.every_steps=4"]
AUGMENTED = ["--set", "augment=[{name: flip}, {name: shift, pixels: 1}]"]


def start(*arguments: Any) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's & has it ignored
    )


def finish(*arguments: Any) -> str:
    process = start(*arguments)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def history(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def wait_for_checkpoint(process: subprocess.Popen[str], run: Path, after: int = -1) -> int:
    """Waits for a checkpoint of a later step than `after`, and gives its step."""
    for _ in range(1200):
        steps = [int(path.stem[5:]) for path in (run / "checkpoints").glob("step-*.json")]
        if steps and max(steps) > after:
            return max(steps)
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    finish("train", "digits", *TRAIN, *AUGMENTED, "--out", run)
    return run


@pytest.mark.slow
def test_killed_twenty_times_it_ends_as_if_nothing_had_happened(tmp_path: Path, whole: Path) -> None:
    run, chance = tmp_path / "run", random.Random(0)
    process = start("train", "digits", *TRAIN, *AUGMENTED, *OFTEN, "--out", run)
    step = wait_for_checkpoint(process, run)
    for kill in range(20):
        time.sleep(chance.uniform(0, 0.3))
        process.kill()
        process.communicate()
        if kill < 19:
            process = start("resume", run)
            # Some of the kills come before there is anything new.
            if chance.random() < 0.5:
                step = wait_for_checkpoint(process, run, step)
            else:
                time.sleep(chance.uniform(0, 3))
    assert json.loads((run / "run.json").read_text())["status"] == "training"
    assert "from step" in finish("resume", run)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert history(run) == history(whole)
    assert len(history(run)) == 40
    assert osler.load(run).status == "finished"


def test_told_to_end_it_saves_and_says_so(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    process = start("train", "digits", *TRAIN, *AUGMENTED, "--set", "checkpoints.every_steps=30", "--out", run)
    wait_for_checkpoint(process, run)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=5)
    assert process.returncode == 143
    assert "the state is saved" in output
    with pytest.raises(InputError, match="not finished"):
        osler.load(run)
    assert "from step" in finish("resume", run)
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert history(run) == history(whole)


def test_interrupted_it_is_a_run_that_can_go_on(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    process = start("train", "digits", *TRAIN, *AUGMENTED, "--set", "checkpoints.every_steps=30", "--out", run)
    wait_for_checkpoint(process, run)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert osler.load(run).status == "interrupted"
    finish("resume", run)
    assert osler.load(run).status == "finished"
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    process = start("train", "digits", *TRAIN, *AUGMENTED, *OFTEN, "--out", run)
    wait_for_checkpoint(process, run, wait_for_checkpoint(process, run) + 8)
    process.kill()
    process.communicate()
    last = max((run / "checkpoints").glob("step-*.json")).with_suffix(".pt")
    last.write_bytes(last.read_bytes()[:-100])
    output = finish("resume", run)
    assert f"{last.name} is damaged" in output
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_what_cannot_be_resumed(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(InputError, match="is finished: there is nothing left to do"):
        osler.resume(whole)
    with pytest.raises(InputError, match="is not a run folder"):
        osler.resume(tmp_path)


def test_data_in_memory_must_be_given_again_unchanged(tmp_path: Path) -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    model = torch.nn.Linear(4, 1)
    with pytest.raises(SystemError):  # nothing of the work is lost
        osler.train((x, y), model=Stops(model, 30), out=tmp_path / "run", epochs=5, checkpoints={"every_steps": 10})
    fresh = Stops(torch.nn.Linear(4, 1), 10**9)
    for arguments, match in (
        ({}, "give a new one of the same architecture"),
        ({"model": fresh}, "data in memory: give them again"),
        ({"model": fresh, "source": (x + 1, y)}, "has changed since"),
        ({"model": fresh, "source": (x[:100], y[:100])}, "has changed since"),
    ):
        with pytest.raises(InputError, match=match):
            osler.resume(tmp_path / "run", **arguments)
    run = osler.resume(tmp_path / "run", (x, y), model=fresh, verbose=False)
    assert run.status == "finished"
    assert list(run.history["epoch"]) == [1, 2, 3, 4, 5]


class Stops(torch.nn.Module):
    """Crashes at a forward pass of training, as a machine does."""

    def __init__(self, model: torch.nn.Module, at: int):
        super().__init__()
        self.model, self.left = model, at

    def forward(self, x: torch.Tensor) -> Any:
        self.left -= self.training
        if self.left < 0:
            raise SystemError("the machine is gone")
        return self.model(x)
