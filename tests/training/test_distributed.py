"""Several processes that train one network: real ones, started by torchrun, against one process alone."""

import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import osler
from osler.training.distributed import joined

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
OSLER = [sys.executable, "-m", "osler"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
# Dropout and batch normalisation: random numbers and statistics of each process's own.
TRAIN = ["train", "digits", "--model", "convnet", "--epochs", "4", "--seed", "1", "--set", "threads=1"]
TRAIN += ["--set", "model.dropout=0.2", "--set", "model.width=8"]
PLAIN = ["train", "digits", "--model", "mlp", "--epochs", "6", "--set", "model.dropout=0", "--set", "threads=1"]
OFTEN = ["--set", "checkpoints.every_steps=4"]


def programs() -> Any:
    spec = importlib.util.spec_from_file_location("programs_of_several", HERE / "programs_of_several.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


P = programs()


def start(command: list[str], *arguments: Any) -> subprocess.Popen[str]:
    both = [*command, *map(str, arguments)]
    return subprocess.Popen(both, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ONE_THREAD)


def finish(command: list[str], *arguments: Any) -> str:
    process = start(command, *arguments)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def assert_close(found: Any, expected: Any) -> None:
    """Equal to 1e-4, in all containers; every difference is a failure, also one of length or of keys."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_close(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-4, nan_ok=True)
    else:
        assert found == expected


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what one process has begun, in one piece and in shards, for others to go on with."""
    folder = tmp_path_factory.mktemp("alone")
    P.begin(folder, 0, 1, shards=False)
    with joined(alone_too=True):
        P.begin(folder, 0, 1, shards=True)
    return folder


@pytest.fixture(scope="module")
def two(alone: Path) -> list[dict[str, Any]]:
    """What two processes found that ran all programs together."""
    finish(TORCHRUN, HERE / "programs_of_several.py", alone)
    return [json.loads((alone / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("name", [
    "classes_that_weigh_differently", "torchs_loss_with_targets_to_ignore", "rare_positives", "weighted_regression",
    "in_shards", "one_is_told_to_end", "a_sample_that_is_no_number", "freed_later",
])  # fmt: skip
def test_two_processes_learn_as_one(two: list[dict[str, Any]], name: str) -> None:
    expected = json.loads(json.dumps(P.PROGRAMS[name](0, 1)))
    assert_close(two[0][name], expected)
    if name != "in_shards":  # where the first alone puts the weights together
        assert two[0][name] == two[1][name]


def test_the_programs_are_worth_running(two: list[dict[str, Any]]) -> None:
    assert two[0]["one_is_told_to_end"] == "terminated"
    spoilt = two[0]["a_sample_that_is_no_number"]
    assert (spoilt["stopped"]["status"], spoilt["skipped"]["status"]) == ("diverged", "finished")
    assert "first not finite: the inputs" in spoilt["stopped"]["notes"][0]
    assert len(spoilt["skipped"]["notes"]) == 3
    rows = two[0]["rare_positives"]["rows"]
    assert rows[-1]["loss/train"] < rows[0]["loss/train"]
    assert 0 < rows[-1]["roc_auc/val"] < 1
    assert all(math.isfinite(row["loss/train"]) for row in two[0]["torchs_loss_with_targets_to_ignore"]["rows"])


def test_one_that_stops_stops_all(two: list[dict[str, Any]]) -> None:
    for found in two:
        assert found["one_wants_to_stop"]["status"] == "stopped early"
        assert len(found["one_wants_to_stop"]["rows"]) == 2


def test_a_loss_that_is_infinite_takes_shards_back(two: list[dict[str, Any]]) -> None:
    assert two[0]["shards_go_back"] == two[1]["shards_go_back"]
    assert two[0]["shards_go_back"]["status"] == "finished"
    assert "the loss is inf; weights and optimizer went back" in two[0]["shards_go_back"]["notes"][0]


@pytest.mark.parametrize("kind", ["copies", "shards"])
def test_resumed_by_as_many_it_ends_bit_for_bit_the_same(two: list[dict[str, Any]], kind: str) -> None:
    assert two[0]["goes_on_bit_for_bit"][kind]["same"]
    assert two[1]["goes_on_bit_for_bit"][kind]["same"]


def test_told_to_end_with_an_epochs_last_batch(two: list[dict[str, Any]]) -> None:
    # Several processes hear of it a step later, when the data have nothing left of this epoch.
    expected = {"same": True, "status": "terminated"}
    assert P.told_at_the_end_of_an_epoch(0, 1) == {**expected, "drained": False}
    for found in two:
        assert found["told_at_the_end_of_an_epoch"] == {**expected, "drained": True}


@pytest.mark.parametrize("shards", [False, True])
def test_another_number_of_processes_goes_on(alone: Path, two: list[dict[str, Any]], shards: bool) -> None:
    whole = P.begin(alone, 0, 1, shards=False)  # one process, undisturbed
    with joined(alone_too=shards):
        fewer = P.go_on(alone, 2, 0, 1, shards)
    more = two[0][f"gone on {shards}"]
    assert_close(more["rows"], whole)
    assert_close(fewer["rows"], whole)
    assert more["notes"] == ["begun by 1 processes, goes on with 2: the same samples, but other noise and last digits"]
    assert fewer["notes"] == ["begun by 2 processes, goes on with 1: the same samples, but other noise and last digits"]


def test_what_they_tell_each_other(two: list[dict[str, Any]]) -> None:
    for found in two:
        expected = {"largest": 10.0, "first": "from 0", "gather": [0, 1], "sum": [3.0, [2, 1]]}
        assert found["talk"] == {"news": [0.0, 0.0, 1.0, 0.0], **expected}  # a call later, for both


def test_what_several_processes_cannot_do_is_said(two: list[dict[str, Any]]) -> None:
    for found in two:
        players, tiny = found["cannot_be_done"]
        assert "2 turns, and 2 processes train objectives of one turn only" in players
        assert "a batch of 1 cannot be shared by 2 processes" in tiny
        assert found["normalised_batches"]["notes"] == ["batch normalisation sees only each process's part of a batch"]
    # The network that is kept has the statistics of the first, everywhere.
    assert two[0]["normalised_batches"] == two[1]["normalised_batches"]


def workers(launcher: subprocess.Popen[str]) -> dict[int, int]:
    """The process of each rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    found = {}
    for child in children:
        for entry in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            if entry.startswith(b"RANK="):
                found[int(entry[5:])] = int(child)
    return found


def wait_for_checkpoint(process: subprocess.Popen[str], run: Path) -> None:
    for _ in range(2400):
        if any((run / "checkpoints").glob("step-*.json")):
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    output = finish(OSLER, *TRAIN, "--processes", 2, "--out", run, "--json")
    assert json.loads(output)["status"] == "finished"  # said once
    return run


def test_two_processes_leave_one_run(whole: Path) -> None:
    run = osler.load(whole)
    assert list(run.history["epoch"]) == [1, 2, 3, 4]
    assert run.record["environment"]["processes"] == 2
    assert (whole / "report.html").exists()
    assert [path.name for path in whole.parent.iterdir()] == ["run"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_a_dead_process_ends_the_job_which_can_go_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(OSLER, *TRAIN, *OFTEN, "--processes", 2, "--out", run)
    wait_for_checkpoint(process, run)
    os.kill(workers(process)[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith("osler: process 1 of 2 was killed (SIGKILL), and the others ended")
    assert "Traceback" not in output
    resumed = osler.resume(run, verbose=False)
    assert resumed.status == "finished"
    assert list(resumed.history["epoch"]) == [1, 2, 3, 4]
    assert "begun by 2 processes, goes on with 1" in " ".join(resumed.record["notes"])


def test_told_to_end_all_save_together(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(OSLER, *TRAIN, *OFTEN, "--processes", 2, "--out", run)
    wait_for_checkpoint(process, run)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert output.splitlines()[-1].strip().startswith("· told to end: the state is saved")
    assert json.loads((run / "run.json").read_text())["status"] == "terminated"


def test_a_mistake_is_told_once() -> None:
    process = start(OSLER, "train", "nothing-here.csv", "--processes", 2)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "osler: no such file or folder: 'nothing-here.csv'\n")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_torchrun_starts_again_where_the_dead_job_was(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    process = start([*TORCHRUN, "--max-restarts=1", *OSLER[1:]], *TRAIN, *OFTEN, "--out", run)
    wait_for_checkpoint(process, run)
    os.kill(workers(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "Resuming" in output
    assert "from step" in output
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    again, undisturbed = (osler.load(folder).history.drop(columns="seconds") for folder in (run, whole))
    assert again.equals(undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_a_sharded_run_goes_on_with_three(tmp_path: Path) -> None:
    run, plain = tmp_path / "run", tmp_path / "plain"
    whole = osler.train("digits", model={"name": "mlp", "dropout": 0}, epochs=6, threads=1, out=plain, verbose=False)
    process = start(OSLER, *PLAIN, *OFTEN, "--set", "engine.sharding=true", "--processes", 2, "--out", run)
    wait_for_checkpoint(process, run)
    os.kill(workers(process)[1], signal.SIGKILL)
    process.communicate(timeout=60)
    assert "from step" in finish(OSLER, "resume", run, "--processes", 3)
    sharded = osler.load(run)
    assert_close(
        sharded.history.drop(columns="seconds").to_dict("records"),
        whole.history.drop(columns="seconds").to_dict("records"),
    )
    assert_close(sharded.metrics, whole.metrics)
