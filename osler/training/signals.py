"""Ctrl-C and the request to end: heard at once, followed when the step is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

HEARD = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Within it the first Ctrl-C or SIGTERM only sets `received`; another Ctrl-C interrupts at once.

    Schedulers send SIGTERM some seconds before they take a machine away, some of them several times. Outside the main
    thread nothing is heard: signals come to the main thread only. `patient`: a second Ctrl-C changes nothing either, as
    for one of several processes, which hears of it from the terminal and from torchrun.
    """

    def __init__(self, patient: bool = False) -> None:
        self.patient = patient
        self.received: signal.Signals | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        self.received = None
        if threading.current_thread() is threading.main_thread():
            for number in HEARD:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self.before.clear()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT and not self.patient:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
