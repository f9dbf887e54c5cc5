"""Rosenblatt's perceptron, and his learning rule with its proof of success or failure."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from osler.errors import InputError


class Perceptron(nn.Module):
    """One linear layer started at zero, whose scores are turned into decisions by their sign (or the largest).

    z = W·x + b, with x the flattened sample; the scores z are logits, the step of the original comes after them.

    Shapes: (N, *inputs) -> (N, outputs). Parameters: entries · outputs + outputs.
    Source: Rosenblatt, The perceptron: a probabilistic model for information storage and organization in the brain
    (1958). The "perceptron" loss, one sample at a time and a learning rate of 1, is its rule; so is `rosenblatt`.

        >>> Perceptron(inputs=(2,), outputs=1)(torch.ones(1, 2))
        tensor([[0.]], grad_fn=<AddmmBackward0>)
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int):
        super().__init__()
        self.linear = nn.Linear(math.prod(inputs), outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.linear(x.flatten(1))
        return scores


@dataclass(frozen=True)
class Learned:
    """How learning by Rosenblatt's rule went.

    `certificate` (N,), where the data are not linearly separable: multipliers λ ≥ 0 that sum to 1 in each class, such
    that Σλx over the one class is the same point as Σλx over the other. A line that separates the classes would have
    this point on both sides.
    """

    mistakes: int
    epochs: int
    converged: bool
    certificate: Tensor | None = None

    def __str__(self) -> str:
        effort = f"after {self.mistakes} mistakes in {self.epochs} epochs"
        if self.converged:
            return f"all samples are right {effort}"
        if self.certificate is None:
            return f"some samples are still wrong {effort}; more epochs may help"
        return (
            f"stopped {effort}: the classes are not linearly separable, so no perceptron can learn them; "
            "the weighted means of the two classes by `certificate` are the same point; use a hidden layer ('mlp')"
        )


@torch.no_grad()
def rosenblatt(model: Perceptron, x: Tensor, y: Tensor, epochs: int = 1000) -> Learned:
    """Trains a perceptron by Rosenblatt's rule, until all samples are right or it is proven that they never will be.

    The rule: for one sample after the other, if s(w·x + b) ≤ 0, then w ← w + s·x and b ← b + s; s is 1 for the class
    1 and −1 for the class 0. From zero weights it makes at most (R/γ)² mistakes, R the longest (x, 1) and γ the
    distance of the nearest (x, 1) to the best separating plane through 0 (Novikoff, On convergence proofs for
    perceptrons, 1962). After ten epochs with mistakes a linear program looks for the proof that no line separates the
    classes (Gordan's theorem, 1873).

    Shapes: x (N, *inputs), y (N,) or (N, 1) of 0 and 1. The model has one output; it learns from the weights it has.
    Raises InputError for other shapes, other targets and numbers that aren't finite.

        >>> x, y = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1, 0])
        >>> learned = rosenblatt(Perceptron(inputs=(2,), outputs=1), x, y)
        >>> learned.converged, learned.certificate
        (False, tensor([0.5000, 0.5000, 0.5000, 0.5000], dtype=torch.float64))
    """
    samples = _signed(model, x, y)
    weights = torch.cat([model.linear.weight[0], model.linear.bias]).double().cpu().numpy()
    mistakes, epoch, wrong, certificate = 0, 0, True, None
    while wrong and certificate is None and epoch < epochs:
        before = mistakes
        for sample in samples:
            if sample @ weights <= 0:
                weights += sample
                mistakes += 1
        epoch, wrong = epoch + 1, mistakes > before
        if wrong and epoch == min(10, epochs):
            certificate = _certificate(samples)
    model.linear.weight.copy_(torch.as_tensor(weights[:-1]).unsqueeze(0))
    model.linear.bias.copy_(torch.as_tensor(weights[-1:]))
    return Learned(mistakes, epoch, not wrong, certificate)


def _signed(model: Perceptron, x: Tensor, y: Tensor) -> np.ndarray:
    """All s·(x, 1), (N, entries + 1): their scores are to become positive."""
    if model.linear.out_features != 1:
        raise InputError(f"Rosenblatt's rule needs one output, but the model has {model.linear.out_features}")
    if y.shape not in ((len(x),), (len(x), 1)) or len(x) == 0:
        raise InputError(
            f"targets must have one number for each of the {len(x)} samples, but got shape {tuple(y.shape)}"
        )
    flat = x.flatten(1).double().cpu()
    if flat.shape[1] != model.linear.in_features:
        raise InputError(f"each sample has {flat.shape[1]} numbers, but the model takes {model.linear.in_features}")
    if not flat.isfinite().all():
        raise InputError("some inputs are not finite; leave those samples out or fill them")
    labels = y.reshape(-1).cpu()
    if not ((labels == 0) | (labels == 1)).all():
        raise InputError(f"targets must be 0 or 1, but got {sorted(set(labels.tolist()))[:5]}")
    samples = torch.cat([flat, torch.ones(len(flat), 1)], dim=1)
    signed: np.ndarray = (samples * (2 * labels.double() - 1).unsqueeze(1)).numpy()
    return signed


def _certificate(signed: np.ndarray) -> Tensor | None:
    """λ ≥ 0 with Σλ·s(x, 1) = 0 and Σλ = 2, so 1 in each class; None if there is none."""
    from scipy.optimize import linprog

    scaled = signed / np.maximum(np.abs(signed).max(axis=0), 1e-300)
    sums = np.vstack([scaled.T, np.ones(len(scaled))])
    solution = linprog(np.zeros(len(scaled)), A_eq=sums, b_eq=[0.0] * (len(sums) - 1) + [2.0], method="highs")
    if solution.status != 0:
        return None
    multipliers = np.maximum(solution.x, 0)
    # The solver works to 1e-7; a proof must hold to rounding.
    exact = np.abs(multipliers @ scaled).max() <= 1e-14 * len(scaled)
    return torch.from_numpy(multipliers) if exact else None
