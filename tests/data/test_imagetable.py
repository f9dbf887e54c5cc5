from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import osler
from osler.data.parts import Source
from osler.data.prepare import prepare
from osler.data.rows import open_rows
from osler.data.sources import open_source
from osler.data.streamimages import LargeImages
from osler.errors import InputError

SIDE = 6
ROWS = 30


def grey(value: int) -> Image.Image:
    return Image.new("L", (SIDE, SIDE), value)


def save(path: Path, value: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey(value).save(path)
    return path.name


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """30 grey pictures in images/, each of one value, and a table that names them; those above 14 are bright."""
    names = [save(tmp_path / "images" / f"{i:02d}.png", i * 8) for i in range(ROWS)]
    frame = pd.DataFrame({"age": range(ROWS), "file": names, "label": ["dark", "bright"] * 15})
    frame["label"] = np.where(frame["age"] < 15, "dark", "bright")
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "labels.csv"


def values(inputs: torch.Tensor) -> list[int]:
    return [int(v) // 8 for v in inputs[:, 0, 0, 0]]


def opened(source: object, target: str | None = None, **options: Any) -> Source:
    found = open_source(source, target, **options)
    assert isinstance(found, Source)
    assert found.kind == "images"
    return found


def test_each_row_is_its_picture(labels: Path) -> None:
    source = opened(labels, "label")
    part = source.parts["all"]
    table = pd.read_csv(labels)
    assert part.inputs.shape == (ROWS, 1, SIDE, SIDE)
    assert part.inputs.dtype == torch.uint8
    assert values(part.inputs) == table["age"].tolist()
    assert part.targets["label"].tolist() == table["label"].tolist()
    assert part.rows == tuple(table["file"])
    assert source.where == str(labels)
    assert source.notes == [
        "pictures: the files that column 'file' names, in images/",
        "columns left out, for only pictures are learned from: 'age'",
    ]


@pytest.mark.parametrize("form", ["absolute", "relative", "windows", "tsv", "parquet", "folder", "frame"])
def test_however_the_files_are_named(labels: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = opened(labels, "label").parts["all"]
    frame = pd.read_csv(labels)
    before = {"absolute": f"{labels.parent}/images/", "relative": "images/", "windows": "images\\"}
    frame["file"] = before.get(form, "") + frame["file"]
    source: Any = labels
    if form == "parquet":
        frame.to_parquet(source := labels.with_suffix(".parquet"))
    elif form == "frame":
        monkeypatch.chdir(labels.parent)
        source = frame
    else:
        source = labels.with_suffix(".tsv" if form == "tsv" else ".csv")
        frame.to_csv(source, index=False, sep="\t" if form == "tsv" else ",")
        source = labels.parent if form == "folder" else source
    part = opened(source, "label").parts["all"]
    assert torch.equal(part.inputs, wanted.inputs)
    assert part.targets.equals(wanted.targets)


def test_missing_files_are_counted_and_named_with_their_row(labels: Path) -> None:
    frame = pd.read_csv(labels).sort_values("age")
    frame.loc[frame["age"] == 4, "file"] = None
    frame.to_csv(labels, index=False)
    (labels.parent / "images" / "02.png").unlink()
    (labels.parent / "images" / "07.png").write_bytes(b"no picture")
    source = opened(labels, "label")
    assert values(source.parts["all"].inputs) == [i for i in range(ROWS) if i not in (2, 4, 7)]
    assert source.parts["all"].targets["label"].tolist() == ["dark"] * 12 + ["bright"] * 15
    told = "2 of 30 rows left out, for their picture is not there: row 2 (02.png), row 4 (empty)"
    assert told in source.notes
    assert any(
        note.startswith("1 of 28 files left out: ") and "07.png (not a picture)" in note for note in source.notes
    )


def test_a_broken_picture_named_twice(labels: Path) -> None:
    frame = pd.read_csv(labels)
    frame["file"] = "00.png"
    frame.to_csv(labels, index=False)
    assert values(opened(labels, "label").parts["all"].inputs) == [0] * ROWS
    path = labels.parent / "images" / "00.png"
    path.write_bytes(path.read_bytes()[:-24])  # its header is whole
    with pytest.raises(InputError, match=r"no PNG or JPEG picture could be read: .*00.png \(broken"):
        open_source(labels, "label")


def test_none_of_the_files_is_there(labels: Path) -> None:
    for path in (labels.parent / "images").iterdir():
        path.unlink()
    source = open_source(labels, "label")  # age is left to learn from
    assert source.kind == "table"
    lost = f"column 'file' names pictures, but none of them is in {labels.parent} or a folder there"
    assert source.notes == [f"{lost}: only the other columns are learned from"]
    pd.read_csv(labels).drop(columns="age").to_csv(labels, index=False)
    with pytest.raises(InputError, match=lost):
        open_source(labels, "label")


def test_what_is_no_table_of_pictures(labels: Path) -> None:
    frame = pd.read_csv(labels)
    frame["file"] = frame["file"].str.removesuffix(".png")
    assert open_source(frame, "label").kind == "table"
    with pytest.raises(InputError, match="columns 'file', 'other' all name pictures, but a network takes one"):
        open_source(
            pd.read_csv(labels).assign(other=lambda f: f["file"]).to_csv(labels, index=False) or labels, "label"
        )


def test_the_target_follows_the_usual_rule(labels: Path) -> None:
    assert "target: column 'label', by its name" in opened(labels).notes
    with pytest.raises(InputError, match="unknown target column 'labl'; did you mean 'label'"):
        open_source(labels, "labl")
    pd.read_csv(labels).rename(columns={"label": "kind"}).to_csv(labels, index=False)
    with pytest.raises(InputError, match=r"which column is to be predicted.*columns: age, file, kind"):
        open_source(labels)
    assert opened(labels, "-1").parts["all"].targets.columns.tolist() == ["kind"]


def test_a_split_column_is_respected(labels: Path, ready: Callable) -> None:
    frame = pd.read_csv(labels)
    words = np.where(frame["age"] % 5 == 0, "Test", np.where(frame["age"] % 5 == 1, "val", "train"))
    frame.assign(Split=words).to_csv(labels, index=False)
    source = opened(labels, "label")
    assert "parts as column 'Split' says: 18 train, 6 validation, 6 test" in source.notes
    assert "columns left out, for only pictures are learned from: 'age'" in source.notes
    for name, rest in (("train", (2, 3, 4)), ("validation", (1,)), ("test", (0,))):
        found = values(source.parts[name].inputs)
        assert sorted(found) == [i for i in range(ROWS) if i % 5 in rest]
        assert source.parts[name].targets["label"].tolist() == ["dark" if i < 15 else "bright" for i in found]
    prepared, _ = ready(labels, "label")
    assert {name: len(part) for name, part in prepared.parts.items()} == {"train": 18, "validation": 6, "test": 6}
    (labels.parent / "images" / "00.png").unlink()
    place = frame.index[frame["age"] == 0][0]
    told = f"1 of 6 rows left out, for their picture is not there: row {place} (00.png)"
    rows = open_rows(labels, "images", (1, SIDE, SIDE), ("label",), notes := [])
    assert sorted(values(rows.inputs)) == [5, 10, 15, 20, 25]
    assert "the test part is read" in notes
    assert told in opened(labels, "label").notes  # the row of the file, not of the part


def test_split_columns_that_say_something_else(labels: Path) -> None:
    frame = pd.read_csv(labels)
    frame.assign(set="A").to_csv(labels, index=False)
    assert list(opened(labels, "label").parts) == ["all"]
    frame.assign(set="train").to_csv(labels, index=False)
    assert list(opened(labels, "label").parts) == ["all"]
    frame.assign(set=["train"] * 20 + ["dev"] * 10).to_csv(labels, index=False)
    assert {name: len(part) for name, part in opened(labels, "label").parts.items()} == {"train": 20, "test": 10}
    frame.assign(set=["train"] * 29 + ["extra"]).to_csv(labels, index=False)
    with pytest.raises(InputError, match=r"column 'set' .* row 29 \(of 1 such rows\) holds 'extra': it is train"):
        open_source(labels, "label")


def test_a_table_for_each_part(tmp_path: Path) -> None:
    for part, count in (("train", 8), ("test", 4)):
        shift = 0 if part == "train" else 8
        for i in range(8):
            save(tmp_path / part / f"{i}.png", (i + shift) * 8)
        files = [save(tmp_path / part / f"{i}.png", (i + shift) * 8) for i in range(count)]  # names that both have
        frame = pd.DataFrame({"file": files, "label": list("ab") * (count // 2)})
        frame.to_csv(tmp_path / f"{part}.csv", index=False)
    source = opened(tmp_path, "label")
    assert values(source.parts["train"].inputs) == list(range(8))
    assert values(source.parts["test"].inputs) == [8, 9, 10, 11]
    assert values(open_rows(tmp_path, "images", (1, SIDE, SIDE), ("label",), []).inputs) == [8, 9, 10, 11]
    frame.drop(columns="label").to_csv(tmp_path / "test.csv", index=False)
    source = opened(tmp_path, "label")
    assert list(source.parts) == ["all"]
    assert "the test part has no column 'label': not used (it can be predicted afterwards)" in source.notes
    found = open_rows(tmp_path / "test.csv", "images", (1, SIDE, SIDE), ("label",), [])
    assert values(found.inputs) == [8, 9, 10, 11]
    assert found.targets is None
    frame.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(
        InputError, match="files of the names in column 'file' are in test/ and train/; write the folder"
    ):
        open_source(tmp_path / "labels.csv", "label")


def test_on_disk_the_same_as_in_memory(labels: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(labels)
    frame.loc[frame["age"].isin([3, 20]), "label"] = None
    frame.to_csv(labels, index=False)
    whole = opened(labels, "label", image_size=20)
    resident = prepare(whole, said := list(whole.notes))
    found = open_source(labels, "label", image_size=20, limit_bytes=8000)  # the table fits, its pictures don't
    assert isinstance(found, LargeImages)
    notes = list(found.notes)
    streamed = prepare(found, notes, cache=tmp_path)
    assert set(said) <= set(notes)
    assert "labels.csv is larger than half of the memory: encoded once, and read from disk in training" in notes
    assert streamed.preprocess.to_json() == resident.preprocess.to_json()
    assert sum(len(part) for part in streamed.parts.values()) == ROWS - 2
    for name, part in resident.raw.items():
        ours = streamed.raw[name].take(np.arange(len(part)))
        order = [part.rows.index(row) for row in ours.rows]
        assert sorted(order) == list(range(len(part)))
        assert torch.equal(ours.inputs, part.inputs[order])
        assert torch.equal(streamed.parts[name][:].targets, resident.parts[name].targets[order])


def test_rows_to_predict(labels: Path) -> None:
    notes: list[str] = []
    part = open_rows(labels, "images", (1, 3, 3), ("label",), notes)
    assert part.inputs.shape == (ROWS, 1, 3, 3)
    assert part.rows == tuple(pd.read_csv(labels)["file"])
    assert part.targets["label"].tolist() == pd.read_csv(labels)["label"].tolist()
    pd.read_csv(labels).drop(columns="label").to_csv(labels, index=False)
    (labels.parent / "images" / "05.png").unlink()
    part = open_rows(labels, "images", (1, SIDE, SIDE), ("label",), notes)
    assert part.targets is None
    assert len(part) == len(part.rows) == ROWS - 1
    assert any("1 of 30 rows left out, for their picture is not there: row " in note for note in notes)
    pd.read_csv(labels)[["age"]].to_csv(labels, index=False)
    with pytest.raises(InputError, match=r"labels.csv \(not a picture\)"):
        open_rows(labels, "images", (1, SIDE, SIDE), ("label",), [])


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_a_strangers_names_are_missing_files(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("named")
    save(folder / "good.png", 8)
    strange = [f"{name}.png" for name in ("x" * 5000, "a\0b", *names)]
    frame = pd.DataFrame({"file": ["good.png", *strange], "label": "a", "n": 1.0})
    frame.to_parquet(folder / "t.parquet")
    source = opened(folder / "t.parquet", "label")
    assert values(source.parts["all"].inputs) == [1]
    assert any(note.startswith(f"{len(strange)} of {len(strange) + 1} rows left out") for note in source.notes)


def test_trained_predicted_and_evaluated(labels: Path, tmp_path: Path) -> None:
    run = osler.train(labels, target="label", model="mlp", epochs=3, seed=0, out=tmp_path / "run")
    answers = run.predict(labels)
    assert answers["file"].tolist() == pd.read_csv(labels)["file"].tolist()
    truth = pd.read_csv(labels)["label"]
    assert run.evaluate(labels)["accuracy"] == pytest.approx((answers["prediction"] == truth).mean())
    bare = labels.with_name("new.csv")
    pd.read_csv(labels)[["file"]].to_csv(bare, index=False)
    pd.testing.assert_frame_equal(run.predict(bare), answers)
    with pytest.raises(InputError, match="the data has no target 'label'"):
        run.evaluate(bare)
