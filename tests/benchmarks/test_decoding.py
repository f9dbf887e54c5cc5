from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.decoding import measure, ours, plain


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    for i in range(6):
        Image.fromarray(random.integers(0, 256, (8, 10, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    return sorted(tmp_path.iterdir())


def test_both_read_the_same(paths: list[Path]) -> None:
    for side in (4, 8, 16):
        assert ours(paths, side).shape == (6, 3, side, side)
        assert torch.equal(ours(paths, side), plain(paths, side))


def test_measured(paths: list[Path]) -> None:
    found = measure(paths, 8, 3)
    assert min(found.ours, found.plain, found.work, *found.ratios) > 0
    assert len(found.ratios) == 3
    assert found.difference == 0
