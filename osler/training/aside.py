"""An extra pass over the training batches that leaves training as it would have been without it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from osler.training.randomness import random_state, set_random_state


@contextlib.contextmanager
def aside(batches: Any) -> Iterator[None]:
    """What is drawn at random inside is drawn once more afterwards, the order of these batches included.

    To be used between epochs; batches that are in the middle of one would lose their place.
    Put back are all random numbers, those of generators that the batches hold (as a DataLoader does) too, and the
    batches' own state where they have a `state_dict`.
    """
    place = batches.state_dict() if hasattr(batches, "load_state_dict") else None
    chance = random_state(batches)
    try:
        yield
    finally:
        if place is not None:
            batches.load_state_dict(place)
        set_random_state(chance, batches)
