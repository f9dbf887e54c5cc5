"""The plain records that travel between rooms. Nothing here computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

TaskKind = Literal[
    "binary",
    "multiclass",
    "multilabel",
    "regression",
    "segmentation",
    "transcription",
    "forecasting",
    "language",
    "translation",
]


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
    """What is to be predicted: its kind, how many numbers the network gives (at a place), and what they are called."""

    kind: TaskKind
    outputs: int
    names: tuple[str, ...]  # of the target columns
    classes: tuple[str, ...] = ()  # in the order of the class indices; multilabel: the labels; of texts: characters
    why: str = ""
    values: tuple[int, ...] = ()  # segmentation: the number that stands for each class in a mask


@dataclass(frozen=True)
class Choice:
    """One thing that was chosen, and why (or that the user asked for it)."""

    what: str
    chosen: str
    why: str


@dataclass(frozen=True)
class Window:
    """What a convolution or a pool slides over its input: a number per axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and after
    dilation: tuple[int, ...]
    groups: int = 1
    border: str = "zeros"  # what is put around


@dataclass(frozen=True)
class Layer:
    """One row of a network's table: shapes are without the batch axis."""

    name: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: int
    arithmetic: str = ""  # how the output size comes about: "(32 + 2·0 − 5)/1 + 1 = 28"
    window: Window | None = None
    multiply_adds: int | None = 0  # of matrix products and convolutions, for one sample; None: not known
    # Pixels of the input that one place of the output depends on, per axis; None: all there are; (): not known.
    receptive_field: tuple[int | None, ...] = ()
    jump: tuple[float, ...] = ()  # pixels of the input from one place of the output to the next


Severity = Literal["critical", "warning", "hint"]


@dataclass(frozen=True)
class Cure:
    """A remedy as code: what to write instead, and the function that does it where living objects can be changed."""

    title: str  # one imperative sentence
    lines: tuple[str, ...] = ()  # of a diff: "- old", "+ new"
    settings: Mapping[str, Any] = field(default_factory=dict)  # of a recipe: {"optimizer.lr": 0.001}
    action: Callable[[Any], None] | None = field(default=None, repr=False, compare=False)

    def patch(self) -> str:
        """The lines to change, as a diff."""
        return "\n".join(self.lines)

    def apply(self, program: Any) -> bool:
        """Cures `program` (with attributes model, optimizer and loss) in place; False when only its author can."""
        if self.action is None:
            return False
        self.action(program)
        return True


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training program, the numbers that prove it, and what to do about it."""

    ailment: str  # an identifier of the catalogue: "double-softmax"
    severity: Severity
    explanation: str  # one plain sentence
    where: tuple[str, ...] = ()  # names of modules
    evidence: Mapping[str, Any] = field(default_factory=dict)  # what was measured
    healthy: Mapping[str, str] = field(default_factory=dict)  # the healthy range of the same measure
    lines: tuple[str, ...] = ()  # file:line of the user's code
    why: str = ""  # a sentence for students
    cures: tuple[Cure, ...] = ()
    because: str = ""  # the ailment that this one is a consequence of

    @property
    def link(self) -> str:
        """The page of the documentation about the ailment."""
        return f"docs/ailments/{self.ailment}.md"


@dataclass(frozen=True)
class Trial:
    """A cure that was tried: the run before it and the run with it, judged on the validation part."""

    ailment: str
    title: str  # of the cure
    settings: Mapping[str, Any]  # of the recipe: {"optimizer.lr": 0.001}; None: left to the advice
    measure: str  # "accuracy"
    before: float
    after: float
    kept: bool
    seconds: float


@dataclass(frozen=True)
class Sanity:
    """How alike a method's maps stay when a network's weights are randomised, layer after layer from the top."""

    layers: tuple[str, ...]  # the last one randomised at each stage
    correlations: tuple[float, ...]  # rank correlation with the maps before, at each stage
    trusted: bool
    verdict: str  # one plain sentence


@dataclass(frozen=True)
class Attribution:
    """How much each input counted for one score of a network, for each sample."""

    values: Any = field(repr=False)  # like the inputs: a tensor (N, …), or a tuple or dict of them
    method: str
    target: tuple[int, ...]  # the explained score of each sample
    scores: Tensor = field(repr=False)  # (N, K): all that the network gives
    explained: Tensor = field(repr=False)  # (N,): the explained score
    baseline: Any = field(repr=False)  # like the inputs: what "nothing" is
    gap: Tensor | None = None  # (N,): sum of the values − (score − score of the baseline); None: not promised
    complete: bool | None = None  # within 0.1 % of the values' sizes, and within 0.001
    layer: str = ""  # whose maps were used
    sanity: Sanity | None = None
