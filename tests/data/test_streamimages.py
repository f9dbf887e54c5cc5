from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from osler.data import streamimages
from osler.data.prepare import Prepared, prepare
from osler.data.rowfiles import StreamedDataset
from osler.data.sources import open_source
from osler.data.stream import StreamedBatches
from osler.errors import InputError

SIDE = 6


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamimages, "AT_ONCE", 4 * 3 * SIDE * SIDE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 pictures of two classes, all different."""
    random = np.random.default_rng(0)
    for i in range(30):
        place = tmp_path / "pets" / ("cat" if i % 3 else "dog") / f"{i:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(place)
    return tmp_path / "pets"


def on_disk(folder: Path, **options: Any) -> tuple[Prepared, list[str]]:
    opened = open_source(folder, limit_bytes=1000)
    notes = list(opened.notes)
    prepared = prepare(opened, notes, cache=folder.parent, **options)
    assert all(isinstance(part, StreamedDataset) for part in prepared.parts.values())
    return prepared, notes


def test_the_same_as_in_memory_but_for_the_order(folder: Path, ready: Callable) -> None:
    resident, said = ready(folder)
    streamed, told = on_disk(folder)
    assert "pets is larger than half of the memory: encoded once, and read from disk in training" in told
    assert set(said) <= set(told)
    assert streamed.task == resident.task
    assert streamed.preprocess.to_json() == resident.preprocess.to_json()
    for name, part in resident.parts.items():
        ours = streamed.parts[name][:]
        rows = streamed.raw[name].take(np.arange(len(ours))).rows
        order = [resident.raw[name].rows.index(row) for row in rows]
        assert sorted(order) == list(range(len(part)))
        assert (order == sorted(order)) == (name != "train")
        assert torch.equal(ours.inputs, part.inputs[order])
        assert torch.equal(ours.targets, part.targets[order])
        assert np.array_equal(streamed.class_counts(name), resident.class_counts(name))
    transform = streamed.preprocess.transform()
    seen = torch.cat([batch.inputs for batch in StreamedBatches(streamed.parts["train"], 4, transform=transform)])
    assert abs(seen.mean()) < 1e-5
    assert streamed.describe() == []


def test_given_parts_and_rows_looked_up(folder: Path, ready: Callable) -> None:
    for part in ("train", "test"):
        (folder.parent / "parts" / part).mkdir(parents=True)
        for name in ("cat", "dog"):
            (folder.parent / "parts" / part / name).symlink_to(folder / name)
    resident, _ = ready(folder.parent / "parts")
    streamed, _ = on_disk(folder.parent / "parts")
    few = streamed.raw["test"].take(np.array([5, 0]))
    assert few.rows == tuple(resident.raw["test"].rows[i] for i in (5, 0))
    assert torch.equal(few.inputs, resident.raw["test"].inputs[[5, 0]])
    assert few.targets["class"].tolist() == resident.raw["test"].targets["class"].iloc[[5, 0]].tolist()


def test_broken_files_are_named(folder: Path) -> None:
    whole = (folder / "cat" / "01.png").read_bytes()
    (folder / "cat" / "01.png").write_bytes(whole[:-40])  # only decoding finds it
    (folder / "dog" / "00.png").write_text("no picture")
    streamed, told = on_disk(folder)
    assert told[0].startswith("2 of 30 files left out: ")
    assert "01.png (broken: " in told[0]
    assert "00.png (not a picture)" in told[0]
    assert sum(len(part) for part in streamed.parts.values()) == 28
    for name, part in streamed.parts.items():
        looked = streamed.raw[name].take(np.arange(len(part)))
        assert torch.equal(looked.inputs, part[:].inputs)


def test_a_part_without_a_whole_picture_is_refused(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="no picture of the train part can be read: broken"):
        on_disk(folder)
    assert list(folder.parent.glob("osler-data-*")) == []


@pytest.mark.parametrize("options", [{"group": "a"}, {"time": "a"}, {"weight": "a"}, {"drop": ["a"]}])
def test_pictures_have_no_columns(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(options))} names a column of a table"):
        on_disk(folder, **options)


def test_room_on_disk_is_checked_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100}))
    with pytest.raises(InputError, match="the data, encoded, needs"):
        on_disk(folder)
