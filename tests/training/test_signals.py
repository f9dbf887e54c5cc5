"""Ctrl-C and SIGTERM: heard at once, followed when the step is whole."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from osler.training.callbacks.callback import Callback
from osler.training.signals import Signals
from osler.training.trainer import Trainer

X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
DATA = [(X[i : i + 5], X[i : i + 5, :1]) for i in range(0, 20, 5)]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Whatever a test does, the others find the usual handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    after = {number: signal.getsignal(number) for number in before}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == before


def tell(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.sigpending()  # Python handles what has come


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_only_noted(number: int) -> None:
    signals = Signals()
    with signals:
        assert signals.received is None
        tell(number)
        assert signals.received == number


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_another_ctrl_c_interrupts(first: int) -> None:
    signals = Signals()
    with signals:
        tell(first)
        with pytest.raises(KeyboardInterrupt):
            tell(signal.SIGINT)


def test_schedulers_may_say_it_twice() -> None:
    """Sent to a process and to its group, SIGTERM comes twice: there is still time to save."""
    signals = Signals()
    with signals:
        for _ in range(3):
            tell(signal.SIGTERM)
        assert signals.received == signal.SIGTERM


def test_handlers_are_put_back() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(ZeroDivisionError), Signals() as signals:
        tell(signal.SIGTERM)
        assert signals.received
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) is mine
    tell(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Signals() as signals:
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        tell(signal.SIGINT)
        assert signals.received is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_each_time_it_listens_anew() -> None:
    signals = Signals()
    with signals:
        tell(signal.SIGTERM)
    with signals:
        assert signals.received is None
        tell(signal.SIGINT)  # the first one now
        assert signals.received == signal.SIGINT


def test_another_thread_hears_nothing_and_is_fine() -> None:
    seen: list[Any] = []

    def work() -> None:
        with Signals() as signals:
            seen.append((signals.received, signal.getsignal(signal.SIGINT)))
        model = nn.Linear(4, 1)
        trainer = Trainer(model, nn.MSELoss())
        trainer.fit(DATA, epochs=2)
        seen.append(trainer.status)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, signal.default_int_handler), "finished"]


# In the loop


class At(Callback):
    """Something at a step, or at the end."""

    def __init__(self, step: int, *numbers: int, end: int = 0) -> None:
        self.when, self.numbers, self.at_end = step, numbers, end

    def step(self, trainer: Trainer) -> None:
        if trainer.step == self.when:
            for number in self.numbers:
                tell(number)

    def end(self, trainer: Trainer) -> None:
        if self.at_end:
            tell(self.at_end)


def learn(*callbacks: Callback, data: Any = DATA, validation: Any = None) -> Trainer:
    trainer = Trainer(nn.Linear(4, 1), nn.MSELoss(), callbacks=callbacks)
    trainer.fit(data, validation, epochs=5)
    return trainer


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_training_ends_after_the_step(number: int, status: str, step: int) -> None:
    trainer = learn(At(step, number), validation=DATA)
    assert (trainer.status, trainer.step, trainer.torn) == (status, step, False)
    assert len(trainer.history) == (step - 1) // 4
    assert not trainer.model.training


class Tells(nn.Module):
    """A network in whose forward pass a signal comes."""

    def __init__(self, at: int, *numbers: int) -> None:
        super().__init__()
        self.inner, self.left, self.numbers = nn.Linear(4, 1), at, numbers

    def forward(self, x: torch.Tensor) -> Any:
        if self.training:
            self.left -= 1
            if self.left == 0:
                for number in self.numbers:
                    tell(number)
        return self.inner(x)


def test_within_a_step_the_step_is_ended_first() -> None:
    model = Tells(6, signal.SIGINT)
    trainer = Trainer(model, nn.MSELoss())
    trainer.fit(DATA, epochs=5)
    assert (trainer.status, trainer.step, trainer.torn) == ("interrupted", 6, False)


def test_the_second_ctrl_c_does_not_wait_for_the_step() -> None:
    model = Tells(6, signal.SIGINT, signal.SIGINT)
    trainer = Trainer(model, nn.MSELoss())
    trainer.fit(DATA, epochs=5)
    assert (trainer.status, trainer.step, trainer.torn) == ("interrupted", 5, True)


class Validation(list[Any]):
    """Validation data while which a signal comes: before its first batch, or after."""

    def __init__(self, epoch: int, when: str) -> None:
        super().__init__(DATA)
        self.left, self.when = epoch, when

    def __iter__(self) -> Iterator[Any]:
        self.left -= 1
        for number, item in enumerate(super().__iter__()):
            if self.left == 0 and number == {"first": 0, "later": 2}[self.when]:
                tell(signal.SIGINT)
            yield item


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_signal_while_validating(when: str) -> None:
    trainer = learn(validation=Validation(2, when))
    assert (trainer.status, trainer.step, trainer.torn) == ("interrupted", 8, False)
    assert len(trainer.history) == 1  # half a validation is none


def test_training_can_go_on_afterwards() -> None:
    trainer = learn(At(6, signal.SIGINT))
    trainer.callbacks.clear()
    trainer.fit(DATA, epochs=2)
    assert trainer.status == "finished"
    assert trainer.step == 6 + 2 * 4
    assert [row["epoch"] for row in trainer.history] == [1, 3, 4]  # the second was broken off


def test_a_schedule_fits_after_an_interrupt() -> None:
    from osler.optim.schedules import SCHEDULES

    model = nn.Linear(4, 1)
    trainer = Trainer(
        model,
        nn.MSELoss(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        schedule=lambda optimizer, steps: SCHEDULES.create("one_cycle", optimizer, steps),
        callbacks=[At(6, signal.SIGINT)],
    )
    trainer.fit(DATA, epochs=5)
    trainer.callbacks.clear()
    trainer.fit(DATA, epochs=2)
    assert trainer.status == "finished"
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_whatever_the_end_does_all_is_as_before(error: type[BaseException]) -> None:
    class Fails(Callback):
        def end(self, trainer: Trainer) -> None:
            raise error

    threads = torch.get_num_threads()
    with pytest.raises(error):
        learn(Fails())
    assert torch.get_num_threads() == threads  # and the fixture looks at the handlers


def test_a_second_ctrl_c_while_saving_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(At(3, signal.SIGINT, end=signal.SIGINT))


def test_a_program_of_ones_own_hears_ctrl_c_again_after_training() -> None:
    program = (
        "import os, signal, torch\n"
        "from osler.training import Trainer\n"
        "x = torch.ones(4, 2)\n"
        "Trainer(torch.nn.Linear(2, 1), torch.nn.MSELoss()).fit([(x, x[:, :1])], epochs=1)\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.sigpending()\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "heard\n"
