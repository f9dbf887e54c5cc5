"""Shared by all tests: one thread (the machine may have two cores, and results don't depend on how many)."""

import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")

import pytest
import torch
from hypothesis import settings

# A busy machine is no failure, and every run tries the same examples.
settings.register_profile("osler", deadline=None, derandomize=True)
settings.load_profile("osler")

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets beside the project; tests that need it are skipped where it is not."""
    if not DATA.is_dir():
        pytest.skip(f"the folder of real data sets is not there: {DATA}")
    return DATA
