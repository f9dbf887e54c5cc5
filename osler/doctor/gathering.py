"""The batches of the first pass through some data, gathered while they go by."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from osler.doctor.tree import change, leaves, rows

ROWS = 4096  # samples that are kept
NUMBERS = 8_000_000  # input values that are kept
ALIKE = 512  # samples that are kept where samples repeat within a batch, so that the end of a pass can't be seen
COUNTED = 200_000  # samples after which the end of the pass is no longer waited for
WIDTH = 2048  # values of a sample that it is recognised by


class Gathering:
    """Copies of batches, until one comes again.

    `full`: nothing more is kept. `over`: a batch came again, so that `count` is the number of samples of a pass.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[Any, Any]] = []
        self.full = self.over = self.repeating = False
        self.count = self.kept = self.numbers = 0
        self._marks: set[str] = set()
        self._directions: dict[int, Tensor] = {}

    @property
    def whole(self) -> bool:
        """Whether all samples of the pass are here."""
        return self.over and self.kept == self.count

    def add(self, inputs: Any, targets: Any) -> None:
        count = rows(inputs)
        if self.over or not count or self.count > COUNTED:
            return
        if self.full and self.repeating:
            return
        marks = self._marked(inputs)
        self.repeating = self.repeating or len(set(marks)) < 0.5 * len(marks)
        if self.batches and not self.repeating and self._share(marks) > 0.5:
            self.full = self.over = True
            return
        self._marks.update(marks)
        self.count += count
        if self.full or (self.batches and form((inputs, targets)) != form(self.batches[0])):
            return
        with torch.inference_mode(False):  # a copy that gradients may go through later
            batch: Any = change((inputs, targets), lambda t: t.detach().to("cpu", copy=True))
        self.batches.append(batch)
        self.kept += count
        self.numbers += sum(t.numel() for t in leaves(inputs))
        self.full = self.kept >= (ALIKE if self.repeating else ROWS) or self.numbers >= NUMBERS

    def knows(self, inputs: Any, share: float = 0.5) -> bool:
        """Whether more than this share of the samples went by."""
        return bool(self._marks) and self._share(self._marked(inputs)) > share

    def _share(self, marks: list[str]) -> float:
        return sum(mark in self._marks for mark in marks) / max(1, len(marks))

    def _marked(self, inputs: Any) -> list[str]:
        """A number for each sample that hardly another one has: projections of all tensors, added up."""
        count = rows(inputs)
        total = torch.zeros(count, dtype=torch.float64)
        for at, tensor in enumerate(leaves(inputs)):
            if not tensor.dim() or len(tensor) != count or tensor.is_complex() or tensor.layout != torch.strided:
                continue
            flat = tensor.detach().reshape(count, -1)
            flat = flat[:, :: max(1, flat.shape[1] // WIDTH)].cpu().double()
            draw = torch.Generator().manual_seed(at)
            known = self._directions.get(at)
            if known is None or len(known) != flat.shape[1]:
                known = torch.randn(flat.shape[1], generator=draw, dtype=torch.float64)
                self._directions[at] = known
            total += (flat * known).sum(1)
        return [f"{value:.9e}" for value in total.tolist()]


def joined(batches: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Batches of one form as one (inputs, targets)."""
    if len(batches) < 2:
        return batches[0] if batches else (None, None)
    columns = zip(*(list(leaves(batch)) for batch in batches), strict=True)
    count = rows(batches[0])
    column = iter([torch.cat(c) if c[0].dim() and len(c[0]) == count else c[0] for c in columns])
    inputs, targets = change(batches[0], lambda _: next(column))
    return inputs, targets


def form(tree: Any) -> list[tuple[Any, ...]]:
    """What must be alike in batches that are joined."""
    return [(t.dtype, t.dim() and len(t) == rows(tree), t.shape[1:]) for t in leaves(tree)]
