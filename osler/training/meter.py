"""Means of losses and metrics over many batches, without waiting for the device at each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from osler.objectives.objective import Objective, Outcome
from osler.records import Batch

# A metric's update costs about as much for thousands of samples as for a few: they are collected first.
SAMPLES_AT_ONCE = 4096


class Meter:
    """Collects outcomes of one pass over some data; `result` gives the mean losses and the metrics."""

    def __init__(self, objective: Objective, device: torch.device | str = "cpu"):
        self.objective = objective
        self.metrics = {name: metric.to(device) for name, metric in objective.metrics().items()}
        self.losses: dict[str, Tensor] = {}
        self.samples = 0
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.waiting_samples = 0

    def add_loss(self, name: str, loss: Tensor, count: int) -> None:
        """The mean loss of `count` samples in the turn of that name."""
        total = self.losses.get(name)
        weighted = loss.detach() * count
        self.losses[name] = weighted if total is None else total.add_(weighted)

    def add(self, outcome: Outcome, batch: Batch) -> None:
        """Counts the batch, and measures the outputs if there are metrics."""
        self.samples += len(batch)
        if self.metrics:
            self.waiting.append(self.objective.measured(outcome.outputs, batch))
            self.waiting_samples += len(batch)
            if self.waiting_samples >= SAMPLES_AT_ONCE:
                self._measure()

    def _measure(self) -> None:
        predictions, targets = (torch.cat(tensors) for tensors in zip(*self.waiting, strict=True))
        for metric in self.metrics.values():
            metric.update(predictions, targets)
        self.waiting, self.waiting_samples = [], 0

    def result(self) -> dict[str, float]:
        """{"loss": …, "accuracy": …}; a turn of name "critic" has its loss as "loss_critic"."""
        if self.waiting:
            self._measure()
        names = {name: f"loss_{name}" if name else "loss" for name in self.losses}
        result = {names[name]: float(total) / self.samples for name, total in self.losses.items()}
        for name, metric in self.metrics.items():
            result[name] = float(metric.compute())
        return result


def evaluate(model: torch.nn.Module, objective: Objective, batches: Any) -> dict[str, float]:
    """Mean loss and metrics of the model in evaluation mode; its mode is restored."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    meter = Meter(objective, device)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                outcome = objective.evaluate(model, batch)
                meter.add_loss("", outcome.loss, len(batch))
                meter.add(outcome, batch)
    finally:
        model.train(was_training)
    return meter.result()
