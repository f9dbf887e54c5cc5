"""The plain records that travel between rooms. Nothing here computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

TaskKind = Literal["binary", "multiclass", "multilabel", "regression"]


@dataclass(frozen=True)
class Batch:
    """What one training step sees. `inputs` is what the forward takes: a tensor, or a tuple or dict of them."""

    inputs: Any
    targets: Any = None
    weights: Tensor | None = None  # (N,): how much each sample counts in the loss

    def __len__(self) -> int:
        first = self.inputs
        while not hasattr(first, "shape"):
            first = next(iter(first.values() if isinstance(first, dict) else first))
        return int(first.shape[0])


@dataclass(frozen=True)
class Task:
    """What is to be predicted: its kind, how many numbers the network must give, and what they are called."""

    kind: TaskKind
    outputs: int
    names: tuple[str, ...]  # of the target columns
    classes: tuple[str, ...] = ()  # binary, multiclass: in the order of the class indices; multilabel: the labels
    why: str = ""


@dataclass(frozen=True)
class Choice:
    """One thing that was chosen, and why (or that the user asked for it)."""

    what: str
    chosen: str
    why: str


@dataclass(frozen=True)
class Layer:
    """One row of a network's table: shapes are without the batch axis."""

    name: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: int
    arithmetic: str = ""  # how the output size comes about: "(32 + 2·0 − 5)/1 + 1 = 28"
