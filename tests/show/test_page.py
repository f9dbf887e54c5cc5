import torch
from torch import nn

import osler
import osler.nn
from osler.show.catalogue import KINDS, asked, listing, names
from osler.show.describe import NOTES
from osler.show.page import WIDTH, contents, overview, page
from osler.show.plot import plot


def shown(*words, **options):
    [entry] = asked(words)
    return page(entry, plot(entry, options), options).plain


def test_every_page_fits_a_terminal(entry, plots):
    text = page(entry, plots[entry.kind, entry.name], {}).plain
    assert max(map(len, text.splitlines())) <= WIDTH
    assert entry.name in text
    words = " ".join(text.split())
    for label in ("Formula", "Use", "Source", NOTES):
        for line in entry.parts.get(label, "").split("\n"):
            assert " ".join(line.split()) in words


def test_every_list_fits_a_terminal():
    for kind, (many, *_) in KINDS.items():
        entries = listing(kind)
        text = contents(entries).plain
        assert max(map(len, text.splitlines())) <= WIDTH
        words = " ".join(text.split())
        for entry in entries:
            assert entry.summary in words
            assert all(alias in words for alias in entry.aliases)
        assert many in overview(names()).plain


def test_the_line_of_python_works(entry):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    _, _, after = page(entry, None, {}).plain.partition("\nPython")
    line = " ".join(after.partition("\n\n")[0].split())
    if entry.kind == "metric":
        assert not line
    elif entry.kind not in ("dataset", "augmentation"):  # those train
        assert eval(line, {"osler": osler, "model": model, "optimizer": optimizer}) is not None


def test_page_of_a_loss():
    text = shown("huber", delta=3.0)
    assert text.startswith("huber (delta = 3.0)")
    assert "Options     delta = 1.0, reduction = 'mean'" in text
    assert 'Huber, "Robust estimation of a location parameter", 1964.' in text
    assert "The target is y = 1." in text


def test_page_of_an_optimizer_tells_the_losses():
    text = shown("sgd")
    assert "loss after" in text
    assert "ravine" in text
    assert "saddle" in text
    assert "○" in text


def test_page_of_a_model_has_its_layers():
    text = shown("lenet5", pooling="max")
    assert "61 706" in text
    assert "MaxPool2d" in text
