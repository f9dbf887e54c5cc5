"""A sick and a healthy model trained by each of the libraries that have a callback."""

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from osler.doctor.adapters import huggingface_callback, lightning_callback, skorch_callback
from osler.errors import InputError
from tests.doctor.test_script import surroundings

EPOCHS = 6
# Lightning's own, on a newer torch than it was written for, and its advice about loaders.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


def blobs() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    centre = 2.5 * torch.randn(4, 8, generator=draw)
    y = torch.randint(0, 4, (320,), generator=draw)
    return (centre[y] + torch.randn(320, 8, generator=draw)) / 2.5, y


def network(sick: bool) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4), *([nn.Softmax(1)] if sick else []))


def with_lightning(sick: bool, callback: Any, folder: Path) -> nn.Module:
    from lightning.pytorch import LightningModule, Trainer

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = network(sick)

        def training_step(self, batch, index):
            x, y = batch
            return F.cross_entropy(self.net(x), y)

        def validation_step(self, batch, index):
            x, y = batch
            self.log("val_loss", F.cross_entropy(self.net(x), y))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=3e-3)

    x, y = blobs()
    train = DataLoader(TensorDataset(x[:240], y[:240]), batch_size=16, shuffle=True)
    valid = DataLoader(TensorDataset(x[240:], y[240:]), batch_size=40)
    module = Module()
    Trainer(
        max_epochs=EPOCHS,
        callbacks=[callback] if callback else [],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    ).fit(module, train, valid)
    return module


def with_huggingface(sick: bool, callback: Any, folder: Path) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    torch.manual_seed(0)
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=8, num_labels=2)  # fmt: skip
    model = BertForSequenceClassification(config)
    words = torch.randint(2, 20, (320, 6), generator=torch.Generator().manual_seed(0))
    labels = (words[:, 0] > 10).long()
    rows = [{"input_ids": w, "labels": y} for w, y in zip(words, labels, strict=True)]
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=16,
        learning_rate=30.0 if sick else 5e-3,
        lr_scheduler_type="constant",
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    Trainer(model, arguments, train_dataset=rows[:240], eval_dataset=rows[240:],
            callbacks=[callback] if callback else []).train()  # fmt: skip
    return model


def with_skorch(sick: bool, callback: Any, folder: Path) -> nn.Module:
    from skorch import NeuralNetClassifier

    x, y = blobs()
    net = NeuralNetClassifier(
        network(sick),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        batch_size=16,
        max_epochs=EPOCHS,
        callbacks=[callback] if callback else [],
        verbose=0,
    )
    net.fit(x.numpy(), np.asarray(y))
    return net.module_


LIBRARIES = [
    (with_lightning, lightning_callback, "double-softmax"),
    (with_huggingface, huggingface_callback, "learning-rate-high"),
    (with_skorch, skorch_callback, "double-softmax"),
]


@pytest.mark.parametrize(("train", "make", "ailment"), LIBRARIES)
def test_sick_and_healthy(train: Any, make: Any, ailment: str, tmp_path: Path, capsys) -> None:
    before = surroundings()
    callback = make(show=False)
    train(True, callback, tmp_path)
    assert callback.diagnosis[0].ailment == ailment
    assert not callback.diagnosis.failures
    assert not callback.unseen
    capsys.readouterr()
    callback = make()
    train(False, callback, tmp_path)
    assert [f.ailment for f in callback.diagnosis if f.severity != "hint"] == []
    assert "Nothing wrong was found." in capsys.readouterr().out
    assert surroundings() == before


@pytest.mark.parametrize(("train", "make", "_"), LIBRARIES)
def test_every_step_and_every_evaluation_is_seen(train: Any, make: Any, _: str, tmp_path: Path) -> None:
    from osler.doctor.patient import Patient

    seen = []
    with pytest.MonkeyPatch.context() as patch:
        end = Patient.end
        patch.setattr(Patient, "end", lambda self: (end(self), seen.append(self)))
        train(False, make(show=False), tmp_path)
    [patient] = seen
    history = patient.doctor.trace.history
    each = history.steps // EPOCHS
    assert history.steps == history.observed == history.losses.count == each * EPOCHS
    assert history.validation_steps == [each * (i + 1) for i in range(EPOCHS)]
    assert patient.replay is not None


@pytest.mark.parametrize(("train", "make", "_"), LIBRARIES)
def test_weights_are_the_same_bit_for_bit(train: Any, make: Any, _: str, tmp_path: Path) -> None:
    plain, watched = train(False, None, tmp_path), train(False, make(show=False), tmp_path)
    for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("make", [m for _, m, _ in LIBRARIES])
def test_copies_start_anew(make: Any) -> None:
    for twin in (copy.deepcopy(make(False)), pickle.loads(pickle.dumps(make(False)))):
        assert twin.show is False
        assert len(twin.diagnosis) == 0


@pytest.mark.parametrize(
    ("make", "package", "install"),
    [
        (lightning_callback, "lightning.pytorch", "lightning"),
        (huggingface_callback, "transformers", "transformers accelerate"),
        (skorch_callback, "skorch.callbacks", "skorch"),
    ],
)
def test_what_to_install_is_said(make: Any, package: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == package.split(".")[0]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.import_module", _missing)
    with pytest.raises(InputError, match=f"pip install {install}"):
        make()


def _missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
