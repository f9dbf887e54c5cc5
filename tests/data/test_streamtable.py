import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from osler.data import largetable
from osler.data.parts import Part
from osler.data.prepare import Prepared, prepare
from osler.data.preprocess import Preprocess
from osler.data.rowfiles import StreamedDataset
from osler.data.sources import open_source
from osler.data.stream import StreamedBatches
from osler.errors import InputError

LIMIT = 1000  # bytes: everything here is larger


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largetable, "CELLS", 700)


def frame(count: int, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """A column of every kind, with gaps, slips and a skew."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "normal": random.normal(5, 3, count),
            "skewed": np.where(random.random(count) < 0.2, np.nan, random.lognormal(2, 1.5, count)),
            "whole": random.integers(0, 50, count),
            "place": random.choice(["north", "east", "south", " "], count),
            "number": np.arange(count),
            "flag": random.random(count) < 0.3,
            "day": pd.to_datetime("2020-01-01") + pd.to_timedelta(random.integers(0, 9999, count), unit="h"),
            "slips": [f"{x:.2f}" if i % 40 else "none" for i, x in enumerate(random.normal(size=count))],
            "name": [f"name {i}" for i in range(count)],
        }
    )
    table["target"] = random.choice(["a", "b", "c"], count, p=[0.6, 0.3, 0.1])
    return table.assign(**columns)


def write(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False, row_group_size=100)
    else:
        table.to_csv(path, index=False)
    return path


def on_disk(source: Path, target: Any = "target", **options: Any) -> tuple[Prepared, list[str]]:
    opened = open_source(source, target, limit_bytes=LIMIT)
    notes = list(opened.notes)
    prepared = prepare(opened, notes, cache=source.parent, **options)
    assert all(isinstance(part, StreamedDataset) for part in prepared.parts.values())
    return prepared, notes


def assert_same(record: Any, other: Any) -> None:
    """Numbers to rounding, all else exactly."""
    if isinstance(record, dict):
        assert record.keys() == other.keys()
        for key in record:
            assert_same(record[key], other[key])
    elif isinstance(record, list | tuple) and not isinstance(record, str):
        assert len(record) == len(other)
        for one, two in zip(record, other, strict=True):
            assert_same(one, two)
    elif isinstance(record, float):
        assert record == pytest.approx(other, rel=1e-11, abs=1e-13)
    else:
        assert record == other


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("target", ["target", "normal", "flag"])
def test_given_parts_become_what_they_are_in_memory(tmp_path: Path, ready: Callable, suffix: str, target: str) -> None:
    for seed, (name, count) in enumerate({"train": 700, "validation": 90, "test": 150}.items()):
        write(frame(count, seed), tmp_path / f"{name}.{suffix}")
    resident, said = ready(tmp_path, target)
    streamed, told = on_disk(tmp_path, target)
    assert streamed.task == resident.task
    assert_same(streamed.preprocess.to_json(), resident.preprocess.to_json())
    assert [c["kind"] for c in streamed.preprocess.to_json()["inputs"]["columns"]].count("date") == 1
    for name, part in resident.parts.items():
        ours = streamed.parts[name][:]
        torch.testing.assert_close(ours.inputs, part.inputs, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(ours.targets, part.targets, rtol=1e-6, atol=1e-6)
        assert np.array_equal(streamed.class_counts(name), resident.class_counts(name)) or target == "normal"
    assert streamed.describe() == resident.describe()
    larger = f"{tmp_path.name} is larger than half of the memory: encoded once, and read from disk in training"
    assert set(told) - set(said) - {larger} == {note for note in told if note.startswith("split at random")}
    assert {note for note in said if note.startswith("column")} <= set(told)


def fitted_again(prepared: Prepared, table: pd.DataFrame, targets: list[str], rows: np.ndarray) -> Preprocess:
    """What the same training rows teach in memory."""
    part = Part(table.drop(columns=targets), table[targets]).take(rows)
    return Preprocess.fit("table", part, prepared.preprocess.targets, True, [])


def rows_of(prepared: Prepared, name: str) -> np.ndarray:
    """The numbers of the rows of a part, in the table that was written."""
    looked = prepared.raw[name].take(np.arange(len(prepared.parts[name])))
    return looked.inputs["number"].to_numpy().astype(int)


def test_a_csv_split_at_random_end_to_end(tmp_path: Path, ready: Callable) -> None:
    path = write(frame(900, target=np.where(np.arange(900) % 90 == 0, None, frame(900)["target"])), tmp_path / "t.csv")
    assert path.stat().st_size > LIMIT
    resident, said = ready(path, "target")
    streamed, told = on_disk(path)
    assert [note for note in told if note.startswith("split")] == [note for note in said if note.startswith("split")]
    assert "10 of 900 rows dropped: their target is missing" in told
    rows = {name: rows_of(streamed, name) for name in streamed.parts}
    assert sorted(np.concatenate(list(rows.values()))) == [i for i in range(900) if i % 90]
    for name in rows:
        assert np.array_equal(streamed.class_counts(name), resident.class_counts(name))  # every class in its share
    # Here and there in the table, and another seed draws other rows.
    assert np.diff(rows["test"]).max() < 60
    assert set(rows_of(on_disk(path, seed=1)[0], "test")) != set(rows["test"])
    assert np.array_equal(rows_of(on_disk(path)[0], "test"), rows["test"])

    table = open_source(path, "target").parts["all"]
    whole = pd.concat([table.inputs, table.targets], axis=1)
    again = fitted_again(streamed, whole, ["target"], rows["train"])
    assert_same(streamed.preprocess.inputs.to_json(), again.inputs.to_json())
    for name, part in streamed.parts.items():
        kept = Part(whole.drop(columns="target"), whole[["target"]]).take(rows[name])
        expected = again.encode(kept, None)
        torch.testing.assert_close(part[:].inputs, expected.inputs, rtol=1e-6, atol=1e-6)
        assert torch.equal(part[:].targets, expected.targets)
    seen = torch.cat([batch.inputs for batch in StreamedBatches(streamed.parts["train"], 64, shuffle=True)])
    key = seen.sum(dim=1).sort().values
    torch.testing.assert_close(key, streamed.parts["train"][:].inputs.sum(dim=1).sort().values)


@pytest.mark.parametrize("column", ["group", "time"])
def test_groups_and_times_are_split_as_in_memory(tmp_path: Path, ready: Callable, column: str) -> None:
    random = np.random.default_rng(3)
    groups = random.choice([f"g{i}" for i in range(40)], 600)
    path = write(frame(600, who=groups, when=random.permutation(600) / 7), tmp_path / "t.parquet")
    options = {"group": "who"} if column == "group" else {"time": "when"}
    resident, _ = ready(path, "target", **options)
    streamed, told = on_disk(path, **options)
    for name, part in resident.raw.items():
        assert np.array_equal(rows_of(streamed, name), part.inputs["number"].to_numpy())
        torch.testing.assert_close(streamed.parts[name][:].inputs, resident.parts[name].inputs, rtol=1e-6, atol=1e-6)
    assert any(
        note.startswith("split by groups of 'who'" if column == "group" else "split in the order") for note in told
    )


def test_weights_have_mean_one_in_the_whole_table(tmp_path: Path, ready: Callable) -> None:
    path = write(frame(500, w=np.arange(500) % 7), tmp_path / "t.csv")
    streamed, _ = on_disk(path, weight="w", drop=["name"])
    resident, _ = ready(path, "target", weight="w", drop=["name"])
    everything = [torch.cat([part[:].weights for part in p.parts.values()]).sort().values for p in (streamed, resident)]
    torch.testing.assert_close(*everything)
    assert "w" not in streamed.raw["train"].take(np.array([0])).inputs


def test_files_of_one_table_may_hold_a_column_in_different_ways(tmp_path: Path, ready: Callable) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    for i in range(3):
        codes = np.arange(200) % 7 if i != 1 else [f"k{j % 5}" for j in range(200)]
        write(frame(200, i, code=codes), folder / f"{i}.csv")
    resident, _ = ready(folder, "target")
    streamed, told = on_disk(folder)
    assert "t: 3 tables of the same columns taken together" in told
    kinds = [{c["name"]: c["kind"] for c in p.preprocess.to_json()["inputs"]["columns"]} for p in (streamed, resident)]
    assert kinds[0] == kinds[1]
    assert kinds[0]["code"] == "category"


@pytest.mark.parametrize("late", [499, 300])
def test_numbers_that_turn_out_to_be_texts_late_in_a_file_stay_as_written(
    tmp_path: Path, ready: Callable, late: int
) -> None:
    codes = [f"{i % 9:03d}" for i in range(late)] + ["x1"] * (500 - late)
    for name, seed in {"train": 0, "test": 1, "validation": 2}.items():
        write(frame(500, seed, code=codes), tmp_path / f"{name}.csv")
    resident, _ = ready(tmp_path, "target", drop=["name"])
    streamed, _ = on_disk(tmp_path, "target", drop=["name"])
    assert_same(streamed.preprocess.to_json(), resident.preprocess.to_json())
    torch.testing.assert_close(streamed.parts["test"][:].inputs, resident.parts["test"].inputs, rtol=1e-6, atol=1e-6)


def test_many_different_numbers_are_a_regression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from osler.data import streamtable

    monkeypatch.setattr(streamtable, "DIFFERENT", 100)
    path = write(frame(600), tmp_path / "t.csv")
    assert on_disk(path, "normal")[0].task.kind == "regression"
    with pytest.raises(InputError, match="target 'name' has more than 100 different values"):
        on_disk(path, "name")


def test_worst_rows_are_looked_up_with_file_and_place(tmp_path: Path) -> None:
    write(frame(300), tmp_path / "train.csv")
    test = frame(300, 1)
    write(test, tmp_path / "test.csv")
    streamed, _ = on_disk(tmp_path)
    found = streamed.raw["test"].take(np.array([250, 3, 77, 3]))
    assert found.rows == ("test.csv, row 250", "test.csv, row 3", "test.csv, row 77", "test.csv, row 3")
    assert found.inputs["name"].tolist() == ["name 250", "name 3", "name 77", "name 3"]
    assert found.targets["target"].tolist() == test["target"][[250, 3, 77, 3]].tolist()
    assert len(streamed.raw["test"].take(np.array([], dtype=np.int64))) == 0


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"target": ["a"] * 350 + ["b"] * 149 + ["zzz"]}, {}, "test.csv, row 499: target 'target' has 1 classes that"),
        ({"w": [1.0] * 444 + [-1.0] * 56}, {"weight": "w"}, "weight column 'w' holds '-1' in test.csv, row 444: every"),
        ({"target": [None] * 500}, {}, None),
    ],
)
def test_bad_rows_are_named_by_file_and_place(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], message: str | None
) -> None:
    write(frame(500, target=["a", "b"] * 250, w=1.0), tmp_path / "train.csv")
    write(frame(500, 1, **({"target": "a", "w": 1.0} | columns)), tmp_path / "test.csv")
    if message is None:
        assert "500 of 500 rows of the test part dropped: their target is missing" in on_disk(tmp_path, **options)[1]
        return
    with pytest.raises(InputError) as error:
        on_disk(tmp_path, **options)
    assert message in str(error.value)
    assert list(tmp_path.glob("osler-data-*")) == []  # nothing is left of it


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"m": np.nan}, {}, "nothing but missing values in column 'm': leave it out with --drop 'm'"),
        ({"target": "u"}, {}, "target 'target' is 'u' in all 500 rows"),
        ({"target": None}, {}, "target 'target': empty in all 500 rows"),
        ({}, {"drop": ["plac"]}, "unknown column for drop 'plac'; did you mean 'place'?"),
        ({}, {"group": "who"}, "unknown column for group 'who'"),
        ({}, {"group": "place", "time": "whole"}, "a split goes by group or by time, not both"),
        ({"g": "one"}, {"group": "g"}, "group column 'g' holds 1 different groups in 500 rows"),
        (
            {"d": ["2020-01-01"] * 499 + ["soon"]},
            {"time": "d"},
            "time column 'd' holds 'soon' in t.csv, row 499: every",
        ),
        ({"w": 0}, {"weight": "w"}, "weight column 'w' is 0 in every row"),
        ({"s": [" ".join(f"w{i * j}" for j in range(9)) for i in range(500)]}, {}, "column 's' holds free text"),
    ],
)
def test_what_cannot_be_used_gets_one_clear_line(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    path = write(frame(500, **columns), tmp_path / "t.csv")
    with pytest.raises(InputError) as error:
        on_disk(path, **options)
    assert str(error.value).startswith(message)
    assert list(tmp_path.glob("osler-data-*")) == []


def test_room_on_disk_is_checked_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(frame(500), tmp_path / "t.csv")
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="the data, encoded, needs"):
        on_disk(path)
    assert list(tmp_path.glob("osler-data-*")) == []


def test_what_was_encoded_goes_with_the_result(tmp_path: Path) -> None:
    prepared, _ = on_disk(write(frame(500), tmp_path / "t.csv"))
    (folder,) = tmp_path.glob("osler-data-*")
    train = prepared.parts["train"]
    del prepared
    assert len(train[:5]) == 5  # as long as any part of it is there
    del train
    assert not folder.exists()
    prepared, _ = on_disk(tmp_path / "t.csv")
    prepared.close()
    assert list(tmp_path.glob("osler-data-*")) == []


def test_a_sample_of_what_is_on_disk(tmp_path: Path) -> None:
    prepared, _ = on_disk(write(frame(500), tmp_path / "t.csv"))
    assert len(prepared.sample("train", 128)) == 128
    assert len(prepared.sample("train")) == len(prepared.parts["train"])


def test_another_process_may_have_it(tmp_path: Path) -> None:
    prepared, _ = on_disk(write(frame(500), tmp_path / "t.csv"))
    copy = pickle.loads(pickle.dumps(prepared))
    assert len(pickle.dumps(prepared)) < 100_000
    assert torch.equal(copy.parts["train"][:].inputs, prepared.parts["train"][:].inputs)
    assert copy.raw["test"].take(np.array([3])).rows == prepared.raw["test"].take(np.array([3])).rows
    copy.close()
    assert len(prepared.parts["test"][:1]) == 1
