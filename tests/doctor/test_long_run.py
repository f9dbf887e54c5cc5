"""A run of 100,000 steps: what the doctor keeps does not grow with it."""

import gc
import resource
from itertools import pairwise
from statistics import median

import pytest
import torch
from torch import nn

import osler
from osler.doctor.history import KEPT
from osler.doctor.probe import MOST


def resident() -> int:
    """Bytes of memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.slow
def test_memory_does_not_grow() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x = torch.randn(256, 4)
    y = x.sum(1, keepdim=True)
    doctor = osler.Doctor(model, optimizer, nn.MSELoss())
    doctor.examine(train=(x, y))
    held, objects = [], []
    for step in range(1, 100_001):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[:16]), y[:16])
        loss.backward()
        optimizer.step()
        doctor.observe(loss)
        if step % 10_000 == 0:
            doctor.validate(loss=loss)
        if step % 10_000 == 0 and step > 20_000:
            gc.collect()
            held.append(resident())
            objects.append(len(gc.get_objects()))
    # A leak grows with every step; an allocator that fetches a block, now and then, does not.
    assert median(b - a for a, b in pairwise(held)) < 64 * 2**10
    assert objects[-1] - objects[0] < 2_000
    history = doctor.trace.history
    assert history.steps == history.losses.count == 100_000
    assert len(history.losses.read()) <= KEPT + 1
    assert len(history.samples) <= MOST
    doctor.diagnose()
