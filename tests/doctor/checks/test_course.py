from types import SimpleNamespace

import pytest

from osler.doctor.checks.course import _overfitting
from osler.doctor.outcome import Outcome, Part


def course(values):
    return SimpleNamespace(read=lambda: list(values))


@pytest.mark.parametrize(("rows", "wrong", "told"), [(5, 1, False), (5, 3, True), (100, 15, True), (100, 5, False)])
def test_so_few_rows_prove_nothing(monkeypatch, rows, wrong, told):
    """One of five wrong is a gap of 0.2, but two standard errors of so few are 0.45."""
    trace = SimpleNamespace(
        history=SimpleNamespace(validation=course([1.0, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])),
        outcome=Outcome(train=Part(score=1.0, rows=200), validation=Part(score=1 - wrong / rows, rows=rows)),
    )
    monkeypatch.setattr("osler.doctor.checks.course.losses", lambda _: [1 / (i + 1) for i in range(80)])
    assert [f.ailment for f in _overfitting(trace)] == (["overfitting"] if told else [])
