"""What pooling leaves of a small picture, and what padding puts around one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from osler.errors import InputError
from osler.nn.padding import PADDINGS
from osler.nn.pooling import POOLINGS
from osler.show.panels import Grid, Plot

POOLED = ((0.1, 0.0, 1.0, 0.4), (0.0, 0.5, 0.4, 1.6), (0.3, 0.2, 1.7, 1.1), (0.2, 0.4, 1.1, 1.7))
PADDED = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0))


def pooling(name: str, options: Mapping[str, Any]) -> Plot:
    """A picture of 4×4 before and after."""
    after = POOLINGS.create(name, **_of_pictures(options))(torch.tensor(POOLED)[None, None])[0, 0]
    return Plot((Grid("before", POOLED), Grid("after", _rows(after.reshape(after.shape or (1, 1))))), "")


def padding(name: str, options: Mapping[str, Any]) -> Plot:
    """A picture of 3×3 before and after."""
    # One place more than usual shows better what goes on.
    given = {"padding": 2, **options} if name not in ("valid", "same") else options
    module = PADDINGS.create(name, **_of_pictures(given))
    after = module(torch.tensor(PADDED)[None, None])[0, 0]
    before, behind = (getattr(module, "padding", (0, 0, 0, 0)))[:2]
    note = "" if given == options else "With padding = 2; the usual is 1."
    return Plot((Grid("before", PADDED), Grid("after", _rows(after), (before, behind))), note)


def _of_pictures(options: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("axes", 2) != 2:
        raise InputError(f"only what has 2 axes is drawn, got axes={options['axes']!r}: leave it out")
    return dict(options)


def _rows(values: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(round(v, 4) for v in row) for row in values.tolist())
