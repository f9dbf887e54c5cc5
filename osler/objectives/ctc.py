"""Transcription: what is said, character by character, without knowing when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from osler.errors import InputError
from osler.metrics.tasks import default_metrics
from osler.nn.distribution_losses import CTC
from osler.objectives.objective import forward
from osler.objectives.supervised import Supervised
from osler.records import Batch, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torchmetrics import Metric

BLANK, UNKNOWN = "", "\ufffd"  # the first class and the last one


class Transcription(Supervised):
    """The network gives logits (N, T, C) over the blank (class 0), characters, and one class for unknown ones (last).

    Targets: class indices (N, S), filled up with 0. A path takes the likeliest class of every step; what it says is
    left when repeats are merged and blanks removed (greedy decoding: Graves et al., 2006). The unknown character is
    never said.

        >>> objective = Transcription.of("ab")
        >>> objective.texts(objective.path(torch.eye(4)[None, [0, 1, 1, 0, 1, 2]]))
        ['aab']
    """

    task: Task
    refused = frozenset({"confusion_matrix", "bleu", "perplexity", "bits_per_character"})

    def __init__(self, task: Task, criterion: nn.Module, metrics: Sequence[str] = ()):
        super().__init__(criterion, task, metrics)

    @classmethod
    def of(
        cls, characters: str | Sequence[str], criterion: nn.Module | None = None, metrics: Sequence[str] | None = None
    ) -> Transcription:
        """So many characters; by default with the CTC loss and the usual metrics."""
        classes = (BLANK, *characters, UNKNOWN)
        task = Task("transcription", len(classes), ("text",), classes)
        names = default_metrics("transcription") if metrics is None else metrics
        return cls(task, criterion or CTC(), names)

    def targets(self, targets: Tensor, outputs: Tensor) -> Tensor:
        return targets.long()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample, divided by the number of its characters, as the mean takes it."""
        return super().losses(outputs, targets) / (targets != 0).sum(1).clamp(min=1)

    def path(self, outputs: Tensor) -> Tensor:
        """The likeliest class of every step (N, T), with 0 where it says nothing new."""
        best = outputs[:, :, :-1].argmax(dim=2)
        again = torch.zeros_like(best, dtype=torch.bool)
        again[:, 1:] = best[:, 1:] == best[:, :-1]
        return best.masked_fill(again, 0)

    def texts(self, indices: Tensor) -> list[str]:
        """Class indices (N, …), without the blanks among them, as text."""
        return [self.in_words(row) for row in indices.cpu().numpy()]

    def metrics(self) -> Mapping[str, Metric]:
        from osler.metrics.streaming import reading

        return {name: reading(metric, self.texts) for name, metric in super().metrics().items()}

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.path(outputs.detach()), batch.targets

    def told(self, outputs: Tensor, targets: Tensor) -> dict[str, NDArray[Any]]:
        """Class indices (N, …), and how probable the path is, the geometric mean of its steps."""
        pair = {"target": targets, "prediction": self.path(outputs), "confidence": self._confidence(outputs)}
        return {key: value.cpu().numpy() for key, value in pair.items()}

    def _confidence(self, outputs: Tensor) -> Tensor:
        return outputs.float().log_softmax(dim=2).amax(dim=2).mean(dim=1).exp()

    def in_words(self, value: Any) -> str:
        """The text of class indices."""
        return "".join(self.task.classes[int(i)] for i in np.asarray(value)).strip()

    def columns(self, outputs: Tensor) -> dict[str, Any]:
        """`prediction`: the text; `probability`: of its path, the geometric mean of the steps."""
        return {"prediction": self.texts(self.path(outputs)), "probability": self._confidence(outputs).numpy()}

    def check(self, model: nn.Module, batch: Batch) -> None:
        if batch.targets is None:
            raise InputError("there are no texts to learn from: a batch is (recordings, texts), but got the first only")
        outputs = forward(model, batch.inputs)
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        if not isinstance(outputs, Tensor) or outputs.ndim != 3 or got[::2] != (len(batch), self.task.outputs):
            raise InputError(
                f"the network gives {got} for a batch of {len(batch)}; it needs ({len(batch)}, steps, "
                f"{self.task.outputs}): at every step a logit for each character, as conv_recurrent gives"
            )
        needed = int(steps_needed(batch.targets).max())
        if needed > outputs.shape[1]:
            raise InputError(
                f"the network gives {outputs.shape[1]} steps, but a text needs {needed}, one for each character and "
                "one between two that are the same: take a smaller features.hop or model.stride, or check the texts"
            )


def steps_needed(targets: Tensor) -> Tensor:
    """How many steps (N,) the shortest path of class indices (N, S) has."""
    twice = (targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != 0)
    return (targets != 0).sum(1) + twice.sum(1)
