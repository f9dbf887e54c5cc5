"""Texts from files: each layout, and what strangers put into them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import osler
from osler.data.prepare import prepare
from osler.data.sources import open_source
from osler.data.text import find_texts, read_lines
from osler.errors import InputError
from osler.explaining import explain_run
from osler.explainpage import page

GOOD = ["a good film", "what a joy", "so good , so warm", "joy and warmth"]
BAD = ["a bad film", "what a bore", "so dull , so long", "dull and cold"]
RT = Path(__file__).parents[2].parent / "shared" / "data" / "rt_polarity"


def reviews(folder: Path, *, repeat: int = 5) -> tuple[list[str], list[str]]:
    texts = [f"{text} {i}" for i in range(repeat) for text in (*GOOD, *BAD)]
    return texts, (["pos"] * 4 + ["neg"] * 4) * repeat


def by_folder(root: Path, texts: list[str], labels: list[str]) -> Path:
    for i, (text, label) in enumerate(zip(texts, labels, strict=True)):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{i:03}.txt").write_text(text)
    return root


def by_file(root: Path, texts: list[str], labels: list[str], name: str = "reviews.{}") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for label in set(labels):
        lines = [text for text, its in zip(texts, labels, strict=True) if its == label]
        (root / name.format(label)).write_text("\n".join(lines) + "\n")
    return root


def read(source: object, **options: object) -> tuple[list[str], list[str]]:
    """Texts and labels of all parts that a source has, in one order for all layouts."""
    found = open_source(source, **options)
    pairs = [
        (text, label)
        for part in found.parts.values()
        for text, label in zip(part.inputs.iloc[:, 0], np.asarray(part.with_target("t").targets)[:, 0], strict=True)
    ]
    return tuple(map(list, zip(*sorted(pairs), strict=True)))


@pytest.mark.parametrize("layout", ["folders", "endings", "names", "csv", "tsv", "jsonl", "parquet", "frame", "pair"])
def test_every_layout_holds_the_same(tmp_path: Path, layout: str) -> None:
    texts, labels = reviews(tmp_path)
    frame = pd.DataFrame({"review": texts, "label": labels})
    path = tmp_path / f"t.{layout}"
    source: object = {
        "folders": lambda: by_folder(tmp_path, texts, labels),
        "endings": lambda: by_file(tmp_path, texts, labels),
        "names": lambda: by_file(tmp_path, texts, labels, "{}.txt"),
        "csv": lambda: frame.to_csv(path, index=False) or path,
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t") or path,
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True) or path,
        "parquet": lambda: frame.to_parquet(path) or path,
        "frame": lambda: frame,
        "pair": lambda: (texts, labels),
    }[layout]()
    assert read(source) == tuple(map(list, zip(*sorted(zip(texts, labels, strict=True)), strict=True)))
    prepared = prepare(open_source(source), [])
    assert prepared.preprocess.kind == "text"
    assert prepared.task.kind == "binary"
    assert prepared.task.classes == ("neg", "pos")


def test_parts_as_given(tmp_path: Path) -> None:
    texts, labels = reviews(tmp_path)
    for part in ("train", "test"):
        by_folder(tmp_path / part, texts, labels)
    by_folder(tmp_path / "train" / "unsup", texts, labels)
    (tmp_path / "train" / "unsup" / "0.txt").write_text("nobody knows")
    (tmp_path / "imdb.vocab").write_text("the\na\n")
    (tmp_path / "README").write_text("reviews")
    found = open_source(tmp_path)
    assert {name: len(part) for name, part in found.parts.items()} == {"train": 40, "test": 40}
    assert set(found.parts["train"].targets) == {"neg", "pos"}


def test_dev_is_the_validation_part(tmp_path: Path) -> None:
    texts, labels = reviews(tmp_path)
    for part in ("train", "dev", "test"):
        pd.DataFrame({"t": texts, "y": labels}).to_csv(tmp_path / f"{part}.tsv", sep="\t", index=False, header=False)
    assert set(open_source(tmp_path).parts) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    "names",
    [
        ("train.en", "train.de"),  # translations
        ("corpus.en", "corpus.fr"),
        ("train.txt", "test.txt"),  # parts
        ("a.md", "b.md"),
        ("only.pos",),
        ("a.pos", "b.neg"),
        ("README.txt", "SOURCE.txt", "input.txt"),
    ],
)
def test_files_that_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).write_text("a line\nand one more\n")
    assert not find_texts(tmp_path)


def test_encodings(tmp_path: Path) -> None:
    (tmp_path / "r.pos").write_bytes("café\n".encode("cp1252"))
    (tmp_path / "r.neg").write_bytes("naïve\r\nzoë\r\n".encode("utf-16"))
    (tmp_path / "r.mid").write_bytes("\ufeffvoilà — déjà\n".encode())
    found = open_source(tmp_path)
    assert sorted(found.parts["all"].inputs["text"]) == ["café", "naïve", "voilà — déjà", "zoë"]
    assert [note for note in found.notes if "Windows-1252" in note] == [
        "r.pos is not UTF-8 (byte 0xe9 in line 1): read as Windows-1252"
    ]


def test_blank_lines_are_no_samples_and_empty_files_are(tmp_path: Path) -> None:
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "r.pos").write_text("good\n\n  \nfine\n")
    (tmp_path / "lines" / "r.neg").write_text("bad\npoor")
    found = open_source(tmp_path / "lines")
    assert found.parts["all"].rows == ("r.neg, line 1", "r.neg, line 2", "r.pos, line 1", "r.pos, line 4")
    assert "r.pos: 2 of 4 lines are blank, and no samples" in found.notes

    texts, labels = reviews(tmp_path)
    by_folder(tmp_path / "files", [*[""] * 9, *texts], [*["pos"] * 9, *labels])
    notes: list[str] = []
    prepare(open_source(tmp_path / "files"), notes)
    assert any("training texts are empty: they count as one unknown token" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\t\n", "the file is empty"),
        (b"good\n\0bad\n", "this is a binary file"),
        (b"\xff\xfeg\0o", "begins like UTF-16"),
    ],
)
def test_files_that_are_no_texts(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "r.pos").write_bytes(b"good\n")
    (tmp_path / "r.neg").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        open_source(tmp_path)
    assert "r.neg" in str(error.value)


def test_a_class_of_nothing_but_empty_files(tmp_path: Path) -> None:
    by_folder(tmp_path, ["", "", "good"], ["neg", "neg", "pos"])
    with pytest.raises(InputError, match="no text of the class 'neg' holds anything"):
        open_source(tmp_path)


def test_one_class_cannot_be_learned(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class"):
        prepare(open_source((GOOD * 3, ["pos"] * 12)), [])


def test_a_huge_line_is_cut(tmp_path: Path) -> None:
    texts, labels = reviews(tmp_path)
    by_file(tmp_path, [*texts, *["word " * 100_000] * 5], [*labels, *["pos"] * 5])
    notes: list[str] = []
    prepared = prepare(open_source(tmp_path), notes)
    assert prepared.preprocess.shape == (512,)
    assert any("training texts are longer than 512 tokens: their ends are cut off" in note for note in notes)
    assert len(read_lines(tmp_path / "reviews.pos", [])[-1]) == 5 * 100_000 - 1


def test_prose_beside_other_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "review": [" ".join(f"w{i * j}" for j in range(9)) for i in range(1, 61)],
            "stars": [float(i % 5) for i in range(60)],
            "y": ["a", "b"] * 30,
        }
    )
    with pytest.raises(InputError, match=r"'review' holds free text.*--drop 'review', or the others"):
        prepare(open_source(frame, "y"), [])
    assert prepare(open_source(frame, "y"), [], drop=["stars"]).preprocess.kind == "text"
    assert prepare(open_source(frame, "y"), [], drop=["review"]).preprocess.kind == "table"


def test_a_single_column_that_is_no_text() -> None:
    category = pd.DataFrame({"colour": ["light red", "dark blue", "plain green"] * 20, "y": ["a", "b"] * 30})
    assert prepare(open_source(category, "y"), []).preprocess.kind == "table"
    assert prepare(open_source(category, "y"), [], tokens={"name": "words"}).preprocess.kind == "text"
    number = pd.DataFrame({"x": np.arange(60.0) ** 2, "y": ["a", "b"] * 30})
    with pytest.raises(InputError, match="tokens and length are for texts"):
        prepare(open_source(number, "y"), [], tokens={"name": "words"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> osler.Run:
    folder = tmp_path_factory.mktemp("texts")
    texts, labels = reviews(folder)
    by_file(folder / "data", texts, labels)
    return osler.train(folder / "data", out=folder / "run", epochs=60, lr=0.02, verbose=False)


def test_training_and_predicting_from_the_folder_alone(run: osler.Run, tmp_path: Path) -> None:
    assert run.metrics["accuracy"] == 1
    assert run.recipe.tokens is not None
    assert run.recipe.tokens.name == "words"
    again = osler.load(run.folder)
    asked = ["so good", "dull and long", "a film never seen", ""]
    expected = run.predict(asked)
    assert expected["prediction"].tolist()[:2] == ["pos", "neg"]
    pd.testing.assert_frame_equal(again.predict(asked), expected)
    (tmp_path / "new.txt").write_text("\n".join(asked) + "\n")
    pd.testing.assert_frame_equal(again.predict(tmp_path / "new.txt"), expected)
    frame = pd.DataFrame({"words": asked})
    pd.testing.assert_frame_equal(again.predict(frame), expected)
    frame.to_csv(tmp_path / "new.csv", index=False)
    pd.testing.assert_frame_equal(again.predict(tmp_path / "new.csv").iloc[:3], expected.iloc[:3])
    pd.testing.assert_frame_equal(again.predict("dull and long"), expected.iloc[1:2].reset_index(drop=True))
    assert again.evaluate((["so good", "dull"], ["pos", "neg"]))["accuracy"] == 1
    assert again.evaluate(tmp_path.parent / Path(run.recipe.source or "").parent / "data")["accuracy"] == 1
    shown = run.judged["worst"][0]
    assert shown["features"]["text"] in reviews(tmp_path)[0]


def test_padding_changes_nothing(run: osler.Run) -> None:
    """A text alone, and beside a much longer one."""
    alone = run.predict(["so good"])
    beside = run.predict(["so good", "a film " * 200]).iloc[:1]
    pd.testing.assert_frame_equal(alone, beside, rtol=1e-5)


def test_what_a_run_of_texts_refuses(run: osler.Run) -> None:
    with pytest.raises(InputError, match="no column 'text'"):
        run.predict(pd.DataFrame({"a": ["x"], "b": ["y"]}))
    with pytest.raises(InputError, match="no such file"):
        run.predict("missing.txt")
    notes: list[str] = []
    run.predict(["völlig unbekannte wörter hier"], notes)
    assert any("100% of 4 tokens are unknown" in note for note in notes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "mlp"}, "mlp takes numbers, but the inputs are texts; these take them: .*bag_of_embeddings"),
        ({"model": {"name": "gru", "vocabulary": 5}}, "model.vocabulary follows from the texts"),
        ({"tokens": "wrods"}, "did you mean 'words'"),
        ({"tokens": {"name": "words", "sise": 9}}, "did you mean 'size'"),
        ({"tokens": {"size": "many"}}, "size should be a whole number from 1 on, but got 'many'"),
        ({"augment": ["flip"]}, "augment changes pictures"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    texts, labels = reviews(tmp_path)
    with pytest.raises(InputError, match=message):
        osler.train((texts, labels), out=tmp_path / "run", verbose=False, **settings)


@pytest.mark.parametrize("tokens", ["characters", {"name": "bpe", "size": 300}])
def test_other_tokens_and_networks(tmp_path: Path, tokens: object) -> None:
    texts, labels = reviews(tmp_path)
    run = osler.train(
        (texts, labels), tokens=tokens, epochs=1, hidden=8, out=tmp_path / "r", doctor=False, verbose=False
    )
    assert run.recipe.model is not None
    assert run.recipe.model.name == "gru"
    assert run.recipe.clip_norm == 1
    pd.testing.assert_frame_equal(osler.load(run.folder).predict(texts[:3]), run.predict(texts[:3]))


def test_a_number_from_a_text(tmp_path: Path) -> None:
    texts, labels = reviews(tmp_path)
    stars = [4.5 if label == "pos" else 1.25 for label in labels]
    run = osler.train((texts, stars), task="regression", epochs=20, out=tmp_path / "r", doctor=False, verbose=False)
    assert run.predict(["so good", "so dull"])["prediction"].diff().iloc[1] < -1


@pytest.mark.skipif(not RT.is_dir(), reason="needs ../shared/data")
def test_film_reviews_in_an_old_encoding() -> None:
    found = open_source(RT)
    part = found.parts["all"]
    assert len(part) == 2 * 5331
    assert (part.targets == "pos").sum() == 5331
    assert any("Windows-1252" in note for note in found.notes)


def test_a_page_of_explained_texts(run: osler.Run) -> None:
    explanation = explain_run(run, ["so good", "dull and long"], sanity=False)
    assert [sample.pieces for sample in explanation.samples] == [("so", "good"), ("dull", "and", "long")]
    assert explanation.attributions[0].complete
    values = explanation.by_column(explanation.attributions[0], 0)
    assert max(values, key=lambda name: values[name]) == "2 good"
    assert ">good</span>" in page(explanation)
