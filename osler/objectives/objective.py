"""What is learned: an objective turns (model, batch) into losses, and says what people want to see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from osler.records import Batch

if TYPE_CHECKING:
    from torchmetrics import Metric


class Outcome(NamedTuple):
    """What a turn gives: the loss to follow downhill (a scalar), and the network's outputs for the metrics."""

    loss: Tensor
    outputs: Any = None


@dataclass(frozen=True)
class Turn:
    """One loss of a step and the parameters that follow its gradient.

    Most objectives take a single, nameless turn. Players with losses of their own (generator and discriminator, actor
    and critic) take one turn each, in order, and each has an optimizer of its own; metrics are measured on the outputs
    of the last one.

    `count` of (outputs, batch) is what the loss's mean divides by, needed where that is not the number of samples: when
    a batch is worked on in parts or by several processes, each part counts that much.
    """

    loss: Callable[[nn.Module, Batch], Outcome]
    parameters: Callable[[nn.Module], Iterable[nn.Parameter]]
    name: str = ""
    count: Callable[[Any, Batch], float | Tensor] | None = None


@runtime_checkable
class Objective(Protocol):
    """What the trainer needs to know; it knows nothing else of the task."""

    def turns(self) -> Sequence[Turn]:
        """The turns of one training step, at least one."""
        ...

    def evaluate(self, model: nn.Module, batch: Batch) -> Outcome:
        """Loss and outputs on a batch that is only looked at."""
        ...

    def metrics(self) -> Mapping[str, Metric]:
        """New metrics by name; their update takes what `measured` gives."""
        ...

    def measured(self, outputs: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """(predictions, targets) of a batch as the metrics take them; detached, no synchronisation."""
        ...

    def check(self, model: nn.Module, batch: Batch) -> None:
        """Raises InputError when the model's outputs don't fit this objective; called once, before training."""
        ...


def forward(model: nn.Module, inputs: Any) -> Any:
    """The model applied to a tensor, to several (tuple), or to named ones (dict)."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)
