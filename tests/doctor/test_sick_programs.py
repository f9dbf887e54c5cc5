"""Programs with one fault each: the doctor says it first, with numbers or a place, and with a cure."""

from collections.abc import Callable

import pytest
import torch

import osler
from osler.recipe import Recipe
from tests.doctor.faults import SICK


@pytest.mark.parametrize(("program", "wanted"), SICK, ids=lambda p: getattr(p, "__name__", ""))
def test_named_first(program: Callable[[], list[osler.Doctor]], wanted: set[str]) -> None:
    torch.manual_seed(0)
    [doctor] = program()
    first = doctor.diagnose()[0]
    assert first.ailment in wanted
    assert first.severity != "hint"
    assert first.cures
    assert first.evidence or first.where
    for found in doctor.diagnose():
        for cure in found.cures:
            Recipe.build(dict(cure.settings))  # no field that a recipe does not have
    assert not [f for f in doctor.trace.failures if f.startswith("the check")]
