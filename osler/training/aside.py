"""An extra pass over the training batches that leaves training as it would have been without it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from osler.training.randomness import random_state, set_random_state


@contextlib.contextmanager
def aside(batches: Any) -> Iterator[None]:
    """What is drawn at random inside is drawn once more afterwards, the order of these batches included.

    To be used between epochs; batches that are in the middle of one would lose their place.
    Put back are all random numbers, the batches' own state where they have a `state_dict`, and the torch generators
    that they, their sampler or their data set hold (as a DataLoader does).
    """
    generators = _generators(batches)
    states = [generator.get_state() for generator in generators]
    place = batches.state_dict() if hasattr(batches, "load_state_dict") else None
    chance = random_state()
    try:
        yield
    finally:
        set_random_state(chance)
        if place is not None:
            batches.load_state_dict(place)
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _generators(batches: Any) -> list[torch.Generator]:
    sampler = getattr(batches, "batch_sampler", None)
    parts = [getattr(batches, name, None) for name in ("sampler", "dataset")]
    held = [
        value
        for holder in (batches, *parts, sampler, getattr(sampler, "sampler", None))
        for value in getattr(holder, "__dict__", {}).values()
    ]
    return list({id(value): value for value in held if isinstance(value, torch.Generator)}.values())
