"""What was seen while the program trained: bounded in memory, whatever the number of steps."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

KEPT = 2048  # values of a series


class Series:
    """Numbers over steps; when full, neighbours are averaged, so that the whole course stays visible.

    Values may be tensors on any device: they are read in bulk, not one by one.
    """

    def __init__(self, kept: int = KEPT):
        self.kept = kept
        self.count = 0
        self.width = 1  # steps that one kept value stands for
        self._values = array("d")
        self._loose: list[float] = []  # the last ones, too few for a kept value
        self._pending: list[Any] = []
        self.first_bad: int | None = None  # index of the first value that is no finite number

    def add(self, value: Any) -> None:
        self.count += 1
        self._pending.append(value)
        if len(self._pending) >= 256:
            self._read()

    def _read(self) -> None:
        """Reads what is pending, and averages as many neighbours as one kept value stands for."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        if all(isinstance(v, Tensor) for v in pending):
            numbers = torch.stack([v.reshape(()).float() for v in pending]).tolist()
        else:
            numbers = [float(v) for v in pending]
        if self.first_bad is None:
            start = self.count - len(numbers)
            self.first_bad = next((start + i for i, n in enumerate(numbers) if not math.isfinite(n)), None)
        self._loose += numbers
        while len(self._loose) >= self.width:
            whole = len(self._loose) // self.width * self.width
            taken, self._loose = self._loose[:whole], self._loose[whole:]
            self._values.extend(_mean(taken[i : i + self.width]) for i in range(0, whole, self.width))
            if len(self._values) <= self.kept:
                break
            even = len(self._values) // 2 * 2
            rest = self._values[even:].tolist() * self.width  # what has no neighbour yet waits
            self._values = array("d", [_mean(self._values[i : i + 2]) for i in range(0, even, 2)])
            self._loose = rest + self._loose
            self.width *= 2

    def read(self) -> list[float]:
        """All values, those that are not finite included."""
        self._read()
        return self._values.tolist() + ([_mean(self._loose)] if self._loose else [])

    def state_dict(self) -> dict[str, Any]:
        self._read()
        own = ("_loose", "count", "width", "first_bad")
        return {"_values": self._values.tolist()} | {name: copy.copy(getattr(self, name)) for name in own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._pending = []
        for name, value in state.items():
            setattr(self, name, array("d", value) if name == "_values" else copy.copy(value))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@dataclass
class Sample:
    """One training step that was looked at closely. Tensors stay on the device until they are read."""

    step: int
    rows: int = 0
    training: bool = True  # mode of the model in the forward pass
    frozen_modes: tuple[str, ...] = ()  # layers in evaluation mode
    forwards: int = 0
    backwards: int = 0
    stale: Tensor | None = None  # norm of what a gradient held before this step's first contribution
    has_gradients: bool = False
    rates: tuple[float, ...] = ()
    gradients: Any = None  # (P,) norms
    weights: Any = None  # (P,) norms of the watched entries
    updates: Any = None  # (P,) norms of the change of the watched entries
    saturated: dict[str, Any] = field(default_factory=dict)


@dataclass
class Bad:
    """The first time that something was not a finite number."""

    step: int
    what: str  # "forward" | "backward" | "loss"
    module: str = ""
    name: str = ""
    line: str = ""


@dataclass
class History:
    """The course of a training."""

    names: tuple[str, ...] = ()  # of the parameters in the order of a sample's norms
    steps: int = 0  # calls of the optimizer
    observed: int = 0
    watched: bool = False  # whether an optimizer is known
    losses: Series = field(default_factory=Series)
    validation: Series = field(default_factory=lambda: Series(512))
    validation_steps: list[int] = field(default_factory=list)
    metrics: dict[str, Series] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    alive: dict[str, list[Tensor]] = field(default_factory=dict)  # per rectifier: largest value of each unit, lately
    alive_where: dict[str, str] = field(default_factory=dict)
    bad: Bad | None = None
    held: int = 0  # graphs of old steps still alive
    held_of: int = 0
    carried: int = 0  # steps that were given an output of an earlier step together with its graph
    held_span: int = 0  # steps since the oldest of them
    label_entropy: float | None = None  # of the batches, relative to shuffled ones
    batch_counts: tuple[int, ...] = ()
    schedule: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def settle(self) -> None:
        """Reads from the device what is still there."""
        for sample in self.samples:
            for key in ("gradients", "weights", "updates", "stale"):
                value = getattr(sample, key)
                if isinstance(value, Tensor):
                    setattr(sample, key, value.float().tolist())
            sample.saturated = {key: float(share) for key, share in sample.saturated.items()}

    def state_dict(self) -> dict[str, Any]:
        """The course so far as plain values, for a checkpoint."""
        self.settle()
        return {
            "steps": self.steps,
            "observed": self.observed,
            "losses": self.losses.state_dict(),
            "validation": self.validation.state_dict(),
            "validation_steps": list(self.validation_steps),
            "metrics": {name: series.state_dict() for name, series in self.metrics.items()},
            "samples": [asdict(sample) for sample in self.samples],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.observed = state["steps"], state["observed"]
        self.losses.load_state_dict(state["losses"])
        self.validation.load_state_dict(state["validation"])
        self.validation_steps = list(state["validation_steps"])
        for name, saved in state["metrics"].items():
            self.metrics.setdefault(name, Series(512)).load_state_dict(saved)
        self.samples = [Sample(**{**saved, "frozen_modes": tuple(saved["frozen_modes"])}) for saved in state["samples"]]

    def ratios(self) -> list[tuple[int, float]]:
        """(step, median over the weights of the size of an update relative to the weight)."""
        found = []
        for sample in self.samples:
            if sample.updates is None or sample.weights is None:
                continue
            each = sorted(
                u / w for u, w in zip(sample.updates, sample.weights, strict=True) if w > 0 and math.isfinite(u)
            )
            if each:
                found.append((sample.step, each[len(each) // 2]))
        return found
