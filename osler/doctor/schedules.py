"""The learning-rate schedule of an optimizer, and how it is stepped."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class ScheduleWatch:
    """Finds the schedule made for an optimizer, and notes how often it was stepped.

    An optimizer does not know its schedule. One that was made lately is among the young objects of the garbage
    collector, which are few; an older one is not looked for, since that takes long.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        self.found: weakref.ref[LRScheduler] | None = None
        self.looks = 0
        self.noted: dict[str, Any] = {}

    def note(self) -> None:
        """Looks at the schedule, searching for it at first."""
        if self.found is None and self.looks < 4 and any("initial_lr" in g for g in self.optimizer.param_groups):
            self.looks += 1
            self._search()
        schedule = self.found() if self.found is not None else None
        if schedule is None:
            return
        self.noted = {
            "kind": type(schedule).__name__,
            "stepped": int(schedule.last_epoch),
            "period": next((v for k in ("T_max", "step_size") if isinstance(v := getattr(schedule, k, None), int)), 0),
        }

    def _search(self) -> None:
        for generation in (0, 1):
            for one in gc.get_objects(generation):
                if isinstance(one, LRScheduler) and one.optimizer is self.optimizer:
                    self.found = weakref.ref(one)
                    return
