import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torchmetrics.functional.text import char_error_rate, word_error_rate

import osler
from osler.errors import InputError
from osler.objectives.ctc import Transcription, steps_needed
from osler.records import Batch
from osler.training.meter import evaluate

SPEECH = Transcription.of(" ab")  # classes: blank, space, a, b, unknown


def says(*paths):
    """Logits whose likeliest classes are these."""
    return 9.0 * torch.nn.functional.one_hot(torch.tensor(paths), 5).float()


def test_repeats_are_merged_and_blanks_removed():
    outputs = says([2, 2, 0, 2, 3, 3], [0, 1, 2, 1, 1, 0], [0, 0, 0, 0, 0, 0])
    assert SPEECH.texts(SPEECH.path(outputs)) == ["aab", "a", ""]
    columns = SPEECH.columns(outputs)
    assert columns["prediction"] == ["aab", "a", ""]
    assert columns["probability"] == pytest.approx([torch.softmax(outputs[0, 0], 0).max().item()] * 3, rel=1e-4)


def test_unknown_characters_are_never_said():
    outputs = says([4, 4, 3])
    outputs[..., 2] = 5
    assert SPEECH.texts(SPEECH.path(outputs)) == ["ab"]


def test_error_rates_are_torchmetrics_of_the_texts():
    outputs = says([2, 1, 3, 3], [2, 0, 2, 0], [3, 0, 0, 0])
    targets = torch.tensor([[2, 1, 2], [2, 2, 0], [3, 1, 4]])
    found = evaluate(nn.Identity(), SPEECH, [Batch(outputs[:1], targets[:1]), Batch(outputs[1:], targets[1:])])
    said, meant = ["a b", "aa", "b"], ["a a", "aa", "b \ufffd"]
    assert found["word_error_rate"] == pytest.approx(float(word_error_rate(said, meant)))
    assert found["character_error_rate"] == pytest.approx(float(char_error_rate(said, meant)))


def test_the_loss_is_torchs():
    outputs, targets = torch.randn(3, 7, 5), torch.tensor([[2, 1, 2], [2, 2, 0], [3, 0, 0]])
    wanted = nn.CTCLoss()(outputs.log_softmax(2).transpose(0, 1), targets, torch.full((3,), 7), torch.tensor([3, 2, 1]))
    torch.testing.assert_close(SPEECH.loss(outputs, targets), wanted)
    assert SPEECH.losses(outputs, targets).shape == (3,)
    torch.testing.assert_close(SPEECH.losses(outputs, targets).mean(), wanted)


def test_what_people_are_told():
    told = SPEECH.told(says([2, 2, 3]), torch.tensor([[2, 1, 3]]))
    assert SPEECH.in_words(told["target"][0]) == "a b"
    assert SPEECH.in_words(told["prediction"][0]) == "ab"
    assert 0.9 < told["confidence"][0] <= 1
    assert SPEECH.in_words(np.zeros(3, int)) == ""


def test_steps_that_a_text_needs():
    assert steps_needed(torch.tensor([[2, 2, 3], [2, 0, 0], [2, 2, 2]])).tolist() == [4, 1, 5]


def test_networks_that_give_something_else_are_refused():
    targets = torch.tensor([[2, 2, 3]])
    SPEECH.check(nn.Identity(), Batch(torch.zeros(1, 4, 5), targets))
    with pytest.raises(InputError, match="gives 3 steps, but a text needs 4"):
        SPEECH.check(nn.Identity(), Batch(torch.zeros(1, 3, 5), targets))
    with pytest.raises(InputError, match=r"needs \(1, steps, 5\)"):
        SPEECH.check(nn.Identity(), Batch(torch.zeros(1, 5), targets))
    with pytest.raises(InputError, match="no texts"):
        SPEECH.check(nn.Identity(), Batch(torch.zeros(1, 4, 5)))
    with pytest.raises(InputError, match="gives no number to follow"):
        Transcription.of("ab", metrics=["bleu"])


def words(folder, count=40):
    """Recordings of one to three tones, each of them a word."""
    random = np.random.default_rng(0)
    lines = ["file,text"]
    for i in range(count):
        said = random.choice(["low", "high"], size=random.integers(1, 4))
        pieces = [np.zeros(400)]
        for word in said:
            pitch = 400 if word == "low" else 2000
            pieces += [np.sin(2 * np.pi * pitch * np.arange(1600) / 8000), np.zeros(random.integers(400, 800))]
        soundfile.write(folder / f"{i}.wav", 0.5 * np.concatenate(pieces), 8000)
        lines.append(f"{i}.wav,{' '.join(said)}")
    (folder / "texts.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_words_are_written_down_from_the_run_folder(tmp_path):
    folder = words(tmp_path)
    run = osler.train(
        str(folder),
        task="transcription",
        model={"name": "conv_recurrent", "width": 4, "hidden": 24, "layers": 1, "dropout": 0.0, "stride": 4},
        augment=[],
        lr=2e-2,
        epochs=25,
        batch_size=4,
        threads=1,
        verbose=False,
        out=tmp_path / "run",
    )
    assert run.metrics["word_error_rate"] < 0.2
    assert not run.findings.critical
    assert run.judged["worst"][0]["target"].split()[0] in ("low", "high")
    predicted = osler.load(run.folder).predict(str(folder / "texts.csv"))
    done = subprocess.run(
        [sys.executable, "-m", "osler.cli", "transcribe", run.folder, folder / "3.wav"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == predicted["prediction"][3]
    assert set(osler.load(run.folder).evaluate(str(folder / "texts.csv"))) == {
        "loss", "word_error_rate", "character_error_rate",
    }  # fmt: skip
