"""Finds where a computation first stops being finite."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from osler.doctor.graph import Op
from osler.doctor.program import quiet, without_our_hooks
from osler.doctor.tracing import Tracer, named_calls


def first_bad(model: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> Op | None:
    """The first operation of a forward pass that makes what isn't finite out of what is; None when there is none."""
    try:
        with quiet(), torch.no_grad():
            twin = copy.deepcopy(model)
            without_our_hooks(twin)
            tracer = Tracer(twin, [list(arguments), options])
            with named_calls(twin) as stack, tracer:
                tracer.stack = stack
                twin(*arguments, **options)
    except Exception:
        return None
    for op in tracer.graph.ops:
        value = op.value
        if value is None or not value.is_floating_point() or math.isfinite(float(value.sum())):
            continue
        if not bool(torch.isfinite(value).all()) and op.name not in ("masked_fill", "full", "triu", "tril"):
            return op
    return None
