import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from osler.training.callbacks.log import Log


def test_each_epoch_is_a_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log, trainer = Log(path), SimpleNamespace(history=[])
    given: Any = trainer
    log.begin(given)
    assert path.read_text() == ""
    rows = [{"epoch": 1, "loss/train": 0.5, "loss/val": math.nan}, {"epoch": 2, "loss/train": math.inf, "lr": 1e-3}]
    for count, row in enumerate(rows, start=1):
        trainer.history.append(row)
        log.epoch(given)
        assert len(path.read_text().splitlines()) == count
    log.begin(given)  # another fit goes on in the same file
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"epoch": 1, "loss/train": 0.5, "loss/val": None},
        {"epoch": 2, "loss/train": None, "lr": 1e-3},
    ]
