from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import osler
from osler.data.sources import open_source
from osler.data.tsfiles import is_ts, read_ts, read_ts_rows, read_ts_source
from osler.errors import InputError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "ts_classification"
HEAD = "# about\n@problemName X\n@timeStamps false\n@univariate {}\n@classLabel true a b\n@data\n"


def write(path, rows, univariate="true"):
    path.write_text(HEAD.format(univariate) + "\n".join(rows) + "\n")
    return path


def test_one_channel_and_several(tmp_path):
    one = read_ts(write(tmp_path / "one.ts", ["1,2,3:a", "4,5,6:b"]))
    assert [s[:, 0].tolist() for s in one.series] == [[1, 2, 3], [4, 5, 6]]
    assert one.labels == ["a", "b"]
    two = read_ts(write(tmp_path / "two.ts", ["1,2:3,4:a"], "false"))
    assert two.series[0].tolist() == [[1, 3], [2, 4]]


def test_unequal_lengths_are_padded_and_marked(tmp_path):
    write(tmp_path / "X_TRAIN.ts", ["1,2,3:a", "4:b"])
    write(tmp_path / "X_TEST.ts", ["5,6,7,8:a"])
    source = read_ts_source(tmp_path / "X_TRAIN.ts")
    assert set(source.parts) == {"train", "test"}
    assert source.parts["train"].inputs.tolist() == [
        [[1, 1], [2, 1], [3, 1], [0, 0]],
        [[4, 1], [0, 0], [0, 0], [0, 0]],
    ]
    assert source.parts["test"].inputs.shape == (1, 4, 2)
    assert source.parts["train"].rows == ("X_TRAIN.ts 1", "X_TRAIN.ts 2")
    assert any("lengths from 1 to 4: padded" in note for note in source.notes)


def test_missing_values_are_filled_and_counted(tmp_path):
    source = read_ts_source(write(tmp_path / "x.ts", ["?,2,?,4:a", "1,1,1,NaN:b"]))
    assert source.parts["all"].inputs[..., 0].tolist() == [[2, 2, 2, 4], [1, 1, 1, 1]]
    assert any("3 missing values" in note for note in source.notes)


def test_a_file_of_the_archive_with_the_label_first(tmp_path):
    path = tmp_path / "X_TRAIN.tsv"
    path.write_text("1.0\t0.5\t1.5\t2.5\n2.0\t3\t4\tNaN\n")
    assert is_ts(path)
    found = read_ts(path)
    assert found.labels == ["1", "2"]
    assert [len(s) for s in found.series] == [3, 2]
    (tmp_path / "Y_TRAIN.tsv").write_text("name\ta\tb\tc\n1\t2\t3\t4\n")
    assert not is_ts(tmp_path / "Y_TRAIN.tsv")  # a table with a header
    (tmp_path / "sales.tsv").write_text("1\t2\t3\t4\n")
    assert not is_ts(tmp_path / "sales.tsv")


def test_a_folder_has_one_problem(tmp_path):
    write(tmp_path / "X_TRAIN.ts", ["1,2:a", "1,3:b"])
    write(tmp_path / "X_TEST.ts", ["1,2:a"])
    assert set(open_source(str(tmp_path)).parts) == {"train", "test"}
    write(tmp_path / "Y_TRAIN.ts", ["1,2:a"])
    with pytest.raises(InputError, match=r"2 problems: name one file, like X_TRAIN\.ts"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2:a\n", "line 1: a .ts file has lines like"),
        ("@univariate true\n", "no line '@data'"),
        ("@timeStamps true\n@data\n", "only values at equal steps"),
        ("@classLabel true a b\n@data\n1,2:c\n", "line 3: ends in 'c', which is no label; the classes are a, b"),
        ("@classLabel true a\n@data\n1,2\n", "which is no label"),
        ("@classLabel true a\n@data\n1,x:a\n", "line 3: could not convert"),
        ("@classLabel true a\n@data\n1,inf:a\n", "no finite number"),
        ("@classLabel true a\n@data\n1,2:3:a\n", "different lengths"),
        ("@classLabel true a\n@univariate true\n@data\n1,2:3,4:a\n", "2 dimensions, but @dimensions says 1"),
        ("@classLabel true a\n@seriesLength 3\n@data\n1,2:a\n", "2 steps, but @seriesLength says 3"),
        ("@classLabel true a\n@seriesLength x\n@data\n1,2:a\n", "needs a number"),
        ("@classLabel true a\n@data\n(0,1),(1,2):a\n", "has times"),
        ("@classLabel true a\n@data\n", "no series"),
        ("@classLabel false\n@data\n1,2\n", "nothing to learn"),
        ("@classLabel true a\n@data\n?,?:a\n", "nothing but missing"),
    ],
)
def test_what_is_no_such_file_is_named_with_its_line(tmp_path, text, said):
    (tmp_path / "x.ts").write_text(text)
    with pytest.raises(InputError, match=said):
        read_ts_source(tmp_path / "x.ts")


def test_no_text_and_another_target(tmp_path):
    (tmp_path / "x.ts").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_ts(tmp_path / "x.ts")
    write(tmp_path / "y.ts", ["1,2:a", "3,4:b"])
    with pytest.raises(InputError, match="a label each"):
        open_source(str(tmp_path / "y.ts"), "y")


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="@data\n0123456789.,:?-ab true", max_size=80))
def test_any_text_is_read_or_refused_in_a_sentence(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("ts") / "x.ts"
    path.write_text("@classLabel true a b\n@data\n" + text)
    try:
        parts = read_ts_source(path).parts
    except InputError:
        return
    assert np.isfinite(parts["all"].inputs).all()


def test_from_a_file_to_predictions(tmp_path):
    chance = np.random.default_rng(0)
    for name, count in (("TRAIN", 40), ("TEST", 20)):
        rows = []
        for i in range(count):
            wave = np.sin(np.arange(30 - i % 5) * (0.3 + 0.5 * (i % 2)) + chance.uniform(0, 6))
            rows.append(",".join(f"{v:.3f}" for v in wave) + ":" + "ab"[i % 2])
        write(tmp_path / f"W_{name}.ts", rows)
    train = str(tmp_path / "W_TRAIN.ts")
    run = osler.train(
        train, model={"name": "fcn", "width": 8}, epochs=12, doctor=False, verbose=False, out=tmp_path / "r"
    )
    assert run.metrics["accuracy"] > 0.9
    assert run.recipe.model.name == "fcn"
    loaded = osler.load(run.folder)
    assert loaded.predict(str(tmp_path / "W_TEST.ts"))["prediction"].isin(["a", "b"]).all()
    assert loaded.evaluate(train)["accuracy"] > 0.9  # of that file, not of the one beside it
    notes = []
    longer = write(tmp_path / "new.ts", [",".join(["0.5"] * 50) + ":a"])
    assert len(loaded.predict(str(longer), notes)) == 1
    assert any("1 series are longer than those of training: cut after 30 steps" in note for note in notes)


def test_rows_of_other_shapes_are_refused(tmp_path):
    path = write(tmp_path / "x.ts", ["1,2:3,4:a"], "false")
    assert read_ts_rows(path, (2, 2), []).inputs.shape == (1, 2, 2)
    with pytest.raises(InputError, match="2 channels and 2 to 2 steps"):
        read_ts_rows(path, (3, 2), [])
    assert read_ts_rows(path, (3, 3), []).inputs[0].tolist() == [[1, 3, 1], [2, 4, 1], [0, 0, 0]]


@pytest.mark.skipif(not SHARED.exists(), reason="the archive's files are not here")
def test_the_archive():
    source = read_ts_source(SHARED / "JapaneseVowels_TRAIN.ts")
    assert source.parts["train"].inputs.shape == (270, 29, 13)
    assert source.parts["test"].inputs.shape == (370, 29, 13)
    assert len(set(source.parts["train"].targets)) == 9
    as_ts, as_tsv = (read_ts(SHARED / f"GunPoint_TRAIN.{kind}") for kind in ("ts", "tsv"))
    assert as_ts.labels == as_tsv.labels
    np.testing.assert_allclose(as_ts.series, as_tsv.series)
