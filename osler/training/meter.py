"""Means of losses and metrics over many batches, without waiting for the device at each."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.objectives.objective import Objective, Outcome
from osler.records import Batch
from osler.training.looking import looking

# A metric's update costs about as much for thousands of numbers as for a few: they are collected first.
NUMBERS_AT_ONCE = 2**16


class Meter:
    """Collects outcomes of one pass over some data; `result` gives the mean losses and the metrics."""

    def __init__(self, objective: Objective, device: torch.device | str = "cpu"):
        self.objective = objective
        self.metrics = {name: metric.to(device) for name, metric in objective.metrics().items()}
        self.losses: dict[str, Tensor] = {}
        self.samples = 0
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.waiting_numbers = 0

    def add_loss(self, name: str, loss: Tensor, count: int) -> None:
        """The mean loss of `count` samples in the turn of that name."""
        weighted = loss.detach().float() * count
        total = self.losses.get(name)
        self.losses[name] = weighted if total is None else total + weighted

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

    def result(self) -> dict[str, float]:
        """{"loss": …, "accuracy": …}; a turn of name "critic" has its loss as "loss_critic".

        Raises InputError when there was no batch.
        """
        if self.samples == 0:
            raise InputError("there was no batch to learn from or to judge: the data is empty, or was used up before")
        if self.waiting:
            self._measure()
        losses = {f"loss_{name}" if name else "loss": total / self.samples for name, total in self.losses.items()}
        metrics = {name: metric.compute() for name, metric in self.metrics.items()}
        return {name: float(value) for name, value in (losses | metrics).items()}


def evaluate(model: nn.Module, objective: Objective, batches: Iterable[Batch]) -> dict[str, float]:
    """Mean loss and metrics of the model, which is only looked at. Raises InputError when there is no batch."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    meter = Meter(objective, device)
    with looking(model):
        for batch in batches:
            outcome = objective.evaluate(model, batch)
            meter.add_loss("", outcome.loss, len(batch))
            meter.add(outcome, batch)
    return meter.result()
