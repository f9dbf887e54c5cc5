import gzip

import pandas as pd
import pytest

from osler.data.pairencoder import BEGIN, END, PairEncoder
from osler.data.pairs import is_pair_text, read_pair_folder, read_pair_table
from osler.data.preprocess import Preprocess
from osler.data.sources import open_source
from osler.errors import InputError

PAIRS = [("good day", "guten Tag"), ("good night", "gute Nacht"), ('a "tame" cat', 'eine "zahme" Katze')]


def lines(path, texts):
    content = "".join(f"{text}\n" for text in texts).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def parallel(folder, count=12, gz=".gz", languages=("en", "de")):
    for part in ("train", "val", "test_2016_flickr"):
        for language in languages:
            lines(folder / f"{part}.{language}{gz}", [f"{language} sentence {i} of {part}" for i in range(count)])
    return folder


def test_a_table_of_two_columns_is_recognised_and_its_quotes_stay(tmp_path):
    path = tmp_path / "deu.txt"
    lines(path, ["\t".join(pair) for pair in PAIRS])
    assert is_pair_text(path)
    source = open_source(str(path))
    assert source.task.kind == "translation"
    [part] = source.parts.values()
    assert [tuple(row) for row in zip(part.inputs["source"], part.targets["target"], strict=True)] == PAIRS
    assert part.rows[2] == "deu.txt, line 3"
    turned = read_pair_table(path, "source").parts["all"]
    assert turned.inputs.iloc[0, 0] == "guten Tag"


def test_a_csv_is_read_when_asked_for(tmp_path):
    path = tmp_path / "pairs.csv"
    pd.DataFrame(PAIRS, columns=["english", "german"]).to_csv(path, index=False)
    source = open_source(str(path), "german", task="translation")
    assert source.parts["all"].targets["german"].tolist() == [german for _, german in PAIRS]
    with pytest.raises(InputError, match="did you mean 'german'"):
        open_source(str(path), "germn", task="translation")


def test_parallel_files_packed_or_not(tmp_path):
    folder = parallel(tmp_path)
    source = open_source(str(folder))
    assert list(source.parts) == ["train", "validation", "test"]
    assert source.task.names == ("de",)
    assert source.parts["test"].inputs["en"][0] == "en sentence 0 of test_2016_flickr"
    parallel(folder, languages=("fr",))
    with pytest.raises(InputError, match="languages de, en, fr: say which to translate into"):
        open_source(str(folder))
    assert open_source(str(folder), "fr").parts["train"].inputs.columns.tolist() == ["en"]
    with pytest.raises(InputError, match="unknown language"):
        open_source(str(folder), "es")


def test_halves_that_are_missing(tmp_path):
    lines(tmp_path / "a.en", ["one", "", "three"])
    lines(tmp_path / "a.de", ["eins", "zwei", "drei"])
    source = read_pair_folder(tmp_path, None)
    assert any("1 of 3 lines lack a half (the first is 2)" in note for note in source.notes)
    assert source.parts["all"].targets["de"].tolist() == ["eins", "drei"]
    lines(tmp_path / "a.de", ["eins", "zwei"])
    with pytest.raises(InputError, match=r"a.en has 3 lines, but a.de has 2: line 3 of a.en has no other half"):
        read_pair_folder(tmp_path, None)


@pytest.mark.parametrize(("name", "content", "problem"), [
    ("x.tsv", b"", "empty"),
    ("x.tsv", b"a\tb\nc\n", "line 2: this row has 1 fields"),
    ("x.tsv", b"a\0\tb\n", "binary"),
    ("x.tsv", b"\t\n\t\n", "empty"),
])  # fmt: skip
def test_hostile_tables(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        open_source(str(tmp_path / name), task="translation")


def test_hostile_packed_files(tmp_path):
    lines(tmp_path / "a.de.gz", ["eins"])
    for content, problem in (
        (b"no gzip", "not readable as gzip"),
        (gzip.compress(b"one\n")[:-6], "not readable as gzip"),
        (gzip.compress(b"a\0b"), "byte 1 is zero"),
        (gzip.compress(b"ok\n\xff\n"), "not UTF-8 in line 2"),
        (gzip.compress(b"a" * 2**24), "unpack it first"),
    ):
        (tmp_path / "a.en.gz").write_bytes(content)
        with pytest.raises(InputError, match=problem):
            read_pair_folder(tmp_path, None)


def test_rows_and_targets_by_hand(ready):
    frame = pd.DataFrame(PAIRS * 4, columns=["en", "de"])
    part = read_part(frame)
    encoder = PairEncoder.fit(part, {"name": "words", "lowercase": True}, None, [])
    data = encoder.encode(part, None)
    begin, end = encoder.target.id(BEGIN), encoder.target.id(END)
    source, given = encoder.parted(data.inputs)
    assert encoder.source.decode(source[0].tolist()) == "good day"
    assert given[0, 0] == begin
    assert encoder.target.decode(given[0].tolist()) == "guten tag"
    assert data.targets[0, :3].tolist() == [*given[0, 1:3].tolist(), end]
    short = encoder.transform()(data.inputs[:1])
    assert [tuple(side.shape) for side in short] == [(1, 2), (1, 3)]
    cut = PairEncoder.fit(part, None, 2, notes := [])
    assert cut.encode(part, None).targets.shape[1] == 3
    assert any("longer: their ends are cut off" in note for note in notes)
    assert PairEncoder.from_json(encoder.to_json()) == encoder


def read_part(frame):
    from osler.data.parts import Part

    return Part(frame[["en"]], frame[["de"]])


def test_a_text_of_several_translations_stays_on_one_side(tmp_path, ready):
    path = tmp_path / "p.tsv"
    lines(path, [f"number {i // 3} here\tZahl {i} hier" for i in range(60)])
    data, notes = ready(str(path))
    sides = [set(part.inputs.iloc[:, 0]) for part in data.raw.values()]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])
    assert any("split by the texts to translate" in note for note in notes)
    assert data.task.outputs == len(data.preprocess.inputs.target)
    assert Preprocess.from_json(data.preprocess.to_json()) == data.preprocess
