"""The doctor's part of a report."""

import json
from pathlib import Path

import pytest

from osler.errors import InputError
from osler.report.findings import findings
from osler.report.read import read
from tests.report.conftest import images


def shown(folder: Path, **change: object) -> str:
    path = folder / "findings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    return findings(read(folder))


def test_says_what_where_why_and_the_cure(tmp_path: Path) -> None:
    html = findings(read(images(tmp_path / "run")))
    for part in ("Learned by heart", "output", "0.2214", "near loss/train", "--set model.dropout=0.3", "+ augment(x)"):
        assert part in html
    assert html.index("<h4>Hence</h4>") < html.index("Mean confidence 0.99")  # a consequence stands under its cause
    assert html.count('class="finding') == 1
    assert html.count("<svg") == 2
    assert "the curvature: too slow" in html


def test_a_consequence_without_its_cause_is_told(tmp_path: Path) -> None:
    alone = {"ailment": "miscalibrated", "severity": "hint", "because": "overfitting", "explanation": "Too sure."}
    assert "Too sure." in shown(images(tmp_path / "run"), findings=[alone])


def test_healthy_run_says_so(tmp_path: Path) -> None:
    assert "Nothing wrong was found." in shown(images(tmp_path / "run"), findings=[], curves={})


def test_nothing_of_a_stranger_becomes_html(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    finding = {
        **dict.fromkeys(("ailment", "title", "severity", "explanation", "why"), bad),
        "where": [bad],
        "evidence": {bad: bad},
        "healthy": {bad: bad},
        "cures": [{"title": bad, "patch": bad, "settings": {bad: bad}}],
    }
    html = shown(
        images(tmp_path / "run"), findings=[finding], not_examined=[bad], curves={"gradients": [[bad, 1.0]] * 3}
    )
    assert "<script" not in html


@pytest.mark.parametrize("bad", [{"findings": [3]}, {"curves": {"gradients": ["abc"]}}, {"findings": {"a": 1}}])
def test_damage_is_named(tmp_path: Path, bad: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"findings\.json"):
        shown(images(tmp_path / "run"), **bad)
