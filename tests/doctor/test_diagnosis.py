import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import osler
from osler.doctor.ailments import AILMENTS
from osler.doctor.diagnosis import Diagnosis
from osler.records import Cure, Finding


def sick() -> Diagnosis:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1), nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.randn(80, 4)
    y = (x[:, :1] > 0).float()
    doctor = osler.Doctor(model, optimizer, F.binary_cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(60):
        optimizer.zero_grad()
        value = F.binary_cross_entropy(model(x), y)
        value.backward()
        optimizer.step()
        doctor.observe(value)
    return doctor.diagnose()


def test_consequences_stand_under_their_cause() -> None:
    found = sick()
    assert found[0].ailment == "softmax-single-unit"
    assert not found[0].because
    constant = next(f for f in found if f.ailment == "constant-output")
    assert constant.because == "softmax-single-unit"
    assert f"hence  {constant.explanation}" in " ".join(str(found).split("\n"))


def test_text_holds_numbers_with_their_healthy_range_reason_and_cure() -> None:
    text = str(sick())
    assert "✖ critical: Softmax over a single unit [softmax-single-unit]" in text
    assert "units: 1  (healthy: one per class, at least 2)" in text
    assert "why    Softmax makes its outputs sum to 1." in text
    assert "+ torch.sigmoid(x)" in text
    assert "docs/ailments/softmax-single-unit.md" in text


def test_html_escapes_and_has_pictures() -> None:
    evil = Finding("nonfinite", "critical", "<script>", ("<b>",), {"<i>": 1.0}, {}, (), "why", (Cure("<u>", ("<p>",)),))
    page = Diagnosis([evil])._repr_html_()
    assert not any(tag in page for tag in ("<script>", "<b><", "<i>:", "<u>"))
    assert "&lt;script&gt;" in page
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.randn(50, 4)
    doctor = osler.Doctor(model, optimizer, F.mse_loss)
    doctor.examine(train=(x, x[:, :1]))
    for _ in range(20):
        optimizer.zero_grad()
        F.mse_loss(model(x), x[:, :1]).backward()
        optimizer.step()
    page = doctor.diagnose()._repr_html_()
    assert page.count("<svg") == 2  # gradient by layer; size of updates
    assert "0.weight" in page


def test_json_is_strict() -> None:
    record = Finding("nonfinite", "critical", "x", evidence={"loss": float("nan")}, cures=(Cure("y", ("- a", "+ b")),))
    read = json.loads(Diagnosis([record]).to_json())
    assert read["findings"][0]["evidence"] == {"loss": "nan"}
    assert read["findings"][0]["cures"][0]["patch"] == "- a\n+ b"


def test_a_healthy_diagnosis_says_so() -> None:
    assert str(Diagnosis([])) == "Nothing wrong was found."
    assert repr(Diagnosis([])) == "Diagnosis(nothing wrong)"
    assert len(Diagnosis([])) == 0


@pytest.mark.parametrize("name", AILMENTS)
def test_every_ailment_is_explained(name: str) -> None:
    ailment = AILMENTS[name]
    assert ailment.name == name
    assert ailment.title[0].isupper()
    assert ailment.why.endswith(".")
