"""Language modelling: the next token, from those before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from osler.errors import InputError
from osler.metrics.metrics import METRICS, metric
from osler.metrics.tasks import default_metrics
from osler.nn.classification_losses import SparseCategoricalCrossEntropy
from osler.objectives.tokens import PADDING, Decode, NextTokens, numbered
from osler.records import Task

if TYPE_CHECKING:
    from torchmetrics import Metric


class Language(NextTokens):
    """The network gives logits (N, L, V) for the token that comes after each of the tokens (N, L).

    The loss is in nats per token; metrics are perplexity, e^loss, and bits per character, for which `density` says how
    many characters a token has on average. The network must not look ahead.

    >>> objective = Language.of(65)
    >>> tokens = torch.tensor([[5, 17, 8, 3]])
    >>> objective.loss(torch.zeros(1, 3, 65), tokens[:, 1:])  # ln 65
    tensor(4.1744)
    """

    def __init__(
        self,
        task: Task,
        criterion: nn.Module,
        metrics: Sequence[str] = (),
        decode: Decode = numbered,
        density: float = 1.0,
    ):
        super().__init__(task, criterion, metrics, decode)
        if not 0 < density < math.inf:
            raise InputError(f"density, the characters of a token, is a number above 0, but got {density!r}")
        self.density = density

    @classmethod
    def of(cls, vocabulary: int, criterion: nn.Module | None = None, metrics: Sequence[str] | None = None) -> Language:
        """A vocabulary of so many tokens, 0 the padding; by default with cross-entropy and the usual metrics."""
        if vocabulary < 2:
            raise InputError(f"a language needs a vocabulary of at least two tokens, but got {vocabulary!r}")
        criterion = criterion or SparseCategoricalCrossEntropy(ignore_index=PADDING)
        names = default_metrics("language") if metrics is None else metrics
        return cls(Task("language", vocabulary, ("text",)), criterion, names)

    def metrics(self) -> Mapping[str, Metric]:
        made = dict(super().metrics())
        for name in made:
            if METRICS.resolve(name) == "bits_per_character":
                made[name] = metric(name, kind="language", density=self.density)
        return made

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        raise InputError("a language model goes on with a text: osler generate RUN --prompt '…'")
