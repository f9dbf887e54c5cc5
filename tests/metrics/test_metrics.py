"""The edge of the room, and the rules that every metric keeps."""

import copy
import doctest
import subprocess
import sys

import pytest
import torch
import torchmetrics

from osler.errors import InputError
from osler.metrics import metrics
from osler.metrics.metrics import METRICS, better, metric
from osler.metrics.tasks import default_metrics

SEQUENCES = {"bleu", "perplexity", "bits_per_character", "word_error_rate", "character_error_rate"}
FITTING = {
    **{name: {"binary", "multiclass", "multilabel"} for name in METRICS},
    **{name: {"regression"} for name in ("mse", "rmse", "mae", "mape", "r2")},
    **{name: {"segmentation"} for name in ("iou", "dice")},
    "accuracy": {"binary", "multiclass", "multilabel", "segmentation", "language", "translation"},
    "top_k_accuracy": {"multiclass"},
    "balanced_accuracy": {"binary", "multiclass"},
}
KINDS = ("binary", "multiclass", "multilabel", "regression", "segmentation", "language", "translation")
TASKS = [(n, k) for n in METRICS if n not in SEQUENCES for k in KINDS]
OPTIONS = {"top_k_accuracy": {"k": 2}}


def batches(kind):
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        if kind == "multiclass":
            yield torch.rand(20, 3, generator=generator).softmax(-1), torch.randint(3, (20,), generator=generator)
        elif kind in ("language", "translation"):
            yield torch.randn(20, 3, generator=generator), torch.randint(3, (20,), generator=generator)
        elif kind == "segmentation":
            yield torch.randint(3, (20,), generator=generator), torch.randint(4, (20,), generator=generator)
        elif kind == "regression":
            yield torch.randn(20, 3, generator=generator), torch.randn(20, 3, generator=generator)
        else:
            shape = (20, 3) if kind == "multilabel" else (20,)
            yield torch.rand(shape, generator=generator), torch.randint(2, shape, generator=generator)


def sequence_batches(name):
    if name in ("perplexity", "bits_per_character"):
        return [(torch.randn(2, 4, 5), torch.randint(5, (2, 4))) for _ in range(3)]
    if name == "bleu":
        return [(["the cat sat on the mat"], [["the cat sat on a mat"]]), (["a b c d e"], [["a b c d f"]])]
    return [(["the cat sat"], ["the cat sits"]), (["a b"], ["a c"])]


@pytest.mark.parametrize(("name", "kind"), [*TASKS, *((name, None) for name in sorted(SEQUENCES))])
def test_conformance(name, kind):
    if kind and kind not in FITTING[name]:
        with pytest.raises(InputError, match=f"'{name}' is for .*{next(iter(FITTING[name]))}.*got '{kind}'"):
            metric(name, kind=kind, outputs=3)
        return
    docs = METRICS[name].__doc__
    assert docs.splitlines()[0].endswith(".")
    for part in ("Formula:", "Source:"):
        assert part in docs, part

    def make():
        return metric(name, kind=kind, outputs=1 if kind == "binary" else 3, **OPTIONS.get(name, {}))

    def equal(a, b):
        torch.testing.assert_close(a, b, rtol=0, atol=0)

    first, *rest = sequence_batches(name) if kind is None else list(batches(kind))
    measured = make()
    assert isinstance(measured, torchmetrics.Metric)
    measured.persistent(True)
    with torch.inference_mode():
        measured.update(*first)
    copied = copy.deepcopy(measured)
    loaded = make()
    loaded.persistent(True)
    loaded.update(*first)
    loaded.reset()
    loaded.load_state_dict(measured.state_dict())
    for more in rest:
        for each in (measured, copied, loaded):
            each.update(*more)
    result = measured.compute()
    assert torch.isfinite(result).all()
    equal(copied.compute(), result)
    equal(loaded.compute(), result)
    # Starting again forgets; calling the metric gives the batch's value and adds it up as well.
    measured.reset()
    for batch in (first, *rest):
        measured(*batch)
    equal(measured.compute(), result)


@pytest.mark.parametrize("name", METRICS)
def test_better(name):
    lower = {"calibration_error", "mse", "rmse", "mae", "mape", "perplexity", "word_error_rate", "character_error_rate"}
    lower |= {"bits_per_character"}
    if name == "confusion_matrix":
        with pytest.raises(InputError, match="neither"):
            better(name)
    else:
        assert better(name) == ("lower" if name in lower else "higher")


def test_better_by_alias():
    assert better("WER") == "lower"
    assert better("roc-auc") == "higher"
    with pytest.raises(InputError, match="'accuracy'"):
        better("acuracy")


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_fit(kind):
    names = default_metrics(kind)
    assert names[0] in {"accuracy", "rmse", "perplexity"}
    for name in names:
        metric(name, kind=kind, outputs=3)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("f1", {}, "needs the kind of task"),
        ("f1", {"kind": "multi_class", "outputs": 3}, "did you mean 'multiclass'"),
        ("f1", {"kind": "multiclass"}, "outputs must be a whole number of at least 2, got 1"),
        ("f1", {"kind": "multiclass", "outputs": 3, "average": "makro"}, "did you mean 'macro'"),
        ("f1", {"kind": "binary", "average": "macro"}, "takes no average"),
        ("accuracy", {"kind": "binary", "threshold": 2}, "threshold must be a probability"),
        ("balanced_accuracy", {"kind": "binary", "threshold": "0.5"}, "threshold"),
        ("top_k_accuracy", {"kind": "multiclass", "outputs": 3}, "number of classes, 3, got 5"),
        ("top_k_accuracy", {"kind": "multiclass", "outputs": 3, "k": 0}, "k must be"),
        ("roc_auc", {"kind": "binary", "thresholds": 1}, "thresholds"),
        ("calibration_error", {"kind": "binary", "bins": 0}, "bins"),
        ("bleu", {"n_gram": 0}, "n_gram"),
        ("mse", {"kind": "regression", "squared": False}, "unknown option of metric 'mse'"),
        ("rsme", {"kind": "regression"}, "did you mean 'rmse'"),
    ],
)
def test_refusals(name, options, words):
    with pytest.raises(InputError, match=words):
        metric(name, **options)


def test_import_is_late():
    """Importing the room costs nothing of torchmetrics."""
    code = "import osler.metrics, sys; sys.exit('torchmetrics' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_doctest():
    assert doctest.testmod(metrics).failed == 0
