"""Every entry with its plot, computed once."""

import pytest

from osler.show.catalogue import KINDS, listing
from osler.show.describe import Entry
from osler.show.panels import Plot
from osler.show.plot import plot

ENTRIES = [entry for kind in KINDS for entry in listing(kind)]


@pytest.fixture(scope="session")
def plots() -> dict[tuple[str, str], Plot | None]:
    return {(entry.kind, entry.name): plot(entry, {}) for entry in ENTRIES}


@pytest.fixture(params=ENTRIES, ids=lambda entry: f"{entry.kind}-{entry.name}")
def entry(request: pytest.FixtureRequest) -> Entry:
    return request.param
