"""Shared by the tests of the data room: from a source to prepared data in one call, and tables to fill."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from osler.data.prepare import Prepared, prepare
from osler.data.sources import open_source

ROWS = 60


@pytest.fixture
def ready() -> Callable[..., tuple[Prepared, list[str]]]:
    """Opens and prepares a source as a run does: (prepared, all that was said)."""

    def run(source: object, target: Any = None, **options: Any) -> tuple[Prepared, list[str]]:
        found = open_source(source, target)
        notes = list(found.notes)
        return prepare(found, notes, **options), notes

    return run


@pytest.fixture
def table() -> Callable[..., pd.DataFrame]:
    """A table of 60 rows: a number "a", a category "b", the target "t" of two classes, and whatever is given."""

    def make(**columns: Any) -> pd.DataFrame:
        random = np.random.default_rng(0)
        frame = pd.DataFrame(
            {"a": random.normal(size=ROWS), "b": random.choice(list("xyz"), ROWS), "t": np.arange(ROWS) % 2}
        )
        frame["t"] = frame["t"].map({0: "no", 1: "yes"})
        for name, values in columns.items():
            frame[name] = values
        return frame

    return make
