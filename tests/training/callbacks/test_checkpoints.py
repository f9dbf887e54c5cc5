"""When the state is saved, and that what was saved is what training needs to go on."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from osler.data.batches import Batches, Dataset
from osler.errors import InputError
from osler.training.callbacks import checkpoints as checkpoints_module
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.checkpoints import Checkpoints
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.checkpoint import CheckpointFolder
from osler.training.trainer import Trainer

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, :1] > 0).float()
HELD_OUT = [(X[:20], Y[:20])]


def data() -> Batches:
    return Batches(Dataset(X, Y), 10, shuffle=True, seed=3)  # four batches


def trainer(*callbacks: Any, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 1))
    adam = torch.optim.Adam(model.parameters(), lr=0.05)
    return Trainer(model, nn.MSELoss(), optimizer=adam, callbacks=callbacks)


def saved(place: Path) -> list[int]:
    return sorted(int(path.stem[5:]) for path in place.glob("step-*.json"))


class At(Callback):
    """Does something after a step."""

    def __init__(self, step: int, action: Callable[[], Any]) -> None:
        self.when, self.action = step, action

    def step(self, trainer: Trainer) -> None:
        if trainer.step == self.when:
            self.action()


def told(number: int = signal.SIGTERM) -> Callable[[], Any]:
    return lambda: (os.kill(os.getpid(), number), signal.sigpending())


class Unhurried(Checkpoints):
    """Waits for the disk, so that each step that should be saved is."""

    def _save(self, trainer: Trainer, best: bool = False) -> None:
        super()._save(trainer, best)
        self.folder.wait()


def test_every_so_many_steps_the_last_are_kept(tmp_path: Path) -> None:
    trainer(Unhurried(tmp_path, every_steps=3, keep=2)).fit(data(), epochs=4)
    assert saved(tmp_path) == [12, 15]


def test_every_so_many_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        return now

    class Tick(Callback):
        def step(self, trainer: Trainer) -> None:
            nonlocal now
            now += 4.0

    monkeypatch.setattr(checkpoints_module.time, "monotonic", clock)
    trainer(Tick(), Unhurried(tmp_path, every=10.0, keep=100)).fit(data(), epochs=3)
    assert saved(tmp_path) == [3, 6, 9, 12]  # at 12, 24 … seconds


def test_rarer_where_copying_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class Slow(CheckpointFolder):
        def save(self, *arguments: Any) -> None:
            nonlocal now
            now += 0.5  # of which a hundredth part is wanted
            super().save(*arguments)
            self.wait()

    class Tick(Callback):
        def step(self, trainer: Trainer) -> None:
            nonlocal now
            now += 10.0

    monkeypatch.setattr(checkpoints_module.time, "monotonic", lambda: now)
    monkeypatch.setattr(checkpoints_module, "CheckpointFolder", Slow)
    trainer(Tick(), Checkpoints(tmp_path, every=10.0, keep=100)).fit(data(), epochs=4)
    assert saved(tmp_path) == [1, 6, 11, 16]


def test_a_short_training_needs_none(tmp_path: Path) -> None:
    trainer(Checkpoints(tmp_path / "none")).fit(data(), HELD_OUT, epochs=3)
    assert not (tmp_path / "none").exists()


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    class Given(Callback):
        """Validation losses as given."""

        def epoch(self, trainer: Trainer) -> None:
            trainer.history[-1]["loss/val"] = [3.0, 2.0, 1.0, 5.0, 4.0, 6.0][trainer.epoch - 1]

    trainer(Given(), Unhurried(tmp_path, every_steps=1, keep=1)).fit(data(), HELD_OUT, epochs=6)
    assert saved(tmp_path) == [12, 24]  # the third epoch's end, and the last step
    best = CheckpointFolder(tmp_path)
    paths = best.paths()
    assert torch.load(paths[-1], weights_only=True)["batch"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [3, 4, 5])
@pytest.mark.parametrize("first", [True, False])
def test_told_to_end_it_saves_what_training_goes_on_from(tmp_path: Path, number: int, step: int, first: bool) -> None:
    """Wherever the callback stands among the others: EarlyStopping brings other weights back at the end."""
    expected = trainer(EarlyStopping())
    expected.fit(data(), HELD_OUT, epochs=3)
    for at, seed in ((step, 0), (-1, 9)):
        callbacks = [At(at, told(number)), EarlyStopping(), Checkpoints(tmp_path)]
        again = trainer(*(reversed(callbacks) if first else callbacks), seed=seed)
        if seed:
            again.load_state_dict(CheckpointFolder(tmp_path).latest() or {})
        again.fit(data(), HELD_OUT, epochs=3)
        assert saved(tmp_path) == [step]
    assert again.status == "finished"
    for mine, theirs in zip(again.model.parameters(), expected.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in t.history] for t in (again, expected)]
    assert rows[0] == rows[1]


class Validation(list[Any]):
    """Something happens while the validation of an epoch goes on."""

    def __init__(self, epoch: int, action: Callable[[], Any]) -> None:
        super().__init__(HELD_OUT * 3)
        self.left, self.action = epoch, action

    def __iter__(self) -> Iterator[Any]:
        self.left -= 1
        for number, item in enumerate(super().__iter__()):
            if self.left == 0 and number == 1:
                self.action()
            yield item


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_told_to_end_while_validating_no_batch_comes_twice(tmp_path: Path, epoch: int) -> None:
    expected = trainer(EarlyStopping())
    expected.fit(data(), Validation(0, int), epochs=3)
    first = trainer(EarlyStopping(), Checkpoints(tmp_path))
    first.fit(data(), Validation(epoch, told()), epochs=3)
    assert (first.status, first.step, len(first.history)) == ("terminated", 4 * epoch, epoch - 1)
    again = trainer(EarlyStopping(), Checkpoints(tmp_path), seed=9)
    again.load_state_dict(CheckpointFolder(tmp_path).latest() or {})
    again.fit(data(), Validation(0, int), epochs=3)
    assert [row["step"] for row in again.history] == [4, 8, 12]
    assert [row["loss/val"] for row in again.history] == [row["loss/val"] for row in expected.history]
    for mine, theirs in zip(again.model.parameters(), expected.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_torn_step_is_not_saved(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    teacher = trainer(At(3, interrupt), Checkpoints(tmp_path))
    teacher.fit(data(), epochs=2)
    assert (teacher.status, saved(tmp_path)) == ("interrupted", [])
    teacher.callbacks[0] = At(6, told())
    teacher.fit(data(), epochs=2)  # and later ones are again
    assert saved(tmp_path) == [6]


def test_spoilt_weights_are_not_saved(tmp_path: Path) -> None:
    """A gradient that is no number: the step after shows it, which may be too late for a checkpoint."""
    teacher = trainer(Unhurried(tmp_path, every_steps=1, keep=100))
    at_six = At(6, lambda: teacher.model[0].weight.data.fill_(torch.nan))
    teacher.callbacks.insert(0, at_six)
    teacher.fit(data(), epochs=3)
    assert teacher.status == "diverged"
    assert saved(tmp_path) == [1, 2, 3, 4, 5]


def test_steps_do_not_wait_for_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, fsync = threading.Event(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (stuck.wait(20) or stuck.set(), fsync(file)))
    # The disk moves again when all is learned; each epoch but the first has something to save as the best.
    place = Checkpoints(tmp_path, every_steps=1, monitor="step")
    monkeypatch.setattr(checkpoints_module, "lower_is_better", lambda monitor: False)
    teacher = trainer(place, At(12, stuck.set))
    teacher.fit(data(), HELD_OUT, epochs=3)
    assert teacher.status == "finished"
    assert teacher.step == 12
    assert saved(tmp_path)
    assert teacher.notes == []


def test_a_full_disk_is_said_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    teacher = trainer(At(5, lambda: monkeypatch.setattr(os, "fsync", full)), Unhurried(tmp_path, every_steps=2))
    teacher.fit(data(), epochs=2)
    assert (teacher.status, teacher.step) == ("finished", 8)
    assert saved(tmp_path) == [2, 4]
    assert teacher.notes == [
        f"checkpoint of step {step} not written (No space left on device); older ones are kept" for step in (6, 8)
    ]


@pytest.mark.parametrize("options", [{"every": 0}, {"every": -1.0}, {"every_steps": 0}, {"every_steps": -3}])
def test_what_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="checkpoints come every so many seconds, or steps"):
        Checkpoints(tmp_path, **options)
    with pytest.raises(InputError, match="keep must be at least 1"):
        Checkpoints(tmp_path, keep=0)


def test_own_modules_may_keep_what_they_like_in_their_state(tmp_path: Path) -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> Any:
            return {"seen": 3, "scale": torch.ones(2)}

        def set_extra_state(self, state: Any) -> None:
            self.seen = state["seen"]

    model = Extra(4, 1)
    Trainer(model, nn.MSELoss(), callbacks=[Unhurried(tmp_path, every_steps=2)]).fit(data(), epochs=1)
    again = Trainer(Extra(4, 1), nn.MSELoss(), callbacks=[Checkpoints(tmp_path)])
    again.load_state_dict(CheckpointFolder(tmp_path).latest() or {})
    again.fit(data(), epochs=1)
    assert again.model.seen == 3
    x: Tensor = X
    torch.testing.assert_close(again.model(x), model(x))
