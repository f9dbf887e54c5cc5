"""Losses between a map of scores and a mask: a class for every pixel."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from osler.nn.classification_losses import fitting
from osler.nn.loss import Loss, class_indices, numbers, reduced

VOID = 255  # what masks hold where nothing is known, since PASCAL VOC


class Dice(Loss):
    """One minus the overlap of probabilities and mask, the mean over the classes that the mask holds.

    Formula: l = 1 − mean_c 2Σp_c y_c / (Σp_c + Σy_c), sums over the known pixels of one sample, p = softmax(z).
    Shapes: prediction (N, C, …) logits, target integers (N, …); weight (N,). The single losses are of samples (N,).
    Options: pixels whose target is `ignore_index` (default 255) don't count.
    Use: segmentation with classes of very different size, beside cross-entropy: a small class counts like a large one.
    Source: Milletari, Navab and Ahmadi, "V-Net", 2016; without its squares as in Drozdzal et al., "The importance of
    skip connections in biomedical image segmentation", 2016.

        >>> Dice()(torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]]) * 9, torch.tensor([[0, 1]]))
        tensor(0.)
    """

    def __init__(self, ignore_index: int = VOID, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.ignore_index = ignore_index

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return prediction, class_indices(prediction, target)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        n, classes = prediction.shape[:2]
        target = target.reshape(n, -1)  # (N, pixels)
        known = target != self.ignore_index
        probabilities = prediction.softmax(1).reshape(n, classes, -1) * known.unsqueeze(1)  # (N, C, pixels)
        truth = target.where(known, 0).unsqueeze(1)
        both = torch.zeros_like(probabilities[:, :, 0])
        # Σp_c y_c: the probability of each pixel's true class, summed by class; no one-hot mask is made.
        both = both.scatter_add(1, truth.squeeze(1), probabilities.gather(1, truth).squeeze(1))
        true = torch.zeros_like(both).scatter_add(1, truth.squeeze(1), known.to(both.dtype))
        overlap = 2 * both / (probabilities.sum(2) + true).clamp(min=1e-12)
        there = true > 0
        return reduced(1 - (overlap * there).sum(1) / there.sum(1).clamp(min=1), reduction)


class DiceCrossEntropy(Loss):
    """Cross-entropy of every pixel plus the Dice loss: steep from the beginning, and fair to small classes.

    Formula: l = −mean ln softmax(z)_y + Dice, means over the known pixels of one sample.
    Shapes: prediction (N, C, …) logits, target integers (N, …); weight (N,). The single losses are of samples (N,).
    Options: `class_weights` (C numbers) weigh the cross-entropy's pixels; `label_smoothing` as in
    `sparse_categorical_cross_entropy`; pixels whose target is `ignore_index` (default 255) don't count.
    Use: segmentation, the usual case; the network ends without a softmax.
    Source: Isensee et al., "nnU-Net: a self-configuring method for biomedical image segmentation", 2021.

        >>> round(DiceCrossEntropy()(torch.zeros(1, 2, 4), torch.tensor([[0, 0, 1, 255]])).item(), 4)
        1.2074
    """

    class_weights: Tensor | None

    def __init__(
        self,
        class_weights: Any = None,
        label_smoothing: float = 0.0,
        ignore_index: int = VOID,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("class_weights", numbers("class_weights", class_weights))
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index
        self.dice = Dice(ignore_index)

    def checked(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        return prediction, class_indices(prediction, target)

    def compute(self, prediction: Tensor, target: Tensor, reduction: str) -> Tensor:
        n, weights = len(prediction), fitting(self.class_weights, prediction)
        losses = F.cross_entropy(
            prediction,
            target,
            weight=weights,
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        known = target != self.ignore_index
        counts = known.to(losses.dtype) if weights is None else weights[target.where(known, 0)] * known
        entropy = losses.reshape(n, -1).sum(1) / counts.reshape(n, -1).sum(1).clamp(min=1e-12)
        return reduced(entropy + self.dice.compute(prediction, target, "none"), reduction)
