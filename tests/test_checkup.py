"""The doctor within a run: what it finds is kept and told, and no weight is different for it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import osler
from osler.checkup import loss_of
from osler.doctor.diagnosis import Diagnosis
from osler.errors import InputError
from osler.nn.penalties import L2
from osler.objectives import Classification
from osler.run import findings_in

FEW: dict[str, Any] = {"model": "mlp", "epochs": 4, "seed": 3, "threads": 1, "verbose": False}
TOO_FAST: dict[str, Any] = {**FEW, "epochs": 15, "optimizer": "sgd", "lr": 300.0}


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> osler.Run:
    return osler.train("digits", out=tmp_path_factory.mktemp("sick") / "run", **TOO_FAST)


def test_weights_are_the_same_with_the_doctor_and_without(tmp_path: Path) -> None:
    for model in ("mlp", "convnet"):
        settings = {**FEW, "model": model, "dropout": 0.2}
        watched = osler.train("digits", out=tmp_path / "watched", **settings)
        alone = osler.train("digits", out=tmp_path / "alone", doctor=False, **settings)
        with_doctor, without = (load_file(run.folder / "model.safetensors") for run in (watched, alone))
        assert with_doctor.keys() == without.keys()
        assert all(torch.equal(with_doctor[name], without[name]) for name in without)


def test_hooks_come_off(sick: osler.Run) -> None:
    for module in sick.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_findings_are_kept_and_come_back(sick: osler.Run) -> None:
    first = sick.findings[0]
    assert first.ailment == "learning-rate-high"
    assert first.severity == "critical"
    assert first.cures[0].settings["optimizer.lr"] < 300
    kept = json.loads((sick.folder / "findings.json").read_text())
    assert [one["ailment"] for one in kept["findings"]] == [f.ailment for f in sick.findings]
    assert str(findings_in(sick.folder)) == str(sick.findings)
    assert "Learning rate too high" in (sick.folder / "report.html").read_text()


def test_a_record_makes_the_same_diagnosis(sick: osler.Run) -> None:
    again = Diagnosis.from_record(json.loads(sick.findings.to_json()))
    assert again.record() == sick.findings.record()
    assert again._repr_html_() == sick.findings._repr_html_()


def test_a_healthy_run_has_nothing_loud(tmp_path: Path) -> None:
    run = osler.train("iris", out=tmp_path / "run", epochs=60, verbose=False)
    assert not [f for f in run.findings if f.severity != "hint"]
    assert "Nothing wrong was found." in (run.folder / "report.html").read_text()


def test_without_a_doctor_nothing_is_claimed(tmp_path: Path) -> None:
    run = osler.train("iris", out=tmp_path / "run", epochs=2, verbose=False, doctor=False)
    assert not (run.folder / "findings.json").exists()
    assert len(run.findings) == 0
    assert "Nothing wrong" not in (run.folder / "report.html").read_text()
    with pytest.raises(InputError, match="no doctor watched"):
        findings_in(run.folder)


@pytest.mark.parametrize("text", ["[]", "{", '{"findings": [{}]}', '{"findings": 3}'])
def test_damaged_findings_are_named(tmp_path: Path, text: str) -> None:
    run = osler.train("iris", out=tmp_path / "run", epochs=1, verbose=False)
    (run.folder / "findings.json").write_text(text)
    with pytest.raises(InputError, match=r"findings\.json is damaged"):
        _ = run.findings


def test_the_loss_is_the_one_that_is_followed() -> None:
    objective, network = Classification.multiclass(3), nn.Linear(4, 3)
    x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
    plain = nn.functional.cross_entropy(network(x), y)
    torch.testing.assert_close(loss_of(objective, network)(network(x), y), plain)
    objective.penalty = L2(strength=0.5)
    expected = plain + 0.5 * network.weight.square().sum()
    torch.testing.assert_close(loss_of(objective, network)(network(x), y), expected)


def test_regularisation_that_rules_is_found(tmp_path: Path) -> None:
    penalty = {"name": "l2", "strength": 10.0}
    run = osler.train("digits", out=tmp_path / "run", **{**FEW, "epochs": 10, "penalty": penalty})
    assert run.findings[0].ailment == "regularization-dominates"


def test_the_doctor_looks_at_what_is_frozen(tmp_path: Path) -> None:
    """A first layer that keeps its weights has learned from inputs of their scale; nothing is changed by looking."""
    torch.manual_seed(0)
    x = torch.randn(300, 6) * 300 + 100
    y = (x[:, 0] * x[:, 1] > 0).long()
    found, weights = {}, {}
    for name, settings in (("free", {}), ("frozen", {"freeze": "0"}), ("alone", {"freeze": "0", "doctor": False})):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
        run = osler.train((x, y), model=model, epochs=3, threads=1, verbose=False, out=tmp_path / name, **settings)
        found[name] = {f.ailment for f in run.findings}
        weights[name] = run.model.state_dict()
    assert "unscaled-input" in found["free"]
    assert "unscaled-input" not in found["frozen"]
    assert all(torch.equal(weights["frozen"][key], tensor) for key, tensor in weights["alone"].items())
