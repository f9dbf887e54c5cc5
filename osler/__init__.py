"""Osler: from data to a trained and reported network in one command, every choice explained.

The names below are loaded when they are first used, so that `import osler` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from osler import explain, models
    from osler.doctor import Doctor
    from osler.errors import InputError
    from osler.job import resume, train
    from osler.names import activation, initialize, loss, metric, model, optimizer, schedule
    from osler.objectives import Classification, Regression
    from osler.recipe import Recipe
    from osler.run import Run, load
    from osler.training import Trainer

_HOMES = {
    "Classification": "osler.objectives",
    "Doctor": "osler.doctor",
    "InputError": "osler.errors",
    "Recipe": "osler.recipe",
    "Regression": "osler.objectives",
    "Run": "osler.run",
    "Trainer": "osler.training",
    "activation": "osler.names",
    "initialize": "osler.names",
    "load": "osler.run",
    "loss": "osler.names",
    "metric": "osler.names",
    "model": "osler.names",
    "optimizer": "osler.names",
    "resume": "osler.job",
    "schedule": "osler.names",
    "train": "osler.job",
}
__all__ = [
    "Classification",
    "Doctor",
    "InputError",
    "Recipe",
    "Regression",
    "Run",
    "Trainer",
    "__version__",
    "activation",
    "explain",
    "initialize",
    "load",
    "loss",
    "metric",
    "model",
    "models",
    "optimizer",
    "resume",
    "schedule",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in ("explain", "models"):  # a room, and a function
        return import_module(f"osler.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'osler' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
