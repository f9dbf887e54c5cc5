"""Scripts as people write them, run unchanged under the doctor."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers

from osler.doctor.gathering import joined
from osler.doctor.script import Watched, watch_script
from osler.errors import InputError

DATA = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
centre = 2.5 * torch.randn(4, 8)
y = torch.randint(0, 4, (320,))
x = (centre[y] + torch.randn(320, 8)) / 2.5
"""
NET = """
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
"""
LOOP = """
for epoch in range(6):
    for rows in torch.randperm(len(y)).split(32):
        optimizer.zero_grad()
        loss = LOSS
        loss.backward()
        optimizer.step()
"""


def loop(loss: str) -> str:
    return LOOP.replace("LOSS", loss)


def watch(folder: Path, text: str, *arguments: str, function: str | None = None) -> Watched:
    path = folder / "train.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return watch_script(path, arguments, function)


def loud(watched: Watched) -> list[str]:
    assert not watched.error
    [(_, diagnosis)] = watched.patients
    assert not diagnosis.failures
    return [f.ailment for f in diagnosis if f.severity != "hint"]


HEALTHY = {
    "module loss": DATA + NET + "criterion = nn.CrossEntropyLoss()\n" + loop("criterion(model(x[rows]), y[rows])"),
    "functional loss": DATA + NET + loop("F.cross_entropy(model(x[rows]), y[rows])"),
    "several outputs": DATA + NET + loop("F.cross_entropy(model(x[rows]).view(-1, 4), y[rows].view(-1))"),
    "a column": DATA + """
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
""" + loop("F.mse_loss(model(x[rows]).squeeze(1), x[rows].sum(1) / 3)"),
    "a scheduler": DATA + NET + "schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5)\n"
    + loop("F.cross_entropy(model(x[rows]), y[rows])") + "    schedule.step()\n",
    "penalty": DATA + NET
    + loop("F.cross_entropy(model(x[rows]), y[rows]) + 1e-4 * sum((p ** 2).sum() for p in model.parameters())"),
    "written by hand": DATA + NET + loop("-model(x[rows]).log_softmax(1)[range(len(rows)), y[rows]].sum() / len(rows)"),
    "an autoencoder": DATA + """
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(10):
    for batch in x.split(32):
        optimizer.zero_grad()
        F.mse_loss(model(batch), batch).backward()
        optimizer.step()
""",
    "accumulation": DATA + NET + """
for epoch in range(8):
    for i, rows in enumerate(torch.randperm(len(y)).split(16)):
        (F.cross_entropy(model(x[rows]), y[rows]) / 4).backward()
        if i % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
""",
    "a loss inside the model": DATA + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x, labels=None):
        scores = self.body(x)
        return {"loss": F.cross_entropy(scores, labels), "logits": scores}

model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
""" + loop('model(x[rows], labels=y[rows])["loss"]'),
    "a closure": DATA + """
model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
def closure():
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss
for step in range(10):
    optimizer.step(closure)
""",
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_quiet_about_healthy_scripts(name: str, tmp_path: Path) -> None:
    watched = watch(tmp_path, HEALTHY[name])
    assert loud(watched) == []
    assert watched.unseen == []


SICK = {
    "double-softmax": DATA + NET.replace("32, 4)", "32, 4), nn.Softmax(dim=1)")
    + loop("nn.CrossEntropyLoss()(model(x[rows]), y[rows])"),
    "probabilities-to-nll": DATA + NET + loop("F.nll_loss(model(x[rows]).softmax(1), y[rows])"),
    "missing-zero-grad": DATA + NET
    + loop("F.cross_entropy(model(x[rows]), y[rows])").replace("        optimizer.zero_grad()\n", ""),
    "missing-step": DATA + NET
    + loop("F.cross_entropy(model(x[rows]), y[rows])").replace("        optimizer.step()\n", ""),
    "broadcast-loss": DATA + """
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
""" + loop("((model(x[rows]) - x[rows].sum(1)) ** 2).mean()"),
    "learning-rate-high": DATA + NET.replace("Adam", "SGD").replace("3e-3", "300.0")
    + loop("F.cross_entropy(model(x[rows]), y[rows])"),
    "eval-mode-training": DATA + NET.replace("nn.ReLU()", "nn.BatchNorm1d(32), nn.ReLU()") + "model.eval()\n"
    + loop("F.cross_entropy(model(x[rows]), y[rows])"),
    "hidden-submodule": DATA + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(8, 32), nn.Linear(32, 32)]
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)

model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
""" + loop("F.cross_entropy(model(x[rows]), y[rows])"),
    "sum-reduced-loss": DATA + NET.replace("Adam", "SGD").replace("3e-3", "0.3")
    + loop("F.cross_entropy(model(x[rows]), y[rows], reduction='sum')"),
    "parameter-not-optimized": DATA + NET.replace("Adam(model.", "Adam(model[0].")
    + loop("F.cross_entropy(model(x[rows]), y[rows])"),
    "step-before-backward": DATA + NET
    + loop("torch.tensor(F.cross_entropy(model(x[rows]), y[rows]).item(), requires_grad=True)"),
    "unshuffled-data": DATA + "x, y = x[y.argsort()], y.sort().values\n" + NET
    + loop("F.cross_entropy(model(x[rows]), y[rows])").replace("torch.randperm(len(y))", "torch.arange(len(y))"),
}  # fmt: skip


@pytest.mark.parametrize("ailment", SICK)
def test_finds_what_is_wrong(ailment: str, tmp_path: Path) -> None:
    watched = watch(tmp_path, SICK[ailment])
    assert loud(watched)[0] == ailment


def test_the_lines_are_those_of_the_script(tmp_path: Path) -> None:
    watched = watch(tmp_path, SICK["broadcast-loss"])
    at = 1 + next(i for i, line in enumerate(SICK["broadcast-loss"].splitlines()) if "loss =" in line)
    [(name, diagnosis)] = watched.patients
    assert name == f"Sequential trained by Adam (train.py:{at})"
    assert f"{tmp_path / 'train.py'}:{at}" in diagnosis[0].lines


GAN = (
    DATA
    + """
draw = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 8))
judge = nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)END)
first = torch.optim.Adam(draw.parameters(), lr=1e-3, betas=(0.5, 0.999))
second = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.999))
loss = nn.BCEWithLogitsLoss()
for epoch in range(5):
    for real in x[torch.randperm(320)].split(32):
        ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
        fake = draw(torch.randn(len(real), 4))
        second.zero_grad()
        (loss(judge(real), ones) + loss(judge(fake.detach()), zeros)).backward()
        second.step()
        first.zero_grad()
        loss(judge(fake), ones).backward()
        first.step()
"""
)


def test_networks_that_train_against_each_other_are_a_patient_each(tmp_path: Path) -> None:
    watched = watch(tmp_path, GAN.replace("END", ""))
    assert [name.split(" (")[0] for name, _ in watched.patients] == ["Sequential trained by Adam"] * 2
    for _, diagnosis in watched.patients:
        assert [f.ailment for f in diagnosis if f.severity != "hint"] == []
    assert watched.unseen == []


def test_the_sick_one_of_two_is_named(tmp_path: Path) -> None:
    watched = watch(tmp_path, GAN.replace("END", ", nn.Sigmoid()"))
    [(_, _), (name, diagnosis)] = watched.patients
    at = 1 + next(i for i, line in enumerate(GAN.splitlines()) if "judge(real)" in line)
    assert name == f"Sequential trained by Adam (train.py:{at})"
    assert diagnosis[0].ailment == "double-sigmoid"


VALIDATED = (
    DATA
    + """
from torch.utils.data import DataLoader, TensorDataset

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(64, 4)

    def forward(self, x):
        return self.head(self.body(x))

def evaluate(model, loader):
    model.eval()
    total, right = 0.0, 0
    with torch.no_grad():
        for inputs, labels in loader:
            scores = model(inputs)
            total += F.cross_entropy(scores, labels).item() * len(labels)
            right += (scores.argmax(1) == labels).sum().item()
    return total / len(loader.dataset), right / len(loader.dataset)

def main():
    train = DataLoader(TensorDataset(x[:240], y[:240]), batch_size=32, shuffle=True)
    valid = DataLoader(TensorDataset(x[VALID], y[VALID]), batch_size=50)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(6):
        model.train()
        for inputs, labels in train:
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        evaluate(model, train)
        print("valid", *evaluate(model, valid))

if __name__ == "__main__":
    main()
"""
)


def test_an_evaluation_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    patients = []
    monkeypatch.setattr("osler.doctor.onlooker.Patient.end", lambda self: patients.append(self))
    assert watch(tmp_path, VALIDATED.replace("VALID", "240:")).unseen == []
    printed = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    [patient] = patients
    patient._close_evaluation()
    history = patient.doctor.trace.history
    assert history.validation.read() == pytest.approx(printed, rel=1e-5)
    assert history.validation_steps == [8, 16, 24, 32, 40, 48]
    inputs, targets = joined(patient.evaluation.heldout.batches)
    assert inputs.shape == (80, 8)
    assert joined(patient.train.batches)[0].shape == (240, 8)
    assert targets.dtype == torch.int64


def test_rows_of_training_in_the_validation_are_found(tmp_path: Path) -> None:
    assert loud(watch(tmp_path, VALIDATED.replace("VALID", "210:"))) == ["train-test-overlap"]


@pytest.mark.parametrize("text", [*HEALTHY.values(), *SICK.values(), GAN.replace("END", ""),
                                  VALIDATED.replace("VALID", "240:")])  # fmt: skip
def test_the_script_computes_the_same_bit_for_bit(text: str, tmp_path: Path, capsys) -> None:
    text += """
import random
import numpy
print([repr(p.double().sum().item()) for m in list(globals().values()) if isinstance(m, nn.Module)
       for p in [*m.parameters(), *m.buffers()]])
print(torch.rand(3).tolist(), random.random(), numpy.random.rand())
"""
    watched = watch(tmp_path, "import random, numpy\nrandom.seed(0)\nnumpy.random.seed(0)\n" + text)
    assert not watched.error
    seen = capsys.readouterr().out
    exec(compile((tmp_path / "train.py").read_text(), "train.py", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == seen


def surroundings() -> list[object]:
    return [
        torch.autograd.backward,
        torch.optim.Optimizer.__init__,
        torch.amp.grad_scaler.GradScaler.scale,
        subprocess.Popen.__init__,
        modules._has_any_global_hook(),
        len(optimizers._global_optimizer_pre_hooks),
        len(optimizers._global_optimizer_post_hooks),
        torch.overrides._get_current_function_mode_stack(),
        sys.argv,
        list(sys.path),
        sys.modules["__main__"],
    ]


CRASH = loop("F.cross_entropy(model(x[rows]), y[rows])") + "        if CONDITION:\n            END\n"


@pytest.mark.parametrize(
    ("end", "error", "unseen"),
    [
        ("pass", "", 0),
        ("raise RuntimeError('broken here')", "RuntimeError: broken here", 0),
        ("raise SystemExit(3)", "SystemExit: 3", 0),
        ("raise SystemExit", "", 0),
        ("raise KeyboardInterrupt", "", 1),
    ],
)
def test_nothing_is_left_behind(end: str, error: str, unseen: int, tmp_path: Path) -> None:
    before = surroundings()
    text = DATA + NET.replace("4)", "4), nn.Softmax(dim=1)")
    watched = watch(
        tmp_path, text + CRASH.replace("CONDITION", "loss.grad_fn is not None and epoch > 2").replace("END", end)
    )
    assert surroundings() == before
    assert watched.error.endswith(error + "\n" if "RuntimeError" in error else error)
    assert len(watched.unseen) == unseen
    assert watched.patients[0][1][0].ailment == "double-softmax"
    assert watched.seconds > 0


def test_a_crash_in_the_third_step_is_told_with_the_lines_of_the_script_only(tmp_path: Path) -> None:
    text = DATA + NET.replace("4)", "4), nn.Softmax(dim=1)") + "steps = 0\n"
    watched = watch(tmp_path, text + CRASH.replace("CONDITION", "(steps := steps + 1) == 3").replace("END", "1 / 0"))
    assert watched.error.splitlines()[0] == "Traceback (most recent call last):"
    assert watched.error.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert watched.error.count('File "') == 1
    assert watched.patients[0][1][0].ailment == "double-softmax"


@pytest.mark.parametrize(
    ("model", "loss", "ailment"),
    [
        ("nn.Sequential(nn.Linear(8, 3))", "F.cross_entropy(model(x), y)", "output-width"),
        ("nn.Sequential(nn.Linear(8, 4))", "F.binary_cross_entropy(model(x), F.one_hot(y).float())", "logits-to-bce"),
        ("nn.Sequential(nn.Unflatten(1, (2, 4)), nn.Linear(8, 4))", "F.cross_entropy(model(x), y)", "missing-flatten"),
    ],
)
def test_a_script_that_never_makes_a_step(model: str, loss: str, ailment: str, tmp_path: Path) -> None:
    watched = watch(
        tmp_path,
        DATA + NET + f"model = {model}\noptimizer = torch.optim.SGD(model.parameters(), 0.1)\n{loss}.backward()\n",
    )
    assert watched.error
    assert watched.patients[-1][1][0].ailment == ailment


def test_arguments_and_neighbours(tmp_path: Path, capsys) -> None:
    (tmp_path / "nets_of_mine.py").write_text("from torch import nn\ndef net():\n    return nn.Linear(8, 4)\n")
    text = DATA + """
import argparse
import sys
import nets_of_mine
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
rate = parser.parse_args().rate
print(sys.argv[1:], __name__, __file__)
model = nets_of_mine.net()
optimizer = torch.optim.SGD(model.parameters(), lr=rate)
""" + loop("F.cross_entropy(model(x[rows]), y[rows])")  # fmt: skip
    watched = watch(tmp_path, text, "--rate", "0.1")
    assert loud(watched) == []
    assert capsys.readouterr().out == f"['--rate', '0.1'] __main__ {tmp_path / 'train.py'}\n"
    assert "nets_of_mine" not in sys.modules
    assert watch(tmp_path, text, "--unknown").error == "SystemExit: 2"


def test_a_function_of_a_file(tmp_path: Path) -> None:
    text = DATA + "def train():\n" + textwrap.indent(NET + loop("F.nll_loss(model(x[rows]), y[rows])"), "    ")
    assert loud(watch(tmp_path, text, function="train"))[0] == "probabilities-to-nll"
    assert "train" not in sys.modules
    with pytest.raises(InputError, match=r"unknown function of train.py 'trian'; did you mean 'train'"):
        watch(tmp_path, text, function="trian")


def test_two_models(tmp_path: Path) -> None:
    part = loop("F.cross_entropy(model(x[rows]), y[rows])")
    watched = watch(
        tmp_path, DATA + NET + part + NET.replace("4)", "4), nn.Softmax(dim=1)").replace("Adam", "SGD") + part
    )
    assert [name.split(" (")[0] for name, _ in watched.patients] == [
        "Sequential trained by Adam",
        "Sequential trained by SGD",
    ]
    assert [[f.ailment for f in d if f.severity == "critical"] for _, d in watched.patients] == [[], ["double-softmax"]]


def test_of_many_models_of_one_line_the_first_are_followed(tmp_path: Path) -> None:
    text = (
        DATA
        + "for fold in range(5):\n"
        + textwrap.indent(NET + loop("F.cross_entropy(model(x[rows]), y[rows])"), "    ")
    )
    watched = watch(tmp_path, text)
    assert len(watched.patients) == 3
    assert len(watched.unseen) == 1
    assert watched.unseen[0].startswith("2 more models that were called at train.py:")


def test_wrapped_and_compiled_models(tmp_path: Path) -> None:
    for wrap in ("nn.DataParallel(model)", "torch.compile(model, backend='eager')"):
        watched = watch(tmp_path, DATA + NET.replace("4))", "4), nn.Softmax(dim=1))") + f"model = {wrap}\n"
                        + loop("F.cross_entropy(model(x[rows]), y[rows])"))  # fmt: skip
        assert loud(watched)[0] == "double-softmax"
        assert len(watched.unseen) == ("compile" in wrap)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("print('hello')", "No model was trained"),
        (DATA + "nn.Linear(8, 4)(x)", "no backward pass reached its weights"),
        (DATA + NET + "import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', ''])\n"
         + loop("F.cross_entropy(model(x[rows]), y[rows])"), "started another program (train.py:"),
        (DATA + NET.replace("model = ", "model = torch.jit.script(").replace("4))", "4)))")
         + loop("F.cross_entropy(model(x[rows]), y[rows])"), "TorchScript"),
        (DATA + NET.replace("torch.optim.Adam(model.parameters(), lr=3e-3)", "None")
         + "loader = torch.utils.data.DataLoader(x, num_workers=1, batch_size=160)\nfor b in loader: pass\n", "worker"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_stays_hidden_is_said(text: str, sentence: str, tmp_path: Path) -> None:
    assert any(sentence in said for said in watch(tmp_path, text).unseen)


def test_what_is_no_script(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing.py can't be read \(No such file or directory\)"):
        watch_script(tmp_path / "missing.py")
    with pytest.raises(InputError, match=r"train.py, line 2: "):
        watch(tmp_path, "x = 1\nfor\n")
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(InputError, match="is a notebook; export it first"):
        watch_script(tmp_path / "a.ipynb")
