"""Metrics that torchmetrics has not, or not in constant memory. Importing this imports torchmetrics: do it late.

All of them add up counts and sums over batches; nothing waits for the device before `compute`.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric

from osler.records import TaskKind

# Sums whose differences matter need double precision, which Apple's devices lack.
PRECISE = torch.float32 if torch.backends.mps.is_available() else torch.float64


def _columns(kind: TaskKind, probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(N, labels) probabilities and 0/1 targets: a yes-or-no question per column, a class against the rest."""
    if kind == "multiclass":
        return probabilities, functional.one_hot(targets.long(), probabilities.shape[-1])
    labels = probabilities.shape[-1] if kind == "multilabel" else 1
    return probabilities.reshape(-1, labels), targets.reshape(-1, labels).long()


def reading(metric: Any, texts: Callable[[Tensor], list[str]]) -> Metric:
    """A metric of texts that takes tensors, and reads them first."""

    class Reading(type(metric)):  # type: ignore[misc]
        def update(self, predictions: Tensor, targets: Tensor) -> None:
            super().update(texts(predictions), texts(targets))

    return Reading()


class RankingArea(Metric):  # type: ignore[misc]
    """Area under the ROC or the precision-recall curve, from counts of positives and negatives by probability.

    Half of the thresholds lie evenly in probability and half evenly in its logit, so that both undecided and very sure
    networks are resolved.
    """

    full_state_update = False
    counts: Tensor  # (labels, bins, 2): negatives and positives

    def __init__(self, kind: TaskKind, outputs: int, area: Literal["roc", "pr"], thresholds: int) -> None:
        super().__init__()
        self.kind = kind
        self.area = area
        # In double precision first: single precision's sigmoid has not all the numbers just below 1.
        even = torch.linspace(0, 1, thresholds - thresholds // 2, dtype=torch.float64)
        sure = torch.linspace(-17, 17, thresholds // 2, dtype=torch.float64).sigmoid()
        edges = torch.cat([even, sure]).sort().values.float()
        self.register_buffer("edges", edges, persistent=False)
        labels = 1 if kind == "binary" else outputs
        self.add_state("counts", torch.zeros(labels, thresholds + 1, 2, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        probabilities, targets = _columns(self.kind, probabilities, targets)
        bins = torch.bucketize(probabilities.float().contiguous(), self.edges, right=True)
        labels = torch.arange(bins.shape[1], device=bins.device)
        places = (labels * self.counts.shape[1] + bins) * 2 + targets  # (N, labels), into the flattened counts
        new = torch.zeros_like(self.counts)
        new.view(-1).index_add_(0, places.flatten(), new.new_ones(1).expand(places.numel()))
        self.counts = self.counts + new

    def compute(self) -> Tensor:
        negatives, positives = self.counts.to(PRECISE).flip(1).unbind(-1)  # (labels, bins), the surest first
        negatives_above, positives_above = negatives.cumsum(1), positives.cumsum(1)
        all_negatives, all_positives = negatives_above[:, -1], positives_above[:, -1]
        if self.area == "roc":
            # The chance that a positive is ranked above a negative; in the same bin it is one half.
            pairs = (negatives * (positives_above - positives / 2)).sum(1)
            areas = pairs / (all_negatives * all_positives)
        else:
            precision = positives_above / (positives_above + negatives_above).clamp(min=1)
            areas = (positives * precision).sum(1) / all_positives
            areas = areas.where(all_negatives > 0, torch.nan)
        return areas.nanmean().float()  # 0/0 for a label that has one value only


class BalancedAccuracy(Metric):  # type: ignore[misc]
    """The mean over the classes that occur of the part of each that is recognised."""

    full_state_update = False
    right: Tensor  # (classes,)
    seen: Tensor  # (classes,)

    def __init__(self, kind: TaskKind, outputs: int, threshold: float) -> None:
        super().__init__()
        self.kind = kind
        self.threshold = threshold
        classes = 2 if kind == "binary" else outputs
        for name in ("right", "seen"):
            self.add_state(name, torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        targets = targets.flatten().long()
        if self.kind == "binary":
            guesses = (probabilities.flatten() > self.threshold).long()
        else:
            guesses = probabilities.argmax(-1)
        nothing = torch.zeros_like(self.seen)
        self.right = self.right + nothing.index_add(0, targets, (guesses == targets).long())
        self.seen = self.seen + nothing.index_add(0, targets, torch.ones_like(targets))

    def compute(self) -> Tensor:
        return (self.right / self.seen).nanmean()


class Overlap(Metric):  # type: ignore[misc]
    """Agreement of predicted and true classes of pixels, from a table of counts; what is no class does not count."""

    full_state_update = False
    counts: Tensor  # (classes² + 1,): a true class after the other, its predictions; last what is no class

    def __init__(self, classes: int, what: Literal["accuracy", "iou", "dice"]) -> None:
        super().__init__()
        self.classes = classes
        self.what = what
        self.add_state("counts", torch.zeros(classes**2 + 1, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        known = (targets >= 0) & (targets < self.classes)
        places = torch.where(known, targets * self.classes + predictions, self.classes**2).flatten()
        self.counts = self.counts + torch.zeros_like(self.counts).index_add_(0, places, torch.ones_like(places))

    def compute(self) -> Tensor:
        table = self.counts[:-1].reshape(self.classes, self.classes).to(PRECISE)
        both, true, predicted = table.diagonal(), table.sum(1), table.sum(0)
        if self.what == "accuracy":
            return (both.sum() / table.sum()).float()
        areas = true + predicted
        overlap = both / (areas - both) if self.what == "iou" else 2 * both / areas
        return overlap.nanmean().float()  # 0/0 for a class that neither occurs nor is predicted


class CalibrationError(Metric):  # type: ignore[misc]
    """Expected calibration error: how far, on average, the probabilities are from the frequencies."""

    full_state_update = False
    samples: Tensor  # (bins,)
    confidence: Tensor  # (bins,): summed
    hits: Tensor  # (bins,)

    def __init__(self, kind: TaskKind, bins: int) -> None:
        super().__init__()
        self.kind = kind
        self.bins = bins
        for name in ("samples", "confidence", "hits"):
            self.add_state(name, torch.zeros(bins, dtype=PRECISE), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        if self.kind == "multiclass":
            confidence, guesses = probabilities.max(-1)
            hits = guesses == targets
        else:
            confidence, hits = probabilities.flatten(), targets.flatten()
        bins = (confidence * self.bins).long().clamp(0, self.bins - 1)
        nothing = torch.zeros_like(self.samples)
        self.samples = self.samples + nothing.index_add(0, bins, torch.ones_like(hits, dtype=nothing.dtype))
        self.confidence = self.confidence + nothing.index_add(0, bins, confidence.to(nothing.dtype))
        self.hits = self.hits + nothing.index_add(0, bins, hits.to(nothing.dtype))

    def compute(self) -> Tensor:
        return ((self.hits - self.confidence).abs().sum() / self.samples.sum()).float()


class R2(Metric):  # type: ignore[misc]
    """Coefficient of determination, averaged over the outputs."""

    full_state_update = False
    samples: Tensor
    total: Tensor  # (outputs,): Σy
    squares: Tensor  # (outputs,): Σy²
    residual: Tensor  # (outputs,): Σ(y − ŷ)²

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.add_state("samples", torch.zeros((), dtype=PRECISE), dist_reduce_fx="sum")
        for name in ("total", "squares", "residual"):
            self.add_state(name, torch.zeros(outputs, dtype=PRECISE), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        predictions = predictions.reshape(-1, self.outputs).to(PRECISE)
        targets = targets.reshape(-1, self.outputs).to(PRECISE)
        self.samples = self.samples + len(targets)
        self.total = self.total + targets.sum(0)
        self.squares = self.squares + targets.square().sum(0)
        self.residual = self.residual + (targets - predictions).square().sum(0)

    def compute(self) -> Tensor:
        spread = self.squares - self.total.square() / self.samples
        # Below this the difference is rounding: the targets are constant.
        constant = spread <= 1000 * torch.finfo(PRECISE).eps * self.squares
        score = 1 - self.residual / spread.where(~constant, 1)
        for_constant = (self.residual == 0).to(score.dtype)
        return torch.where(constant, for_constant, score).mean().where(self.samples > 1, torch.nan).float()


class Perplexity(Metric):  # type: ignore[misc]
    """Exponential of the mean cross-entropy of the tokens."""

    full_state_update = False
    entropy: Tensor
    tokens: Tensor

    def __init__(self, ignore_index: int) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.add_state("entropy", torch.zeros((), dtype=PRECISE), dist_reduce_fx="sum")
        self.add_state("tokens", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        logits, targets = logits.reshape(-1, logits.shape[-1]).float(), targets.flatten()
        entropy = functional.cross_entropy(logits, targets, ignore_index=self.ignore_index, reduction="sum")
        self.entropy = self.entropy + entropy.to(PRECISE)
        self.tokens = self.tokens + (targets != self.ignore_index).sum()

    def compute(self) -> Tensor:
        return (self.entropy / self.tokens).exp().float()


class BitsPerCharacter(Perplexity):
    """Mean cross-entropy of the tokens in bits, over the characters that a token has."""

    def __init__(self, density: float, ignore_index: int) -> None:
        super().__init__(ignore_index)
        self.density = density

    def compute(self) -> Tensor:
        return (self.entropy / self.tokens / math.log(2) / self.density).float()


class TokenAccuracy(Metric):  # type: ignore[misc]
    """The part of the tokens (not 0) whose logit is the largest."""

    full_state_update = False
    right: Tensor
    tokens: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("right", "tokens"):
            self.add_state(name, torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        counts = targets != 0
        self.right = self.right + ((logits.argmax(dim=-1) == targets) & counts).sum()
        self.tokens = self.tokens + counts.sum()

    def compute(self) -> Tensor:
        return self.right / self.tokens
