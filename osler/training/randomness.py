"""Every random number generator that a training program may draw from: their states, kept and put back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_state(data: Any = None) -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's generators (every GPU's too), as plain values and tensors.

    With `data` also of the torch generators that it, its sampler or its data set hold, as a DataLoader may.
    """
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 (users' programs draw from it)
    version, words, gauss = random.getstate()
    return {
        "python": (version, torch.tensor(words), gauss),
        "numpy": {
            "keys": torch.from_numpy(numpy["state"]["key"].astype(np.int64)),
            "position": numpy["state"]["pos"],
            "gauss": (numpy["has_gauss"], float(numpy["gauss"])),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "held": [generator.get_state() for generator in held_generators(data)],
    }


def set_random_state(state: dict[str, Any], data: Any = None) -> None:
    """The generators as they were, those held by `data` too. A GPU that isn't there any more is left out."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    keys = state["numpy"]["keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, state["numpy"]["position"], *state["numpy"]["gauss"]))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    for device, saved in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
        torch.cuda.set_rng_state(saved, device)
    for generator, saved in zip(held_generators(data), state["held"], strict=False):
        generator.set_state(saved)


def held_generators(data: Any) -> list[torch.Generator]:
    """The torch generators that batches, their sampler or their data set hold, each once."""
    sampler = getattr(data, "batch_sampler", None)
    parts = [getattr(data, name, None) for name in ("sampler", "dataset")]
    held = [
        value
        for holder in (data, *parts, sampler, getattr(sampler, "sampler", None))
        for value in getattr(holder, "__dict__", {}).values()
    ]
    return list({id(value): value for value in held if isinstance(value, torch.Generator)}.values())
