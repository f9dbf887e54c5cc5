"""Translation: a sequence of tokens becomes another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from osler.errors import InputError
from osler.metrics.tasks import default_metrics
from osler.nn.classification_losses import SparseCategoricalCrossEntropy
from osler.objectives.tokens import PADDING, NextTokens
from osler.records import Task


class Translation(NextTokens):
    """The network takes (source (N, S), what is given of the target (N, T)) and gives logits (N, T, V) for what comes.

    What is given begins with the token of the beginning; the targets are the same tokens one place earlier, and end
    with that of the end (teacher forcing). Everything is filled up with 0, which counts nowhere.

    >>> objective = Translation.of(90)
    >>> objective.loss(torch.zeros(1, 2, 90), torch.tensor([[7, 3, 0]]))  # ln 90
    tensor(4.4998)
    """

    @classmethod
    def of(
        cls, vocabulary: int, criterion: nn.Module | None = None, metrics: Sequence[str] | None = None
    ) -> Translation:
        """A target vocabulary of so many tokens; by default with cross-entropy and the usual metrics."""
        if vocabulary < 4:
            raise InputError(f"a target vocabulary has 4 tokens or more, but got {vocabulary!r}")
        criterion = criterion or SparseCategoricalCrossEntropy(ignore_index=PADDING)
        names = default_metrics("translation") if metrics is None else metrics
        return cls(Task("translation", vocabulary, ("translation",)), criterion, names)

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        """`prediction`: what is likeliest at each place, given the true tokens before it."""
        return {"prediction": [self.in_words(row) for row in outputs.argmax(dim=2)]}
