"""The learning rate that a schedule gives, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from osler.optim.schedules import SCHEDULES
from osler.show.panels import Curve, Plot

PEAK, STEPS = 0.1, 100
EPOCHS, LEVEL = 40, 10  # of a schedule that watches the validation loss, and when that stops falling


def schedule(name: str, options: Mapping[str, Any]) -> Plot:
    """The learning rate, and the momentum if it changes too."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK, momentum=0.9)
    moving = SCHEDULES.create(name, optimizer, STEPS, **options)
    watches = isinstance(moving, ReduceLROnPlateau)
    [group] = optimizer.param_groups
    rates, momenta = [], []
    for at in range(EPOCHS if watches else STEPS):
        rates.append(float(group["lr"]))
        momenta.append(float(group["momentum"]))
        optimizer.step()
        if isinstance(moving, ReduceLROnPlateau):
            moving.step(max(1 - at / LEVEL, 0.1))
        else:
            moving.step()
    across = "epoch" if watches else "step"
    panels = [Curve("learning rate", across, range(len(rates)), rates)]
    if len(set(momenta)) > 1:
        panels.append(Curve("momentum", across, range(len(momenta)), momenta))
    told = f"the validation loss falls until epoch {LEVEL - 1}, then stays" if watches else f"there are {STEPS} steps"
    return Plot(tuple(panels), f"The optimizer's learning rate is {PEAK}; {told}.")
