import argparse
import json
from pathlib import Path

import pytest

from benchmarks.time_to_accuracy import GOALS, Goal, Run, main, parsed, read, row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"epoch": i + 1, "seconds": 1.5, "accuracy/val": a} for i, a in enumerate((0.97, 0.985, 0.991, 0.993))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "run.json").write_text(json.dumps({"metrics": {"accuracy": 0.9902}}))
    return tmp_path


def test_seconds_count_up_to_the_epoch_that_reaches_the_goal(folder: Path) -> None:
    assert read(folder, 0.99, wall=9.0) == Run(seconds=4.5, epochs=3, held_out=0.9902, wall=9.0)
    assert read(folder, 0.994, wall=9.0) == Run(seconds=None, epochs=4, held_out=0.9902, wall=9.0)


def test_a_promise_is_kept_if_most_runs_keep_it() -> None:
    goal = Goal("mnist", 0.99, 4)
    quick, slow, never = Run(3.0, 2, 0.991, 8.0), Run(5.0, 3, 0.989, 9.0), Run(None, 9, 0.98, 20.0)
    assert row(goal, [quick, quick, slow])[2:5] == ["3 of 3", "3.0 (3.0–5.0)", "≤ 4 s met"]
    assert row(goal, [quick, slow, never])[2:5] == ["2 of 3", "4.0 (3.0–5.0)", "≤ 4 s **not met**"]
    assert row(Goal("letters", 0.9), [never])[2:5] == ["0 of 1", "–", ""]


def test_goals_are_given_by_name() -> None:
    assert parsed("mnist:0.99") == GOALS[0]
    assert parsed("letters:0.9") == Goal("letters", 0.9)
    with pytest.raises(argparse.ArgumentTypeError, match="mnist"):
        parsed("mnist")


def test_data_that_are_not_there_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--data", str(tmp_path)])
    assert "mnist" in capsys.readouterr().err
