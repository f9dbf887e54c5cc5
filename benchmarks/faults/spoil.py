"""What can be done to training data: functions of the training part, the task and a generator of random numbers."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from benchmarks.faults.program import Part, Task


def drawn(count: int, share: float, chance: Generator) -> Tensor:
    """The indices of a share of `count` rows, two at least."""
    return torch.randperm(count, generator=chance)[: max(2, round(share * count))]


def change_labels(part: Part, task: Task, chance: Generator, share: float) -> Part:
    """A share of the rows gets another class; real targets get noise, `share` times their deviation."""
    if task == "numbers":
        noise = torch.randn(part.y.shape, generator=chance)
        return Part(part.x, part.y + share * part.y.std() * noise)
    rows, y = drawn(len(part.y), share, chance), part.y.clone()
    classes = int(y.max()) + 1
    step = torch.randint(1, classes, (len(rows), *y.shape[1:]), generator=chance)
    y[rows] = (y[rows] + step) % classes
    return Part(part.x, y)


def delete(part: Part, task: Task, chance: Generator, share: float) -> Part:
    """A share of the rows is gone."""
    rows = drawn(len(part.x), 1 - share, chance)
    return Part(part.x[rows], part.y[rows])


def unbalance(part: Part, task: Task, chance: Generator, share: float) -> Part:
    """A share of the rows of the first half of the classes is gone."""
    flat = part.y.reshape(len(part.y))
    rare = flat < (int(flat.max()) + 1) // 2
    kept = ~rare | (torch.rand(len(flat), generator=chance) >= share)
    return Part(part.x[kept], part.y[kept])


def add_noise(part: Part, task: Task, chance: Generator, size: float) -> Part:
    """Noise of `size` deviations; a share size / (1 + size) of indices becomes that of another row."""
    if part.x.is_floating_point():
        return Part(part.x + size * part.x.std() * torch.randn(part.x.shape, generator=chance), part.y)
    others = torch.stack([column[torch.randperm(len(column), generator=chance)] for column in part.x.t()], dim=1)
    lost = torch.rand(part.x.shape, generator=chance) < size / (1 + size)
    return Part(torch.where(lost, others, part.x), part.y)


def overlap(part: Part, task: Task, chance: Generator, share: float) -> Part:
    """A share of the rows of the most frequent class is there once more, as the next frequent class."""
    flat = part.y.reshape(len(part.y)).long()
    first, second = flat.bincount().argsort(descending=True)[:2]
    rows = (flat == first).nonzero().squeeze(1)
    rows = rows[drawn(len(rows), share, chance)]
    again = torch.full((len(rows), *part.y.shape[1:]), int(second), dtype=part.y.dtype)
    return Part(torch.cat([part.x, part.x[rows]]), torch.cat([part.y, again]))
