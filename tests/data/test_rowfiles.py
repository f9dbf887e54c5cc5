import errno
import gc
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.data.batches import Dataset
from osler.data.rowfiles import Cache, RowWriter
from osler.errors import InputError


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5), shape=st.lists(st.integers(1, 3), max_size=3))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], shape: list[int]) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    writer = RowWriter(cache, "train", classes=3)
    pieces = [
        Dataset(torch.randint(0, 256, (n, *shape), dtype=torch.uint8), torch.randint(0, 3, (n,)), torch.rand(n))
        for n in sizes
    ]
    for piece in pieces:
        writer.add(piece)
    data = writer.finish()
    inputs, targets, weights = (
        torch.cat([getattr(p, name) for p in pieces]) for name in ("inputs", "targets", "weights")
    )
    assert len(data) == sum(sizes)
    assert data.class_counts == tuple(torch.bincount(targets, minlength=3).tolist())
    for start in range(len(data) + 1):
        read = data[start : start + 4]
        assert torch.equal(read.inputs, inputs[start : start + 4])
        assert torch.equal(read.targets, targets[start : start + 4])
        assert torch.equal(read.weights, weights[start : start + 4])


def test_a_sample_is_taken_from_all_over(tmp_path: Path) -> None:
    writer = RowWriter(Cache(tmp_path), "train")
    writer.add(Dataset(torch.arange(1000.0)[:, None]))
    data = writer.finish()
    some = data.sample(100, runs=10).inputs[:, 0]
    assert some.tolist() == [110.0 * run + i for run in range(10) for i in range(10)]
    assert len(data.sample(1000)) == len(data.sample(2000)) == 1000


def test_the_folder_goes_when_it_is_not_needed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new")
    other = Cache(tmp_path / "new")
    assert cache.folder.is_dir()
    copy = pickle.loads(pickle.dumps(cache))
    copy.close()
    del copy
    gc.collect()
    assert cache.folder.is_dir()  # a copy in another process doesn't own it
    folder = cache.folder
    (folder / "train.inputs").write_bytes(b"x")
    del cache
    gc.collect()
    assert not folder.exists()
    assert other.folder.is_dir()
    other.close()
    other.close()
    assert not other.folder.exists()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from osler.data.rowfiles import Cache\n"
        "cache = Cache(Path(sys.argv[1])); (cache.folder / 'train.inputs').write_bytes(b'x')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    (tmp_path / "osler-data-other").mkdir()  # without a lock: not ours
    cache = Cache(tmp_path)
    assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([cache.folder, tmp_path / "osler-data-other"])


def test_the_same_samples_have_the_same_checksum(tmp_path: Path) -> None:
    def checksum(*pieces: Dataset) -> str:
        writer = RowWriter(Cache(tmp_path), "train")
        for piece in pieces:
            writer.add(piece)
        return writer.finish().checksum

    rows = torch.arange(12.0).reshape(6, 2)
    whole = checksum(Dataset(rows, rows[:, 0]))
    assert checksum(Dataset(rows[:4], rows[:4, 0]), Dataset(rows[4:], rows[4:, 0])) == whole
    assert checksum(Dataset(rows, rows[:, 1])) != whole
    assert checksum(Dataset(rows)) != whole


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot make a folder for encoded data in .*file"):
        Cache(tmp_path / "file")


def test_room_is_checked_before(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.check_space(1)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(InputError, match=r"the data, encoded, needs .* GiB on disk, but .* has .* GiB free: make room"):
        cache.check_space(free * 2)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs a device that is always full")
    cache = Cache(tmp_path)
    (cache.folder / "train.inputs").symlink_to(full)
    writer = RowWriter(cache, "train")
    with pytest.raises(InputError, match="the disk became full while data was encoded") as error:
        writer.add(Dataset(torch.zeros(10**6)))
    assert isinstance(error.value.__cause__, OSError)
    assert error.value.__cause__.errno == errno.ENOSPC
    assert not cache.folder.exists()
    assert full.exists()
