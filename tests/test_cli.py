"""The shell commands, as a stranger types them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


def osler(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "osler.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error of a command that got bad input."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("osler: ")
    return lines[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shell")
    done = osler("train", "iris", "--epochs", "5", "--set", "optimizer.lr=0.01", "--out", "runs/iris", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "chosen" in done.stdout
    assert "optimizer" in done.stdout
    assert "0.01" in done.stdout
    assert "Report runs/iris/report.html" in done.stdout
    return folder


def test_json_is_all_there_is_on_standard_output(tmp_path: Path) -> None:
    done = osler("train", "blobs", "--epochs", "3", "--json", cwd=tmp_path)
    record = json.loads(done.stdout)
    assert record["status"] == "finished"
    assert 0 <= record["metrics"]["accuracy"] <= 1
    assert (tmp_path / record["folder"] / "report.html").exists()


def test_predict_evaluate_report(trained: Path) -> None:
    table = trained / "new.csv"
    from sklearn.datasets import load_iris

    frame = load_iris(as_frame=True)
    frame.data.to_csv(table, index=False)
    done = osler("predict", "runs/iris", "new.csv", cwd=trained)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.strip().splitlines()
    assert rows[0] == "prediction,probability,p(setosa),p(versicolor),p(virginica)"
    assert len(rows) == 151
    assert osler("predict", "runs/iris", "new.csv", "--out", "p.csv", cwd=trained).returncode == 0
    assert (trained / "p.csv").read_text() == done.stdout
    evaluated = json.loads(osler("evaluate", "runs/iris", "iris", "--json", cwd=trained).stdout)
    names = [str(frame.target_names[i]) for i in frame.target]
    agreed = (pd.read_csv(trained / "p.csv")["prediction"] == names).mean()
    assert evaluated["metrics"]["accuracy"] == pytest.approx(agreed)
    assert "no target 'species'" in refused(osler("evaluate", "runs/iris", "new.csv", cwd=trained))
    assert osler("report", "runs/iris", cwd=trained).stdout.strip() == "runs/iris/report.html"


def test_both_spellings_of_an_option_and_a_recipe(trained: Path) -> None:
    done = osler("train", "--recipe", "runs/iris/recipe.yaml", "--batch_size", "all", "--json", cwd=trained)
    record = json.loads(done.stdout)
    assert "batch_size: all" in (trained / record["folder"] / "recipe.yaml").read_text()


def test_draw_explains_the_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    done = osler("draw", "lenet5", "--svg", "lenet5.svg", cwd=tmp_path)
    assert "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28" in done.stdout
    assert "61 706" in done.stdout
    assert (tmp_path / "lenet5.svg").read_text().lstrip().startswith("<svg")
    record = json.loads(osler("draw", "mlp", "--inputs", "4", "--outputs", "3", "--json", cwd=tmp_path).stdout)
    assert record["layers"][-1]["outputs"] == [3]


def test_draw_takes_the_usual_inputs_and_fits_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = json.loads(osler("draw", "alexnet", "--json", cwd=tmp_path).stdout)
    assert (record["inputs"], record["parameters"]) == ([3, 227, 227], 60_965_224)
    first = record["layers"][0]
    assert (first["multiply_adds"], first["receptive_field"]) == (105_415_200, [11, 11])
    assert first["window"]["stride"] == [4, 4]
    for columns in (80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert max(map(len, osler("draw", "alexnet", cwd=tmp_path).stdout.splitlines())) <= columns


def test_lists(tmp_path: Path) -> None:
    assert {"linear", "perceptron", "mlp", "lenet5", "convnet"} <= json.loads(
        osler("models", "--json", cwd=tmp_path).stdout
    ).keys()
    assert "digits" in osler("datasets", cwd=tmp_path).stdout
    schema = json.loads(osler("schema", cwd=tmp_path).stdout)
    assert {"source", "model", "epochs"} <= schema["properties"].keys()


def test_help_has_an_example_for_every_command(tmp_path: Path) -> None:
    from osler.cli import app

    commands = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]
    assert len(commands) >= 8
    for command in commands:
        assert f"Example: osler {command}" in osler(command, "--help", cwd=tmp_path).stdout
    assert osler("--version", cwd=tmp_path).stdout.startswith("osler ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "nothing to train on"),
        (["train", "digitts"], "did you mean 'digits'"),
        (["train", "nothing.csv"], "no such file or folder"),
        (["train", "iris", "--epoch", "3"], "--epochs"),
        (["train", "iris", "--epochs", "three"], "--epochs"),
        (["train", "iris", "--set", "optimizer"], "KEY=VALUE"),
        (["train", "iris", "--lr", "3"], "--set optimizer.lr=0.01"),
        (["train", "iris", "--set", "augment=flip"], "augment changes pictures"),
        (["train", "iris", "--set", "optimiser.lr=1"], "did you mean 'optimizer'"),
        (["train", "iris", "--recipe", "none.yaml"], "no such recipe"),
        (["trane", "iris"], "trane"),
        (["predict", "nowhere", "iris"], "no such run folder"),
        (["draw", "mlp", "--outputs", "0"], "--outputs"),
        (["draw", "lenet6"], "lenet5"),
        (["draw", "lenet5", "--inputs", "32"], "lenet5"),
        (["draw", "lenet5", "--inputs", "a,b"], "--inputs"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert message in refused(osler(*arguments, cwd=tmp_path))
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


TABLES = {
    "empty.csv": ("", "the file is empty"),
    "header.csv": ("a,b,y\n", "no rows"),
    "ragged.csv": ("a,b,y\n1,2,3\n1,2\n", "ragged.csv, line 3"),
    "twice.csv": ("a,a,y\n1,2,3\n", "'a'"),
    "gap.csv": ("a,b,y\n" + "1,,0\n2,,1\n" * 20, "'b'"),
    "one.csv": ("a,y\n" + "1,x\n2,x\n" * 20, "at least two classes"),
    "constant.csv": ("a,y\n" + "1,2.5\n2,2.5\n" * 20, "always 2.5"),
    "few.csv": ("a,y\n1,p\n2,q\n3,r\n", "3 classes in 3 rows"),
}


@pytest.mark.parametrize("name", TABLES)
def test_bad_tables_are_one_line(name: str, tmp_path: Path) -> None:
    text, message = TABLES[name]
    (tmp_path / name).write_text(text)
    settings = ["--task", "regression"] if name == "constant.csv" else []
    assert message in refused(osler("train", name, "--target", "y", *settings, cwd=tmp_path))


def test_target_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,Survived\n" + "1,0\n2,1\n" * 20)
    assert "did you mean 'Survived'" in refused(osler("train", "t.csv", "--target", "survive", cwd=tmp_path))


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused(osler("train", "iris", "--out", "file/run", cwd=tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "not a run folder" in refused(osler("train", "iris", "--out", "mine", cwd=tmp_path))


def test_own_mistake_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from osler import cli

    def broken(**_: object) -> None:
        raise ZeroDivisionError("no such luck")

    monkeypatch.setattr(cli, "app", lambda *_, **options: broken(**options))
    monkeypatch.delenv("OSLER_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.startswith("osler: a mistake of Osler's own, please report it (ZeroDivisionError")
    monkeypatch.setenv("OSLER_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_divergence_is_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i / 7},{i * i / 3}\n" for i in range(60)))
    options = ["--model", "linear", "--set", "optimizer={name: sgd, lr: 1.0e+9}", "--set", "schedule=constant"]
    done = osler("train", "t.csv", "--target", "y", *options, "--epochs", "40", cwd=tmp_path)
    assert done.returncode == 1
    assert "not a number" in done.stderr


def test_interrupt_saves_the_run(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "osler.cli",
        "train",
        "spirals",
        "--epochs",
        "100000",
        "--set",
        "patience=0",
        "--out",
        "run",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("epoch "):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert "interrupted" in (tmp_path / "run" / "report.html").read_text()
    assert osler("predict", "run", "spirals", cwd=tmp_path).returncode == 0


# The engine: within this process, since starting one takes most of the time


Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs `osler` with these words in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        from osler import cli

        monkeypatch.setattr(sys, "argv", ["osler", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, int(stopped.value.code or 0), output, errors)

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OSLER_TRACEBACK", raising=False)
    return run


DIVERGING = ["--model", "linear", "--set", "optimizer={name: sgd, lr: 1.0e+9}", "--set", "schedule=constant"]


@pytest.mark.parametrize(("policy", "note"), [("stop", "the weights are"), ("skip", "the step was left out")])
def test_divergence_names_the_place(shell: Shell, tmp_path: Path, policy: str, note: str) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i / 7},{i * i / 3}\n" for i in range(60)))
    options = ["--target", "y", *DIVERGING, "--batch-size", "4", "--epochs", "40", "--on-nonfinite", policy]
    done = shell("train", "t.csv", *options, "--out", "run")
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "diverged"
    assert "first not finite: " in record["notes"][0]
    assert note in record["notes"][0]
    assert record["notes"][0] in done.stdout.replace("\n", "")
    assert "is diverged: there is nothing left to do" in refused(shell("resume", "run"))


def test_divergence_that_shows_on_the_held_out_part_only(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{i / 7},{i * i / 3}\n" for i in range(60)))
    options = ["--target", "y", *DIVERGING, "--batch-size", "all", "--epochs", "4", "--out", "run"]
    done = shell("train", "t.csv", *options)
    assert done.returncode == 1
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["notes"]
    assert notes == ["epoch 1: loss/val is inf"] or "first not finite" in notes[0]


def test_speed_is_explained(shell: Shell) -> None:
    options = ["--epochs", "2", "--set", "engine.channels-last=false", "--set", "threads=1"]
    done = shell("train", "iris", *options, "--explain-speed")
    assert done.returncode == 0, done.stderr
    text = done.stdout[done.stdout.index("\nSpeed\n") :]
    assert "nothing was tried" in text
    for part in ("precision=float32", "channels_last=False", "compile=False", "micro_batches=1", "threads=1"):
        assert part in text
    assert json.loads(shell("train", "iris", *options, "--explain-speed", "--json").stdout)["epochs"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "iris", "--on-nonfinite", "skipp"], "should be 'stop', 'skip' or 'rollback'"),
        (["train", "iris", "--set", "on-nonfinite=never"], "should be 'stop', 'skip' or 'rollback'"),
        (["train", "iris", "--set", "engine.precison=bfloat16"], "did you mean 'precision'"),
        (["train", "iris", "--set", "engine.precision=float16"], "should be 'float32' or 'bfloat16'"),
        (["train", "iris", "--set", "engine={micro_batch: 2}"], "did you mean 'micro_batches'"),
        (["train", "iris", "--set", "engine=fast"], "should be settings by name (precision"),
        (["train", "iris", "--set", "checkpoints.evry=3"], "did you mean 'every'"),
        (["train", "iris", "--explain-sped"], "--explain-speed"),
        (["resume"], "RUN"),
        (["resume", "nowhere"], "is not a run folder"),
        (["resume", "."], "is not a run folder"),
    ],
)
def test_bad_input_for_the_engine_is_one_line(arguments: list[str], message: str, shell: Shell, tmp_path: Path) -> None:
    assert message in refused(shell(*arguments))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ("accuracy>0.9", "a goal is like accuracy>=0.99"),
        ("acuracy>=0.9", "did you mean 'accuracy'"),
        ("rmse<=0.9", "unknown validation metric in the goal 'rmse'"),
    ],
)
def test_goals_that_cannot_be(goal: str, message: str, shell: Shell, tmp_path: Path) -> None:
    done = shell("train", "iris", "--epochs", "2", "--set", f"goal={goal}")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_resuming_what_is_finished_or_damaged(shell: Shell, tmp_path: Path) -> None:
    shell("train", "iris", "--epochs", "1", "--out", "done")
    assert "is finished: there is nothing left to do" in refused(shell("resume", "done"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"status": "trai')
    assert "run.json is damaged" in refused(shell("resume", "run"))
