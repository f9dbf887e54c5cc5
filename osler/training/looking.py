"""Looking at a network without changing it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def looking(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module's mode and the random numbers are as before.

    Not inference mode: what a network computes once and keeps (a mask, a table of positions) must serve training too.
    """
    modes = [(module, module.training) for module in model.modules()]
    accelerators = {p.device for p in model.parameters() if p.device.type == "cuda"}
    model.eval()
    try:
        with torch.random.fork_rng(devices=accelerators), torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
