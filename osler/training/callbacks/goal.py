"""A goal: training ends when the validation data say that it is reached."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from osler.errors import InputError, unknown_name
from osler.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from osler.training.trainer import Trainer

FORM = re.compile(r"\s*([\w/]+)\s*(>=|<=)\s*([-+.\deE]+)\s*")


class Goal(Callback):
    """Stops after the first epoch whose validation metric is as good as `text` says: "accuracy>=0.99", "loss<=0.1".

    After training `reached` is the number of that epoch, or None. Raises InputError for a text of another form, and
    at the first epoch for a metric that is not measured.
    """

    def __init__(self, text: str):
        match = FORM.fullmatch(text)
        if match is None:
            raise InputError(f"a goal is like accuracy>=0.99 or loss<=0.1, but got {text!r}")
        self.text = text
        self.metric = match[1].removesuffix("/val")
        self.at_least = match[2] == ">="
        try:
            self.value = float(match[3])
        except ValueError:
            raise InputError(f"a goal is like accuracy>=0.99, but {match[3]!r} in {text!r} is no number") from None
        self.reached: int | None = None

    def epoch(self, trainer: Trainer) -> None:
        row = trainer.history[-1]
        measured = [key.removesuffix("/val") for key in row if key.endswith("/val")]
        if self.metric not in measured:
            raise unknown_name("validation metric in the goal", self.metric, measured)
        value = row[f"{self.metric}/val"]
        if value >= self.value if self.at_least else value <= self.value:
            self.reached = trainer.epoch
            trainer.stop(f"goal {self.text} reached: {value:.4g}")
