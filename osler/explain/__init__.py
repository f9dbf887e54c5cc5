"""Looking inside a trained network: attributions, what layers want to see, what a table's columns are worth."""

import sys
from types import ModuleType
from typing import Any

from osler.explain.attribution import explain
from osler.explain.dependence import Dependence, partial_dependence
from osler.explain.dreaming import Dream, dream, maximise
from osler.explain.importance import Importance, permutation_importance
from osler.explain.methods import METHODS
from osler.records import Attribution

__all__ = [
    "METHODS",
    "Attribution",
    "Dependence",
    "Dream",
    "Importance",
    "dream",
    "explain",
    "maximise",
    "partial_dependence",
    "permutation_importance",
]


class _Explain(ModuleType):
    """This package, which can be called too: `osler.explain(run, "picture.png")`."""

    def __call__(self, *arguments: Any, **options: Any) -> Attribution:
        return explain(*arguments, **options)


_Explain.__call__.__doc__ = explain.__doc__
sys.modules[__name__].__class__ = _Explain
