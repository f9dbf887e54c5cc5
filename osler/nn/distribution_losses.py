"""Losses between distributions, directions and sequences."""

import torch
import torch.nn.functional as F
from torch import Tensor

from osler.errors import InputError
from osler.nn.classification_losses import log_of
from osler.nn.loss import Loss, check_several_classes, reduced


class KLDivergence(Loss):
    """Kullback-Leibler divergence: how far the predicted distribution is from the target's, in nats.

    Formula: l = Σ_c y_c (ln y_c − ln softmax(z)_c) ≥ 0, and 0 only where they are equal.
    Shapes: prediction (N, C) or (N, C, …), logits z; target probabilities of the same shape, classes along axis 1;
    weight (N,). The mean is over distributions (torch's "batchmean"). `from_logits=False` takes probabilities
    instead, which is less exact near 0.
    Use: targets that are distributions themselves: distillation, soft labels, variational models.
    Source: Kullback and Leibler, "On information and sufficiency", 1951.

        >>> round(KLDivergence()(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 4)
        0.6931
    """

    def __init__(self, from_logits: bool = True, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.from_logits = from_logits

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        prediction, target = super().checked(prediction, target)
        check_several_classes(prediction)
        return prediction if self.from_logits else log_of(prediction), target

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        log_probabilities = F.log_softmax(prediction, dim=1)
        if reduction == "none":
            return F.kl_div(log_probabilities, target, reduction="none").sum(1)
        total = F.kl_div(log_probabilities, target, reduction="sum")
        return total if reduction == "sum" else total * (target.shape[1] / target.numel())


class CosineSimilarity(Loss):
    """One minus the cosine of the angle between two vectors: compares directions, not lengths.

    Formula: l = 1 − ŷ·y/(‖ŷ‖‖y‖), between 0 (same direction) and 2 (opposite); 1 where a vector is zero.
    Shapes: prediction and target (N, D) or (N, …, D), vectors along the last axis; weight (N,).
    Use: embeddings, where the direction carries the meaning and the length does not.
    Source: Salton, Wong and Yang, "A vector space model for automatic indexing", 1975.

        >>> east, north = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
        >>> CosineSimilarity()(east, north)
        tensor(1.)
    """

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        if prediction.ndim < 2:
            raise InputError(
                f"prediction has shape {tuple(prediction.shape)}; this loss needs vectors, (N, D) or (N, …, D)"
            )
        return super().checked(prediction, target)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        return reduced(1 - F.cosine_similarity(prediction, target, dim=-1), reduction)


class CTC(Loss):
    """Connectionist temporal classification: a sequence of labels whose places in time are unknown.

    Formula: l = −ln Σ_π Π_t softmax(z_t)_{π_t}, over all paths π that give the labels when repeats are merged and
    blanks removed.
    Shapes: prediction (N, T, C), logits; target (N, S), integers without the blank, filled up with the blank at the
    end. `prediction_lengths` and `target_lengths` (N,) say how much of each counts; without them it is all T steps,
    and the labels that aren't blank. weight (N,).
    The mean is over samples, each divided by its number of labels, as in torch. A sequence too short for its labels
    has an infinite loss; `zero_infinity=True` makes it 0 instead.
    Use: speech and handwriting, where the labels are known but not when each of them occurs.
    Source: Graves et al., "Connectionist temporal classification", 2006.

        >>> round(CTC()(torch.zeros(1, 2, 2), torch.tensor([[1]])).item(), 4)  # three of four paths: −ln ¾
        0.2877
    """

    def __init__(self, blank: int = 0, zero_infinity: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self,
        prediction: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        prediction_lengths: Tensor | None = None,
        target_lengths: Tensor | None = None,
    ) -> Tensor:
        if prediction.ndim != 3 or target.ndim != 2 or len(prediction) != len(target):
            raise InputError(
                f"prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; "
                "this loss needs logits (N, T, C) and labels (N, S)"
            )
        samples, steps, _ = prediction.shape
        if prediction_lengths is None:
            prediction_lengths = torch.full((samples,), steps, device=prediction.device)
        if target_lengths is None:
            target_lengths = (target != self.blank).sum(1)
        losses = F.ctc_loss(
            # In single precision at least: sums over many paths need it.
            F.log_softmax(prediction, dim=2, dtype=torch.promote_types(prediction.dtype, torch.float32)).transpose(
                0, 1
            ),
            target.long(),
            prediction_lengths,
            target_lengths,
            blank=self.blank,
            reduction="none",
            zero_infinity=self.zero_infinity,
        )
        if self.reduction == "mean":
            losses = losses / target_lengths.clamp(min=1)
        return self.weighted(losses, torch.ones_like(losses), weight)

    def divisor(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The number of sequences."""
        return torch.tensor(float(len(prediction)), device=prediction.device)
