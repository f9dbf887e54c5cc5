import random

import pytest
import torch
from typer.testing import CliRunner

import osler
from osler.cli import app
from osler.errors import InputError
from osler.nn.attention import attention_weights
from osler.translating import alignment, bleu, translate

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TRANSLATIONS = [
    "Ein Mann fährt ein Fahrrad auf der Straße .",
    "Zwei Hunde spielen im Schnee.",
    "Eine Frau singt laut.",
]
REFERENCES = [
    "Ein Mann fährt mit einem Fahrrad auf der Straße.",
    "Zwei Hunde spielen im Schnee.",
    "Die Frau singt sehr laut.",
]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Numbers and the same backwards."""
    path, draw = tmp_path_factory.mktemp("pairs") / "digits.tsv", random.Random(0)
    rows = [[draw.choice(DIGITS) for _ in range(draw.randint(2, 4))] for _ in range(900)]
    path.write_text("".join(f"{' '.join(row)}\t{' '.join(reversed(row))}\n" for row in rows))
    return str(path)


def learned(pairs, place, **options):
    model = {"name": "seq2seq", "hidden": 48, "width": 48, "dropout": 0.0, "attention": "general", **options}
    settings = {"epochs": 8, "batch_size": 16, "lr": 1e-2, "threads": 1, "verbose": False}
    return osler.train(pairs, task="translation", model=model, out=place, **settings)


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    return learned(pairs, tmp_path_factory.mktemp("runs") / "digits")


def test_attention_learns_to_turn_a_sequence_round(run):
    assert run.metrics["accuracy"] > 0.98
    assert run.metrics["bleu"] > 0.9
    assert [f.ailment for f in run.findings if f.severity != "hint"] == []
    sample = run.judged["samples"][0]
    assert sample["reference"].split() == sample["source"].split()[::-1]
    assert "reference" in (run.folder / "report.html").read_text()
    loaded = osler.load(run.folder)
    [one] = translate(loaded, ["one nine four"])
    assert (one.translation, one.unknown) == ("four nine one", 0)
    both = translate(loaded, ["two three", "one nine four"], beam=1)
    assert [t.translation for t in both] == ["three two", "four nine one"]
    assert loaded.predict(["two three"])["prediction"].tolist() == ["three two"]


def test_rows_of_unlike_lengths_are_written_as_if_alone(run):
    texts = ["one two", "one two three four", "five six seven"]
    together = [t.translation for t in translate(run, texts)]
    assert together == [translate(run, [text])[0].translation for text in texts]


def test_the_alignment_is_drawn_where_it_looked(run):
    drawn = alignment(run, "one nine four")
    assert drawn.startswith("<svg")
    assert drawn.count('class="mark"') == 4 * 3  # three words and the end, of three
    assert "four looked at" in drawn
    assert attention_weights(run.model) is not None


def test_bleu_is_sacrebleus():
    """The numbers are sacrebleu 2's, of the same words, unsmoothed."""
    assert bleu(TRANSLATIONS, REFERENCES) * 100 == pytest.approx(58.8355211294461, abs=1e-3)
    assert bleu(REFERENCES, REFERENCES) == pytest.approx(1)
    assert bleu([t.title() for t in REFERENCES], REFERENCES, lowercase=True) == pytest.approx(1)
    assert bleu(["nothing of it"] * 3, REFERENCES) == 0


def test_what_cannot_be_is_one_clear_line(run, tmp_path):
    with pytest.raises(InputError, match="text 2 is empty"):
        translate(run, ["one", " "])
    with pytest.raises(InputError, match="nothing to translate"):
        translate(run, [])
    with pytest.raises(InputError, match="beam must be a whole number"):
        translate(run, ["one"], beam=0)
    other = osler.train("iris", epochs=1, verbose=False, out=tmp_path / "iris", doctor=False)
    with pytest.raises(InputError, match="only runs of translation translate"):
        translate(other, ["one"])


def test_on_the_command_line(run, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("one two\nthree four bla\n")
    drawn = tmp_path / "a.svg"
    found = CliRunner().invoke(app, ["translate", str(run.folder), str(file), "--beam", "1", "--attention", str(drawn)])
    assert found.exit_code == 0
    assert found.stdout.splitlines()[0] == "two one"
    assert "1 words or signs were never seen" in found.stderr
    assert drawn.read_text().startswith("<svg")
    assert torch.is_grad_enabled()
