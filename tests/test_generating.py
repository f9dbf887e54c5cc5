import copy
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

import osler
from osler.build import build_model, build_objective, learning_batches, plain_batches
from osler.cli import app
from osler.data.prepare import prepare
from osler.data.sources import open_source
from osler.errors import InputError
from osler.generating import generate
from osler.training.callbacks.callback import Callback
from osler.training.trainer import Trainer

PHRASE = "the quick brown fox jumps over the lazy dog. "


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "fox.txt"
    path.write_text(PHRASE * 80)
    return str(path)


def trained(text, place, model="lstm_lm", **options):
    network = {"name": model, "dropout": 0.0, **options}
    settings = {"lr": 2e-2 if model == "lstm_lm" else 5e-3, "epochs": 6, "batch_size": 8, "length": 32, "threads": 1}
    return osler.train(text, model=network, out=place, verbose=False, **settings)


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    return trained(text, tmp_path_factory.mktemp("runs") / "fox", width=48, hidden=48)


def test_a_repeated_phrase_is_learned_and_written(run, text):
    assert run.metrics["loss"] < 0.2  # the phrase has no surprise after its first letters
    assert generate(run, "the quick", 120, temperature=0).startswith(PHRASE + PHRASE)
    assert [f.ailment for f in run.findings if f.severity != "hint"] == []
    assert run.metrics["bits_per_character"] == pytest.approx(run.metrics["loss"] / 0.6931, rel=1e-3)
    assert run.judged["samples"][0]["prompt (held out)"] in PHRASE * 3
    assert "Samples" in (run.folder / "report.html").read_text()
    assert osler.load(run.folder).evaluate(text)["loss"] < 0.2
    with pytest.raises(InputError, match="osler generate"):
        run.predict(text)


def test_the_same_seed_writes_the_same_text(run):
    texts = [generate(run, "the ", 80, temperature=2.0, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert all(len(text) == 84 for text in texts)


def naive(run, prompt, length):
    """The likeliest character each time, everything computed again for each."""
    tokenizer = run.preprocess.inputs.tokenizer
    ids = tokenizer.encode(prompt)
    with torch.inference_mode():
        for _ in range(length):
            logits = run.model(torch.tensor([ids]))[0, -1]
            logits[:2] = -torch.inf
            ids.append(int(logits.argmax()))
    return tokenizer.decode(ids)


def test_what_is_kept_changes_no_text(run, text, tmp_path):
    assert generate(run, "lazy fox", 60, temperature=0) == naive(run, "lazy fox", 60)
    gpt = trained(text, tmp_path / "gpt", "gpt", width=32, layers=2, heads=2)
    assert generate(gpt, "lazy fox", 60, temperature=0) == naive(gpt, "lazy fox", 60)  # beyond the window of 32
    assert gpt.metrics["loss"] < 1


def test_what_cannot_be_is_one_clear_line(run):
    for options, problem in (
        ({"prompt": "the Öl"}, "the prompt holds 'Ö', which the training text has not"),
        ({"prompt": ""}, "nothing to go on with"),
        ({"length": 0}, "length is a number of tokens"),
        ({"temperature": -1.0}, "temperature must be at least 0"),
        ({"temperature": float("nan")}, "temperature must be a finite number"),
        ({"top_k": 0}, "top_k must be a whole number"),
        ({"top_p": 1.5}, "top_p must lie between 0 and 1"),
    ):
        with pytest.raises(InputError, match=problem):
            generate(run, **{"prompt": "the", **options})
    other = osler.train("iris", epochs=1, verbose=False, out=run.folder.parent / "iris", doctor=False)
    with pytest.raises(InputError, match="a run of multiclass: only language models"):
        generate(other, "a")


def test_on_the_command_line(run):
    options = ["generate", str(run.folder), "--prompt", "the quick", "--temperature", "0", "--length", "7"]
    found = CliRunner().invoke(app, options)
    assert found.output == "the quick brown \n"
    done = subprocess.run(
        [sys.executable, "-m", "osler", *options[:3], "ÿ"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_training_goes_on_exactly_where_it_ended(run, text):
    data = prepare(open_source(text), [], tokens=run.recipe.tokens.model_dump(), length=run.recipe.length)

    def trainer(callbacks=()):
        torch.manual_seed(0)
        network = build_model(run.recipe, data.preprocess)
        return Trainer(network, build_objective(run.recipe, data.preprocess), callbacks=callbacks)

    def weights(trainer, epochs):
        train = learning_batches(run.recipe, data.preprocess, data.parts["train"])
        trainer.fit(train, plain_batches(data.preprocess, data.parts["validation"]), epochs=epochs)
        return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])

    class Save(Callback):
        def step(self, trainer):
            if trainer.epoch == 2 and trainer.batch == 3:  # whose windows are cut elsewhere than the first epoch's
                states.append(copy.deepcopy(trainer.state_dict()))

    states = []
    whole = weights(trainer([Save()]), 3)
    resumed = trainer([Callback()])
    resumed.load_state_dict(states[0])
    assert torch.equal(weights(resumed, 3), whole)
