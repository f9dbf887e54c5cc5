"""Means of losses and metrics over many batches, without waiting for the device at each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.objectives.objective import Objective, Outcome
from osler.records import Batch
from osler.training.engine import Engine, runs_ahead
from osler.training.looking import looking
from osler.training.processes import Processes

# A metric's update costs about as much for thousands of numbers as for a few: they are collected first.
NUMBERS_AT_ONCE = 2**16


class Meter:
    """Collects outcomes of one pass over some data; `result` gives the mean losses and the metrics."""

    def __init__(self, objective: Objective, device: torch.device | str = "cpu"):
        self.objective = objective
        self.device = torch.device(device)
        self.metrics = {name: metric.to(device) for name, metric in objective.metrics().items()}
        self.losses: dict[str, float | Tensor] = {}
        self.samples = 0
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.waiting_numbers = 0

    def add_loss(self, name: str, loss: Tensor, count: int) -> None:
        """The mean loss of `count` samples in the turn of that name."""
        weighted = loss.detach().double() * count if runs_ahead(loss.device) else loss.item() * count
        self.losses[name] = self.losses.get(name, 0.0) + weighted

    def add(self, outcome: Outcome, batch: Batch) -> None:
        """Counts the batch, and measures the outputs if there are metrics."""
        self.samples += len(batch)
        if self.metrics:
            predictions, targets = self.objective.measured(outcome.outputs, batch)
            self.waiting.append((predictions, targets))
            self.waiting_numbers += predictions.numel()
            if self.waiting_numbers >= NUMBERS_AT_ONCE:
                self._measure()

    def _measure(self) -> None:
        predictions, targets = (torch.cat(tensors) for tensors in zip(*self.waiting, strict=True))
        for metric in self.metrics.values():
            metric.update(predictions, targets)
        self.waiting, self.waiting_numbers = [], 0

    def result(self, processes: Processes | None = None) -> dict[str, float]:
        """{"loss": …, "accuracy": …}; a turn of name "critic" has its loss as "loss_critic".

        Of what all `processes` have collected. Raises InputError when there was no batch.
        """
        if self.waiting:
            self._measure()
        # In double precision: the order of summing must not show.
        totals = torch.tensor([float(self.samples), *map(float, self.losses.values())], dtype=torch.float64)
        if processes is not None:
            (totals,) = processes.sum(totals.to(processes.device))
        samples, *losses = totals.tolist()
        if samples == 0:
            raise InputError("there was no batch to learn from or to judge: the data is empty, or was used up before")
        means = {
            f"loss_{name}" if name else "loss": loss / samples for name, loss in zip(self.losses, losses, strict=True)
        }
        # Nothing was measured where the first loss was not finite.
        measured = {name: float(m.compute()) if m.update_count else math.nan for name, m in self.metrics.items()}
        return means | measured

    def state_dict(self) -> dict[str, Any]:
        """What was collected so far."""
        return {
            "losses": dict(self.losses),
            "samples": self.samples,
            "waiting": list(self.waiting),
            "metrics": {name: metric.metric_state for name, metric in self.metrics.items()},
            "updates": {name: metric.update_count for name, metric in self.metrics.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on collecting from there."""
        self.losses, self.samples, self.waiting = dict(state["losses"]), state["samples"], list(state["waiting"])
        self.waiting_numbers = sum(predictions.numel() for predictions, _ in self.waiting)
        for name, metric in self.metrics.items():
            for part, value in state["metrics"][name].items():
                setattr(metric, part, value)
            metric._update_count = state["updates"][name]


def evaluate(
    model: nn.Module,
    objective: Objective,
    batches: Iterable[Batch],
    engine: Engine | None = None,
    processes: Processes | None = None,
) -> dict[str, float]:
    """Mean loss and metrics of the model, which is only looked at. Raises InputError when there is no batch."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    meter = Meter(objective, device)
    with looking(model):
        for batch in batches:
            # Once a batch: autocast keeps its copies of the weights until its end.
            with (engine or Engine()).autocast(device):
                outcome = objective.evaluate(model, batch)
            meter.add_loss("", outcome.loss, len(batch))
            meter.add(outcome, batch)
    return meter.result(processes)
