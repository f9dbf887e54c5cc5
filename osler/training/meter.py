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
        self.losses: dict[str, float | Tensor] = {}  # summed
        self.counts: dict[str, float | Tensor] = {}  # what they are the sum over
        self.samples = 0
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.waiting_numbers = 0

    def add_loss(self, name: str, loss: Tensor, count: float | Tensor) -> None:
        """The mean loss of `count` samples (or what they count for) in the turn of that name."""
        if runs_ahead(loss.device):
            weighted: float | Tensor = loss.detach().double() * count
        else:
            count = float(count)
            weighted = loss.item() * count if count else 0.0  # the mean over nothing is no number
        self.losses[name] = self.losses.get(name, 0.0) + weighted
        self.counts[name] = self.counts.get(name, 0.0) + count

    def add_looked_at(self, outcome: Outcome, batch: Batch) -> None:
        """What `objective.evaluate` gives of a batch; its loss counts as in learning, so cutting changes nothing."""
        turns = self.objective.turns()
        count = turns[0].count if len(turns) == 1 else None
        self.add_loss("", outcome.loss, len(batch) if count is None else count(outcome.outputs, batch))
        self.add(outcome, batch)

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
        seen = float(any(metric.update_called for metric in self.metrics.values()))
        parts = [float(self.samples), seen, *map(float, self.losses.values()), *map(float, self.counts.values())]
        totals = torch.tensor(parts, dtype=torch.float64)
        if processes is not None:
            (totals,) = processes.sum(totals.to(processes.device))
        samples, measured, *sums = totals.tolist()
        if samples == 0:
            raise InputError("there was no batch to learn from or to judge: the data is empty, or was used up before")
        number = len(self.losses)
        means = {
            f"loss_{name}" if name else "loss": loss / count if count else math.nan
            for name, loss, count in zip(self.losses, sums[:number], sums[number:], strict=True)
        }
        if not measured:  # the first loss was not finite
            return means | dict.fromkeys(self.metrics, math.nan)
        several = processes is not None and processes.count > 1
        for metric in self.metrics.values():
            metric.distributed_available_fn = lambda: several  # then torchmetrics puts their counts together
            metric._update_count = max(metric.update_count, 1)  # another process may have seen what there was
        return means | {name: float(metric.compute()) for name, metric in self.metrics.items()}

    def state_dict(self) -> dict[str, Any]:
        """What was collected so far."""
        return {
            "losses": dict(self.losses),
            "counts": dict(self.counts),
            "samples": self.samples,
            "waiting": list(self.waiting),
            "metrics": {name: metric.metric_state for name, metric in self.metrics.items()},
            "updates": {name: metric.update_count for name, metric in self.metrics.items()},
        }

    def merge_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on collecting from there, together with what is already collected."""
        for name, loss in state["losses"].items():
            self.losses[name] = self.losses.get(name, 0.0) + loss
            self.counts[name] = self.counts.get(name, 0.0) + state["counts"][name]
        self.samples += state["samples"]
        for name, metric in self.metrics.items():
            if metric.update_called:
                metric.merge_state(state["metrics"][name])
            else:
                for part, value in state["metrics"][name].items():
                    setattr(metric, part, value)
            metric._update_count += state["updates"][name]
        # Only now: measuring counts as an update.
        self.waiting += state["waiting"]
        self.waiting_numbers = sum(predictions.numel() for predictions, _ in self.waiting)


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
            meter.add_looked_at(outcome, batch)
    return meter.result(processes)
