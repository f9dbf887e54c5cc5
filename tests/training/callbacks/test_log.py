import errno
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from osler.training.callbacks.callback import as_callback
from osler.training.callbacks.log import Log
from osler.training.trainer import Trainer


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


def test_a_full_disk_loses_no_row_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path / "metrics.jsonl")
    opened = Path.open

    class Full:
        """Takes the first few letters, as a disk does that is nearly full."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, text: str) -> None:
            self.file.write(text[:9])
            self.file.flush()
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(path: Path, mode: str = "r", **options: Any) -> Any:
        file = opened(path, mode, **options)
        return Full(file) if mode == "a" and trainer.epoch in (2, 3) else file

    trainer = Trainer(nn.Linear(2, 1), nn.MSELoss(), callbacks=[log])
    monkeypatch.setattr(Path, "open", open_full)
    lengths: list[int] = []
    trainer.callbacks.append(as_callback(lambda t: lengths.append(len(log.path.read_text().splitlines()))))
    trainer.callbacks.append(as_callback(lambda t: texts.append(log.state_dict()["text"])))
    texts: list[str] = []
    trainer.fit([(torch.ones(4, 2), torch.ones(4, 1))], epochs=5)
    assert trainer.status == "finished"
    assert lengths == [1, 1, 1, 4, 5]
    assert [len(text.splitlines()) for text in texts] == [1, 2, 3, 4, 5]
    rows = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert rows == [dict(row) for row in trainer.history]
    assert trainer.notes == ["metrics.jsonl of epoch 2 not written (No space left on device)"]
