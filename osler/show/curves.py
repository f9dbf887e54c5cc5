"""Activations and losses with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from osler.errors import InputError
from osler.nn.activations import ACTIVATIONS
from osler.nn.losses import LOSSES
from osler.show.panels import Curve, Plot

POINTS = 401  # so that −5, −4.975 … 5 meets the kinks at whole numbers


def activation(name: str, options: Mapping[str, Any]) -> Plot:
    """Value and derivative between −5 and 5."""
    function = ACTIVATIONS.create(name, **options).double()
    x = torch.linspace(-5, 5, POINTS, dtype=torch.float64, requires_grad=True)
    note = ""
    if name == "softmax":  # the one that is not elementwise
        y = torch.stack([function(scores)[0] for scores in torch.stack([x, 0 * x, 0 * x], dim=1)])
        note = "The first of three probabilities, for the scores (x, 0, 0)."
    else:
        y = function(x)
    value = Curve("f(x)", "x", x.tolist(), y.tolist())
    try:
        y.sum().backward()  # type: ignore[no-untyped-call]
    except InputError as error:
        return Plot((value,), f"No derivative: {error}.")
    return Plot((value, Curve("f'(x)", "x", x.tolist(), _gradient(x))), note)


@dataclass(frozen=True)
class _Question:
    """How a loss is asked: x → (prediction, target), one sample for each x."""

    letter: str
    across: str
    note: str
    low: float
    high: float
    sample: Callable[[Tensor], tuple[Tensor, Tensor]]


def _yes(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, None], torch.ones(len(x), 1, dtype=x.dtype)


def _first_class(x: Tensor) -> tuple[Tensor, Tensor]:
    return _scores(x), torch.zeros(len(x), dtype=torch.long)


def _scores(x: Tensor) -> Tensor:
    return torch.stack([x, torch.zeros_like(x)], dim=1)  # (N, 2)


def _share(first: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    return lambda x: (_scores(x), torch.tensor([[first, 1 - first]], dtype=x.dtype).expand(len(x), 2))


def _angle(x: Tensor) -> tuple[Tensor, Tensor]:
    east = torch.tensor([[1.0, 0.0]], dtype=x.dtype).expand(len(x), 2)
    return torch.stack([x.cos(), x.sin()], dim=1), east


def _sequence(x: Tensor) -> tuple[Tensor, Tensor]:
    steps = torch.stack([torch.zeros_like(x), x], dim=1).unsqueeze(1).expand(len(x), 3, 2)
    return steps, torch.ones(len(x), 1, dtype=torch.long)


_NUMBER = _Question("ŷ", "prediction ŷ", "The target is y = 1.", -3, 5, lambda x: (x, torch.ones_like(x)))
_LOGIT = _Question("z", "logit z", "The truth is yes (y = 1).", -5, 5, _yes)
_MARGIN = _Question("m", "margin m", "The truth is yes, so the margin is the score z.", -3, 3, _yes)
_OF_TWO = "score z of the true class"
QUESTIONS = {
    **dict.fromkeys(("mse", "half_mse", "mae", "mape", "huber", "pseudo_huber", "log_cosh", "quantile"), _NUMBER),
    **dict.fromkeys(("binary_cross_entropy", "focal"), _LOGIT),
    **dict.fromkeys(("hinge", "squared_hinge", "exponential", "perceptron"), _MARGIN),
    "sparse_categorical_cross_entropy": _Question(
        "z", _OF_TWO, "Two classes; the score of the other is 0.", -5, 5, _first_class
    ),
    "categorical_cross_entropy": _Question(
        "z", _OF_TWO, "Two classes, target (1, 0); the score of the other is 0.", -5, 5, _share(1.0)
    ),
    **dict.fromkeys(
        ("dice", "dice_cross_entropy"),
        _Question("z", _OF_TWO, "A mask of one pixel, two classes; the score of the other is 0.", -5, 5, _first_class),
    ),
    "kl_divergence": _Question(
        "z",
        "score z of the first class",
        "Two classes, target (0.8, 0.2), met at z = ln 4; the score of the other is 0.",
        -5,
        5,
        _share(0.8),
    ),
    "cosine_similarity": _Question(
        "φ", "angle φ from y to ŷ in radians", "Vectors in the plane.", -torch.pi, torch.pi, _angle
    ),
    "ctc": _Question(
        "z", "logit z of the label", "One label in three time steps; the blank's logit is 0.", -5, 5, _sequence
    ),
}


def loss(name: str, options: Mapping[str, Any]) -> Plot:
    """The loss of one sample and its derivative, over the prediction for a fixed target."""
    if not options.get("from_logits", True):
        raise InputError("losses are drawn over logits; leave from_logits at True")
    function = LOSSES.create(name, **{**options, "reduction": "none"}).double()
    question = QUESTIONS[name]
    x = torch.linspace(question.low, question.high, POINTS, dtype=torch.float64, requires_grad=True)
    losses = function(*question.sample(x)).flatten()
    losses.sum().backward()
    return Plot(
        (
            Curve("loss l", question.across, x.tolist(), losses.tolist()),
            Curve(f"∂l/∂{question.letter}", question.across, x.tolist(), _gradient(x)),
        ),
        question.note,
    )


def _gradient(x: Tensor) -> list[float]:
    assert x.grad is not None
    return x.grad.tolist()
