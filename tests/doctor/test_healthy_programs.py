"""Healthy programs of many kinds: the doctor finds nothing critical and gives no warning."""

from collections.abc import Callable

import pytest
import torch

import osler
from tests.doctor.programs import HEALTHY


@pytest.mark.parametrize("program", HEALTHY, ids=lambda p: p.__name__)
def test_quiet(program: Callable[[], list[osler.Doctor]]) -> None:
    torch.manual_seed(0)
    for doctor in program():
        loud = [f for f in doctor.diagnose() if f.severity != "hint"]
        assert not loud, "\n".join(f"{f.ailment}: {f.explanation} {dict(f.evidence)}" for f in loud)
        assert not [f for f in doctor.trace.failures if f.startswith("the check")]
