"""A token at every place of a sequence: what language models and translators share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional

from osler.errors import InputError
from osler.metrics.metrics import metric
from osler.objectives.objective import forward
from osler.objectives.supervised import NO_NUMBER_HERE, Supervised
from osler.records import Batch, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torchmetrics import Metric

PADDING = 0
Decode = Callable[[Sequence[int]], str]


def numbered(ids: Sequence[int]) -> str:
    """Ids as they are, where there is no vocabulary that says what they mean."""
    return " ".join(str(i) for i in ids if i != PADDING)


class NextTokens(Supervised):
    """The network gives logits (N, L, V); a target (N, L) holds token ids, and 0, the padding, where nothing counts.

    Targets may be longer than the outputs of a batch, whose padding was cut off. The loss is the mean over tokens, and
    so are the metrics. `decode` makes a text of ids, for people.
    """

    task: Task
    refused = frozenset(NO_NUMBER_HERE - {"perplexity", "bits_per_character"})

    def __init__(self, task: Task, criterion: nn.Module, metrics: Sequence[str] = (), decode: Decode = numbered):
        super().__init__(criterion, task, metrics)
        self.decode = decode

    def loss(self, outputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """In nats per token; with `weights` (N,) of the samples, the mean of the samples' losses."""
        if weights is not None:
            return (self.losses(outputs, targets) * weights).mean()
        self._move_to(outputs)
        loss: Tensor = self.criterion(outputs.flatten(0, 1), self.targets(targets, outputs).flatten())
        return loss

    def count(self, outputs: Any, batch: Batch) -> float | Tensor:
        """The tokens that count."""
        return len(batch) if batch.weights is not None else (batch.targets != PADDING).sum()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the tokens of each sample (N,)."""
        targets = self.targets(targets, outputs)
        flat = outputs.flatten(0, 1), targets.flatten()
        losses = functional.cross_entropy(*flat, ignore_index=PADDING, reduction="none").view_as(targets)
        return losses.sum(dim=1) / (targets != PADDING).sum(dim=1).clamp(min=1)

    def targets(self, targets: Tensor, outputs: Tensor) -> Tensor:
        return targets[:, : outputs.shape[1]].long()

    def metrics(self) -> Mapping[str, Metric]:
        return {name: metric(name, kind=self.task.kind, outputs=self.task.outputs) for name in self.metric_names}

    def measured(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (M, V) and ids (M,); of padding, too, which metrics leave out."""
        outputs = outputs.detach()
        return outputs.flatten(0, 1), self.targets(batch.targets, outputs).flatten()

    def told(self, outputs: Tensor, targets: Tensor) -> dict[str, NDArray[Any]]:
        """Token ids (N, L), those likeliest at each place given the true ones before, and their mean probability."""
        targets = self.targets(targets, outputs)
        counts = targets != PADDING
        probability, prediction = outputs.float().softmax(dim=2).max(dim=2)
        confidence = (probability * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=1)
        pair = {"target": targets, "prediction": prediction * counts, "confidence": confidence}
        return {key: value.cpu().numpy() for key, value in pair.items()}

    def in_words(self, value: Any) -> str:
        """The text."""
        return self.decode([int(i) for i in value])

    def check(self, model: nn.Module, batch: Batch) -> None:
        if batch.targets is None:
            raise InputError(
                "there are no targets to learn from: a batch is (tokens, next tokens), but got tokens only"
            )
        outputs = forward(model, batch.inputs)
        length = int((batch.targets != PADDING).any(dim=0).sum())
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        fits = isinstance(outputs, Tensor) and outputs.ndim == 3 and outputs.shape[1] >= length
        if not fits or (outputs.shape[0], outputs.shape[2]) != (len(batch), self.task.outputs):
            raise InputError(
                f"the network gives {got} for targets of shape {tuple(batch.targets.shape)}; it needs "
                f"{(len(batch), length, self.task.outputs)}: {self.wants()}"
            )

    def wants(self) -> str:
        return f"at every place a logit for each of the {self.task.outputs} tokens"
