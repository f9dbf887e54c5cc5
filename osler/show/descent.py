"""The way of an optimizer down a ravine and past a saddle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from osler.optim.optimizers import OPTIMIZERS
from osler.show.panels import Descent, Plot, Surface

STEPS = 200
TOLD = (10, 50, 200)
# The defaults are meant for networks; on surfaces of this size these show what is typical.
RATES = {
    **{"sgd": 0.07, "momentum": 0.02, "nesterov": 0.02},
    **{"adagrad": 0.5, "rmsprop": 0.05, "adadelta": 1.0, "ftrl": 0.5},
    **{"adam": 0.2, "adamw": 0.2, "adamax": 0.2, "nadam": 0.2},
}
FAR = 1e6

RAVINE = Surface(
    "ravine",
    "½(x² + 25y²)",
    lambda x, y: (x**2 + 25 * y**2) / 2,
    (-4.0, 1.0),
    ((0.0, 0.0),),
    (-4.8, 3.2, -1.6, 1.6),
    (1, 4, 9, 16, 25, 36),
)
SADDLE = Surface(
    "saddle",
    "½x² + ¼(y² − 1)²",
    lambda x, y: x**2 / 2 + (y**2 - 1) ** 2 / 4,
    (-1.5, 0.01),
    ((0.0, -1.0), (0.0, 1.0)),
    (-2.0, 2.0, -1.6, 1.6),
    (0.03, 0.12, 0.25, 0.45, 0.8, 1.3, 2),
)


def optimizer(name: str, options: Mapping[str, Any]) -> Plot:
    """The first 200 steps on both surfaces, and how much loss is left on the way."""
    options = {"lr": RATES.get(name, 0.1), **options}
    descents = tuple(walk(surface, name, options) for surface in (RAVINE, SADDLE))
    head = ("loss after", "0", *map(str, TOLD), "steps")
    rows = [
        (f"{d.surface.name} {d.surface.formula}", *(_said(d.losses[at]) for at in (0, *TOLD)), "") for d in descents
    ]
    note = (
        f"○ start, ● after {STEPS} steps, × minimum. The learning rate is {options['lr']}.\n"
        f"Another one: osler show optimizer {name} --set lr=0.01"
    )
    return Plot(descents, note, (head, *rows))


def walk(surface: Surface, name: str, options: Mapping[str, Any]) -> Descent:
    """All points from the start on; one that has run away stays where it last was, at an infinite loss."""
    point = torch.tensor(surface.start, dtype=torch.float64, requires_grad=True)
    moving = OPTIMIZERS.create(name, [point], **options)
    way, losses = [], []
    for _ in range(STEPS + 1):
        loss = surface.loss(point[0], point[1])
        losses.append(float(loss.detach()))
        if not losses[-1] < FAR:
            break
        way.append(point.tolist())
        moving.zero_grad()
        loss.backward()
        moving.step()
    missing = STEPS + 1 - len(way)
    way += way[-1:] * missing
    losses = losses[: STEPS + 1 - missing] + [math.inf] * missing
    return Descent(surface.name, surface, [x for x, _ in way], [y for _, y in way], losses)


def _said(loss: float) -> str:
    return "diverged" if math.isinf(loss) else f"{loss:.2g}"
