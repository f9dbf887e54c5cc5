"""Training on a table that stays on disk: `python -m benchmarks.streaming [--rows N] [--steps N]`.

Makes a Parquet table of numbers, categories and a date in a temporary folder, then in a process of its own encodes it
and trains a small network on it streamed, in a plain loop. Printed: rows a second of encoding and of training, the
share of time that training waited for data, and the peak of that process's memory, beside what the same data takes
when it is resident.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PIECE = 500_000  # rows made at once
BATCH = 1024


def make(path: Path, rows: int) -> None:
    """A table of 8 numbers, a category and a date; the class depends on three of them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    names = np.array(["north", "east", "south", "west"])
    writer = None
    for first in range(0, rows, PIECE):
        count = min(PIECE, rows - first)
        numbers = {f"x{i}": random.normal(i, 1 + i, count) for i in range(8)}
        place = random.integers(0, 4, count)
        score = (
            numbers["x0"] + 0.5 * (numbers["x1"] - 1) + np.where(place == 0, 1.0, 0.0) + random.normal(0, 0.5, count)
        )
        day = np.datetime64("2015-01-01", "s") + random.integers(0, 10**8, count)
        table = pa.table({**numbers, "place": names[place], "day": day, "label": np.where(score > 0.25, "yes", "no")})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def peak() -> float:
    """MiB, the most that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(path: Path, steps: int) -> dict[str, float]:
    """Encodes the table, reads one epoch of it, and trains for so many steps."""
    import torch
    from torch import nn

    from osler.data.largetable import LargeTable
    from osler.data.prepare import prepare
    from osler.data.rowfiles import StreamedDataset
    from osler.data.sources import open_source
    from osler.data.stream import StreamedBatches

    found: dict[str, float] = {"threads": torch.get_num_threads(), "libraries": peak()}
    started = time.perf_counter()
    source = open_source(path, "label", limit_bytes=0)
    assert isinstance(source, LargeTable)
    data = prepare(source, [], cache=path.parent)
    rows = sum(len(part) for part in data.parts.values())
    found |= {"rows": rows, "encoding": time.perf_counter() - started, "peak encoding": peak()}

    train = data.parts["train"]
    assert isinstance(train, StreamedDataset)
    found |= {"encoded": sum(len(part) * train.row_bytes for part in data.parts.values()), "train": len(train)}
    batches = StreamedBatches(train, BATCH, shuffle=True)
    started = time.perf_counter()
    for _ in batches:
        pass
    found["reading"] = time.perf_counter() - started

    batches = StreamedBatches(train, BATCH, shuffle=True)
    model = nn.Sequential(
        nn.Linear(train.inputs.shape[0], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    total, done, started = torch.zeros(()), 0, time.perf_counter()
    while done < steps:
        for batch in batches:
            loss = nn.functional.binary_cross_entropy_with_logits(model(batch.inputs), batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
            done += 1
            if done == steps:
                break
    found |= {"training": time.perf_counter() - started, "steps": done, "loss": float(total) / done, "peak": peak()}
    return found | {"waited": batches.data_wait_share}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--steps", type=int, default=10_000, help=f"steps of {BATCH} rows to train for")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.steps)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "table.parquet")
        make(path, options.rows)
        size = path.stat().st_size
        command = [sys.executable, "-m", "benchmarks.streaming", "--measure", str(path), "--steps", str(options.steps)]
        m = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    mib = 2**20
    # As numbers of 8 bytes when read, and encoded beside them.
    resident = m["rows"] * 11 * 8 + m["encoded"]
    print(f"table: {m['rows']:,.0f} rows × 10 features, {size / mib:,.0f} MiB of Parquet; {m['threads']:.0f} threads")
    encoding = f"{m['rows'] / m['encoding']:,.0f} rows/s ({m['encoding']:.1f} s)"
    print(f"encoding: {encoding}, {m['encoded'] / mib:,.0f} MiB on disk")
    print(f"reading, shuffled: {m['train'] / m['reading']:,.0f} rows/s (an epoch in {m['reading']:.2f} s)")
    print(
        f"training: {m['steps'] * BATCH / m['training']:,.0f} rows/s, {m['steps']:,.0f} steps of {BATCH}, mean loss "
        f"{m['loss']:.4f}; waited for data {m['waited']:.2%} of the time"
    )
    print(
        f"peak memory: {m['peak']:,.0f} MiB (encoding {m['peak encoding']:,.0f} MiB; {m['libraries']:,.0f} MiB are the "
        f"libraries); resident, the data alone would take {resident / mib:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
