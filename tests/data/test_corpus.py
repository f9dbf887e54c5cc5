import pytest

import osler
from osler.data.corpus import CorpusEncoder, Passages, read_corpus
from osler.data.preprocess import Preprocess
from osler.data.sources import open_source
from osler.errors import InputError

VERSE = "The owl and the pussy-cat went to sea,\nIn a beautiful pea-green boat;\n"


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_running_text_is_recognised_split_in_order_and_cut(tmp_path, ready):
    data, notes = ready(written(tmp_path / "owl.txt", VERSE * 20))
    assert data.task.kind == "language"
    told = "\n".join(notes)
    assert "running text: owl.txt, 1,400 characters" in told
    assert "split in the order of the text: 1,260 train, 70 validation, 70 test characters" in told
    encoder = data.preprocess.inputs
    assert isinstance(encoder, CorpusEncoder)
    assert data.task.outputs == len(set(VERSE)) + 2
    assert encoder.density == 1
    row = data.parts["test"].inputs[0]
    assert encoder.tokenizer.decode(row.tolist()) == (VERSE * 20)[-70:]
    passages = data.raw["test"]
    assert isinstance(passages, Passages)
    assert passages.take([0]).inputs.iloc[0, 0] == (VERSE * 20)[-70:]
    assert data.class_counts("train") is None
    assert data.describe()[0]["kind"] == "text"
    again = Preprocess.from_json(data.preprocess.to_json())
    assert again == data.preprocess


def test_words_and_pieces(tmp_path, ready):
    path = written(tmp_path / "owl.txt", VERSE * 20)
    data, _ = ready(path, tokens={"name": "words"}, length=5)
    assert data.preprocess.shape == (5,)
    assert data.preprocess.inputs.density == pytest.approx(1260 / sum((data.parts["train"].tokens > 0).tolist()))
    pieces, _ = ready(path, tokens={"name": "bpe", "size": 300})
    encoder = pieces.preprocess.inputs
    assert (VERSE * 20).startswith(encoder.tokenizer.decode(pieces.parts["train"].inputs[0].tolist()))


def test_folders_of_texts(tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    written(one / "a.txt", VERSE)
    written(one / "SOURCE.md", "where it is from")
    assert open_source(str(one)).kind == "corpus"
    written(one / "b.txt", "The end.")
    asked = open_source(str(one), task="language")
    assert asked.parts["all"].inputs.iloc[0, 0] == f"{VERSE}\nThe end."
    parts = tmp_path / "parts"
    parts.mkdir()
    for name in ("train", "valid", "test"):
        written(parts / f"{name}.txt", VERSE)
    assert list(open_source(str(parts)).parts) == ["train", "validation", "test"]


def test_tables_stay_tables(tmp_path):
    rows = "".join(f"{i},{i % 3},x\n" for i in range(20))
    assert open_source(written(tmp_path / "t.txt", f"a,b,c\n{rows}"), "c").kind == "table"
    assert open_source(written(tmp_path / "u.txt", f"a,b,class\n{rows}")).kind == "table"


def test_unknown_characters_are_counted_and_named(tmp_path, ready):
    _, notes = ready(written(tmp_path / "owl.txt", VERSE * 20 + "ß" * 3))
    assert any("3 of 70 tokens are unknown, never seen in training ('ß')" in note for note in notes)


@pytest.mark.parametrize(("content", "problem"), [
    (b"", "the file is empty"),
    (b" \n \n", "the file is empty"),
    (b"a", "has 1 characters: running text to learn from needs at least 40"),
    (b"some text\0with a zero", "binary file"),
])  # fmt: skip
def test_hostile_files(tmp_path, ready, content, problem):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        ready(str(path))


def test_what_makes_no_sense_is_refused(tmp_path, ready):
    path = written(tmp_path / "owl.txt", VERSE * 20)
    with pytest.raises(InputError, match="length is at most a quarter of the training text's 1260 tokens, but got 500"):
        ready(path, length=500)
    with pytest.raises(InputError, match="group names a column"):
        ready(path, group="a")
    with pytest.raises(InputError, match=r"task 'regression' asked for, but .* is for language"):
        ready(path, task="regression")
    with pytest.raises(InputError, match=r"holds no \.txt file"):
        read_corpus(tmp_path / "..")
    with pytest.raises(InputError, match="mlp takes numbers"):
        osler.train(path, model="mlp", verbose=False, out=tmp_path / "r")
    with pytest.raises(InputError, match="textcnn is no network for a task of language; these are: gpt, lstm_lm"):
        osler.train(path, model="textcnn", verbose=False, out=tmp_path / "r")
    with pytest.raises(InputError, match="task 'language' needs running text"):
        ready("iris", task="language")
