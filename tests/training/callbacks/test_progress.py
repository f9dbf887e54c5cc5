import io

import pytest
import torch
from rich.console import Console
from torch import nn

from osler.training.callbacks.callback import Callback
from osler.training.callbacks.progress import Progress, line
from osler.training.trainer import Trainer

DATA = [(torch.ones(4, 2), torch.ones(4, 1))]


def fit(terminal: bool, epochs: int, *others: Callback) -> tuple[str, Trainer]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100)
    trainer = Trainer(nn.Linear(2, 1), nn.MSELoss(), callbacks=[*others, Progress(console)])
    trainer.fit(DATA, DATA, epochs=epochs)
    return file.getvalue(), trainer


def test_a_line_tells_training_then_validation() -> None:
    row = {"epoch": 3, "step": 9, "loss/train": 0.21, "f1/train": 0.94, "loss/val": 0.25, "f1/val": 0.9, "seconds": 1.2}
    assert line(row, 10) == "epoch  3/10  loss 0.21 → 0.25  f1 0.94 → 0.9  1.2 s"
    players = {"epoch": 1, "loss_critic/train": 0.5, "loss/val": 0.25, "seconds": 0.04}
    assert line(players, 1) == "epoch 1/1  loss_critic 0.5  loss → 0.25  0.0 s"


@pytest.mark.parametrize(("epochs", "told"), [(1, [1]), (5, [1, 2, 3, 4, 5]), (50, [1, *range(3, 51, 3), 50])])
def test_a_log_gets_plain_lines_of_about_twenty_epochs(epochs: int, told: list[int]) -> None:
    text, _ = fit(False, epochs)
    assert "\x1b" not in text
    assert [int(row.split()[1].partition("/")[0]) for row in text.splitlines()] == told


def test_a_terminal_gets_a_bar_which_goes_away() -> None:
    text, trainer = fit(True, 3)
    assert "epoch 1/3" in text
    assert "\x1b[?25l" in text  # the cursor is hidden while the bar is there
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    progress = trainer.callbacks[0]
    assert isinstance(progress, Progress)
    assert progress.bar is None


def test_the_bar_goes_away_after_an_error_too() -> None:
    class Failing(Callback):
        def step(self, trainer: Trainer) -> None:
            raise RuntimeError

    file = io.StringIO()
    progress = Progress(Console(file=file, force_terminal=True))
    with pytest.raises(RuntimeError):
        Trainer(nn.Linear(2, 1), nn.MSELoss(), callbacks=[progress, Failing()]).fit(DATA)
    assert progress.bar is None
    assert file.getvalue().rindex("\x1b[?25h") > file.getvalue().rindex("\x1b[?25l")


def test_the_last_line_tells_how_it_ended() -> None:
    class Stop(Callback):
        def epoch(self, trainer: Trainer) -> None:
            if trainer.epoch == 50:
                trainer.stop("enough")

    text, _ = fit(False, 100, Stop())
    assert text.splitlines()[-1].startswith("epoch  50/100")
    text, trainer = fit(False, 100, Stop())
    assert trainer.status == "stopped early"
