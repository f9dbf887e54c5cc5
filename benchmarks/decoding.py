"""Reading pictures from files beside a plain Pillow loop: `python -m benchmarks.decoding [--rounds N] [NAME …]`.

Ours is what `osler train` does with a folder of pictures: all headers are looked at, then all files are decoded in
threads into one tensor of bytes. The loop opens, converts, scales to cover, crops around the centre and copies into an
array, picture by picture. Both take turns, in rounds; the numbers are medians, with the files in the system's cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from benchmarks.tables import markdown
from osler.data.images import find_images, survey_images

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WORK = {  # name → folder, side
    "cifar10_images": ("cifar10_images", 32),
    "hymenoptera 96": ("hymenoptera", 96),
    "hymenoptera 224": ("hymenoptera", 224),
}


class Measured(NamedTuple):
    ours: float  # pictures a second
    plain: float
    ratios: list[float]  # ours to plain, of each round
    work: float  # processor time of ours to that of plain, all threads together
    difference: float  # of a pixel's value, on average, of 255


def ours(paths: Sequence[Path], side: int) -> Tensor:
    """All of them (N, 3, side, side), uint8."""
    return survey_images(paths, side, 3).read(2**40)[0]


def plain(paths: Sequence[Path], side: int) -> Tensor:
    """The same by a loop that knows no tricks."""
    pixels = np.empty((len(paths), side, side, 3), np.uint8)
    for place, path in zip(pixels, paths, strict=True):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
            if image.size != (side, side):
                image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
            place[:] = np.asarray(image)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def measure(paths: Sequence[Path], side: int, rounds: int) -> Measured:
    """Both, taking turns. The first look at each, which fills the cache, is compared and does not count."""
    ways: list[Callable[[Sequence[Path], int], Tensor]] = [ours, plain]
    first, second = (way(paths, side).int() for way in ways)
    times: list[list[float]] = [[], []]
    busy: list[list[float]] = [[], []]
    for _ in range(rounds):
        for way, found, worked in zip(ways, times, busy, strict=True):
            started, before = time.perf_counter(), time.process_time()
            way(paths, side)
            found.append(time.perf_counter() - started)
            worked.append(time.process_time() - before)
    speeds = [len(paths) / statistics.median(found) for found in times]
    ratios = [loop / mine for mine, loop in zip(*times, strict=True)]
    work = statistics.median(mine / loop for mine, loop in zip(*busy, strict=True))
    return Measured(*speeds, ratios, work, float((first - second).abs().float().mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("names", nargs="*", choices=[*WORK, []], metavar="NAME", help=f"only these: {', '.join(WORK)}")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not DATA.is_dir():
        parser.error(f"the folder of real data sets is not there: {DATA}")
    rows = []
    for name in options.names or WORK:
        folder, side = WORK[name]
        paths = [path for path in find_images(DATA / folder) if path.suffix == ".jpg"]
        found = measure(paths, side, options.rounds)
        ratio = f"{statistics.median(found.ratios):.2f} ({min(found.ratios):.2f}–{max(found.ratios):.2f})"
        speeds = [f"{found.ours:,.0f}", f"{found.plain:,.0f}"]
        rows.append(
            [name, f"{len(paths):,}", f"{side}×{side}", *speeds, ratio, f"{found.work:.2f}", f"{found.difference:.2f}"]
        )
    heads = ["pictures", "files", "brought to", "ours", "Pillow loop", "ratio", "processor time, ours / loop"]
    heads.append("mean difference of a pixel (of 255)")
    print(f"Pictures a second, {os.cpu_count()} cores, medians of {options.rounds} rounds:\n")
    print("\n".join(markdown(heads, rows)))


if __name__ == "__main__":
    main()
