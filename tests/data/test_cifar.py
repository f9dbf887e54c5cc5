import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from osler.data.cifar import find_cifar, read_cifar
from osler.data.parts import Source
from osler.data.rows import open_rows
from osler.data.sources import open_source
from osler.errors import InputError

TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HUNDRED = [f"kind_{i:02d}" for i in range(100)]
COUNT = 20  # pictures of a file


def samples(seed: int, classes: int) -> tuple[np.ndarray, list[int]]:
    """Rows of 3,072 bytes: all of red row by row, then green, then blue."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (COUNT, 3072), dtype=np.uint8), [(i + seed) % classes for i in range(COUNT)]


def bin_10(folder: Path, numbers: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Path:
    for number in (*numbers, 0):
        data, labels = samples(number, 10)
        name = f"data_batch_{number}.bin" if number else "test_batch.bin"
        (folder / name).write_bytes(b"".join(bytes([y]) + x.tobytes() for x, y in zip(data, labels, strict=True)))
    (folder / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
    return folder


def bin_100(folder: Path) -> Path:
    for number, name in ((1, "train.bin"), (0, "test.bin")):
        data, labels = samples(number, 100)
        (folder / name).write_bytes(
            b"".join(bytes([y // 5, y]) + x.tobytes() for x, y in zip(data, labels, strict=True))
        )
    (folder / "fine_label_names.txt").write_text("\n".join(HUNDRED) + "\n")
    return folder


def py_10(folder: Path, numbers: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Path:
    for number in (*numbers, 0):
        data, labels = samples(number, 10)
        batch = {b"batch_label": b"one", b"labels": labels, b"data": data, b"filenames": [b"a.png"] * COUNT}
        dump(folder / (f"data_batch_{number}" if number else "test_batch"), batch)
    meta = {b"num_cases_per_batch": COUNT, b"label_names": [name.encode() for name in TEN], b"num_vis": 3072}
    dump(folder / "batches.meta", meta)
    (folder / "readme.html").write_text("<html>")
    return folder


def py_100(folder: Path) -> Path:
    for number, name in ((1, "train"), (0, "test")):
        data, labels = samples(number, 100)
        batch = {b"fine_labels": labels, b"coarse_labels": [y // 5 for y in labels], b"data": data}
        dump(folder / name, batch)
    dump(folder / "meta", {b"fine_label_names": [name.encode() for name in HUNDRED], b"coarse_label_names": []})
    return folder


def dump(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (bin_10, "CIFAR-10, records of bytes (data_batch_1.bin, data_batch_2.bin, "),
        (py_10, "CIFAR-10, pickled batches (data_batch_1, data_batch_2, "),
        (bin_100, "CIFAR-100, records of bytes (train.bin, test.bin)"),
        (py_100, "CIFAR-100, pickled batches (train, test)"),
    ],
)
def test_every_published_form(tmp_path: Path, make: Callable[[Path], Path], told: str) -> None:
    source = open_source(make(tmp_path))
    assert isinstance(source, Source)
    assert source.kind == "images"
    assert source.notes[0].startswith(f"{tmp_path.name}: {told}")
    assert len(source.notes) == 1
    names = HUNDRED if "100" in make.__name__ else TEN
    for part, numbers in (("train", (1,) if names is HUNDRED else (1, 2, 3, 4, 5)), ("test", (0,))):
        found = source.parts[part]
        assert found.inputs.dtype == torch.uint8
        assert found.inputs.shape == (COUNT * len(numbers), 3, 32, 32)
        at = 0
        for number in numbers:
            data, labels = samples(number, len(names))
            for x, y in zip(data, labels, strict=True):
                # As the data set's page says: 1,024 red values, row by row, then green, then blue.
                assert found.inputs[at, 1, 2, 3] == x[1024 + 2 * 32 + 3]
                assert found.inputs[at, 2, 31, 0] == x[2048 + 31 * 32]
                assert found.targets[at] == names[y]
                at += 1


def test_without_names_classes_are_numbers(tmp_path: Path) -> None:
    (bin_10(tmp_path) / "batches.meta.txt").unlink()
    assert read_cifar(tmp_path, [])["test"].targets.tolist() == [i % 10 for i in range(COUNT)]


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    notes: list[str] = []
    py_10(tmp_path, (1, 4))
    assert len(read_cifar(tmp_path, notes)["train"]) == 2 * COUNT
    assert notes[1] == "not there, of the five files to train on: data_batch_2, 3, 5"
    (tmp_path / "test_batch").unlink()
    assert list(read_cifar(tmp_path, notes)) == ["all"]
    assert notes[-1] == "only the train files are there: they are all the data"


def test_what_only_has_such_a_name(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(b"\0" * 4000)  # tokens, say
    assert find_cifar(tmp_path) is None
    (tmp_path / "train").write_text("a list of names")
    (tmp_path / "meta").write_text("")
    assert find_cifar(tmp_path) is None
    with pytest.raises(InputError, match="has no files with CIFAR's names"):
        read_cifar(tmp_path, [])


class Hostile:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("name", ["data_batch_3", "batches.meta"])
def test_a_hostile_batch_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "c").mkdir()
    dump(py_10(tmp_path / "c") / name, {b"data": Hostile(tmp_path / "trace"), b"labels": []})
    with pytest.raises(InputError, match=rf"{name} asks for posix\.system, which plain data does not need"):
        open_source(tmp_path / "c")
    with pytest.raises(InputError, match=rf"{name} asks for posix\.system"):
        open_rows(tmp_path / "c", "images", (3, 32, 32), ("class",), [])
    assert not (tmp_path / "trace").exists()


DATA = samples(1, 10)[0]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "a batch of CIFAR-10 is a dict with 'data' and 'labels', but it holds something else"),
        ({"data": DATA, "fine_labels": [1]}, "but it has 'data', 'fine_labels'"),
        ({"data": DATA[:, :100], "labels": [1]}, r"3,072 for each picture, but got an array of shape \(20, 100\)"),
        ({"data": [1, 2], "labels": [1]}, "but got a list"),
        ({"data": DATA, "labels": [1]}, "a label for each of 20 pictures, but got 1"),
        ({"data": DATA, "labels": 5}, "but got a int"),
        ({"data": DATA, "labels": [0] * 19 + [10]}, "picture 19 has the label 10; labels of CIFAR-10 are 0 to 9"),
        ({"data": DATA, "labels": [0] * 19 + [(1, 2)]}, "picture 19 has a tuple for label"),
    ],
)
def test_batches_that_are_something_else(tmp_path: Path, batch: Any, message: str) -> None:
    dump(py_10(tmp_path) / "data_batch_1", batch)
    with pytest.raises(InputError, match=message):
        read_cifar(tmp_path, [])


def test_records_that_are_something_else(tmp_path: Path) -> None:
    path = bin_10(tmp_path) / "data_batch_2.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"data_batch_2.bin has 61,459 bytes, but CIFAR-10 has 3,073 for each picture"):
        read_cifar(tmp_path, [])
    path.write_bytes(b"\x0a" + whole[1:])
    with pytest.raises(
        InputError, match=r"data_batch_2.bin: picture 0 has the label 10; labels of CIFAR-10 are 0 to 9"
    ):
        read_cifar(tmp_path, [])
    path.write_bytes(whole)
    (tmp_path / "batches.meta.txt").write_text("cat dog")
    with pytest.raises(InputError, match=r"batches.meta.txt: holds 2 different names of classes, not 10"):
        read_cifar(tmp_path, [])


def test_memory_is_looked_at_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_10(tmp_path)
    monkeypatch.setattr("osler.data.memory.memory_limit", lambda: 1000)
    with pytest.raises(InputError, match=r"needs about 0.0 GiB in memory"):
        read_cifar(tmp_path, [])


def test_prepared_and_read_again(tmp_path: Path, ready: Callable) -> None:
    prepared, _ = ready(py_10(tmp_path))
    assert prepared.task.classes == tuple(TEN)
    assert len(prepared.parts["test"]) == COUNT
    notes: list[str] = []
    rows = open_rows(tmp_path, "images", (3, 32, 32), ("class",), notes)
    assert torch.equal(prepared.preprocess.encode(rows, notes).inputs, prepared.parts["test"].inputs)
    assert torch.equal(prepared.preprocess.encode(rows, notes).targets, prepared.parts["test"].targets)
