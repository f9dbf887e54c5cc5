"""Recognises which rows of the training part a batch holds, to see in what order they come."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from osler.doctor.data import labels
from osler.doctor.measure import entropy
from osler.doctor.tree import leaves

BATCHES = 12  # looked at
NUMBERS = 4_000_000  # values of a training part that is indexed


class Order:
    """Marks of all rows (a random projection each); marks of batches are looked up among them later."""

    def __init__(self, inputs: Any, target: Any):
        self.labels = labels(target)
        first = next((t for t in leaves(inputs) if t.dim() > 1), None)
        self.usable = (
            first is not None and self.labels is not None and first.numel() < NUMBERS and not first.is_complex()
        )
        self.seen: list[Tensor] = []
        if not self.usable or first is None:
            return
        width = first[0].numel()
        self.direction = torch.randn(width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        self.width = width
        self.marks = self._mark(first).sort()

    def _mark(self, x: Tensor) -> Tensor:
        self.direction = self.direction.to(x.device)
        x = x.detach().reshape(len(x), -1).double()
        return x @ self.direction[: x.shape[1]]

    def see(self, inputs: Any) -> None:
        """Notes a batch."""
        x = next((t for t in leaves([inputs]) if t.dim() > 1), None)
        if not self.usable or x is None or len(self.seen) >= BATCHES:
            return
        tokens = x.dim() == 2 and not x.is_floating_point()  # cut where all is padding, which is 0: of the same mark
        if x[0].numel() == self.width or (tokens and x.shape[1] < self.width):
            self.seen.append(self._mark(x))

    def verdict(self) -> tuple[float | None, tuple[int, ...]]:
        """Label entropy inside batches relative to shuffled ones, and label counts; (None, ()) for unknown rows."""
        if not self.usable or self.labels is None or len(self.seen) < 4:
            return None, ()
        inside, expected, counts = 0.0, 0.0, torch.zeros(int(self.labels.max()) + 1, dtype=torch.long)
        draw = torch.Generator().manual_seed(0)
        for marks in self.seen:
            marks = marks.to(self.marks.values.device)
            at = torch.searchsorted(self.marks.values, marks - 1e-9 * (1 + marks.abs())).clamp_max(
                len(self.marks.values) - 1
            )
            near = (self.marks.values[at] - marks).abs() <= 2e-9 * (1 + marks.abs())
            if float(near.float().mean()) < 0.8:
                return None, ()
            own = self.labels[self.marks.indices[at[near]].to(self.labels.device)].cpu()
            counts += torch.bincount(own, minlength=len(counts))
            inside += entropy(torch.bincount(own))
            other = self.labels[torch.randperm(len(self.labels), generator=draw)[: len(own)].to(self.labels.device)]
            expected += entropy(torch.bincount(other.cpu()))
        if expected <= 0 or not math.isfinite(expected):
            return None, ()
        return inside / expected, tuple(counts.tolist())
