"""The evidence on which the checks judge: plain numbers, gathered before, during and after training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from osler.doctor.graph import Graph, Op
from osler.doctor.history import History

ADAMS = ("adam", "radam", "nadam", "rmsprop", "adagrad", "adadelta", "lion", "adafactor", "lamb", "ftrl")


@dataclass
class Parameter:
    """One tensor of weights, as it was before training."""

    name: str
    module: str
    kind: str  # of its module: "Linear"
    shape: tuple[int, ...]
    trainable: bool
    optimized: bool
    fan_in: int = 0
    mean: float = 0.0
    std: float = 0.0
    alike: float = 0.0  # share of its units that equal another one of them
    spectral: float = 0.0  # largest singular value, of recurrent weights only
    half: bool = False
    gradient: float | None = None  # norm after one backward; None when the loss doesn't depend on it
    gradient_alike: float = 0.0
    flipped: bool = False  # (inputs, units) instead of (units, inputs)

    @property
    def is_weight(self) -> bool:
        return len(self.shape) >= 2 and self.fan_in > 0

    @property
    def units(self) -> int:
        return self.shape[1] if self.flipped else self.shape[0]


@dataclass
class Layer:
    """One module that behaves differently in training, or that a check asks for by its properties."""

    name: str
    kind: str
    p: float = 0.0  # of a dropout
    trainable: bool = True
    momentum: float | None = None
    width: int = 0


@dataclass
class Optimizer:
    """The hyperparameters of an optimizer."""

    kind: str
    rates: tuple[float, ...]
    momentum: float = 0.0
    weight_decay: float = 0.0
    epsilon: float | None = None
    strangers: int = 0  # tensors it holds that are not the model's
    tensors: int = 0

    @property
    def adaptive(self) -> bool:
        """Whether steps are scaled by the size of gradients."""
        return any(name in self.kind.lower() for name in ADAMS)

    @property
    def rate(self) -> float:
        return max(self.rates, default=0.0)


@dataclass
class Values:
    """What a tensor holds, in numbers."""

    shape: tuple[int, ...]
    low: float
    high: float
    mean: float
    std: float


@dataclass
class Loss:
    """How predictions and targets meet."""

    kind: str  # "categorical" | "binary" | "squared" | "absolute" | "other"
    takes: str  # "logits" | "log-probabilities" | "probabilities" | "values"
    name: str  # the operation: "cross_entropy", or "log" of a loss written by hand
    line: str = ""
    direct: bool = True  # predictions meet targets without another network between
    weighted: bool | None = None  # None: cannot be known
    prediction: int | None = None  # index of the operation that gives the predictions
    activation: str = ""  # the last operation on them that changes numbers
    activation_op: Op | None = None
    width: int = 0
    values: Values | None = None
    row_sums: tuple[float, float] | None = None  # smallest and largest sum over the class axis
    column_sums: tuple[float, float] | None = None  # over the batch axis
    broadcast: tuple[tuple[int, ...], tuple[int, ...]] | None = None  # shapes that differ and meet
    broadcast_line: str = ""
    mass: tuple[float, float] | None = None  # of log-probabilities: smallest and largest sum of exp over the class axis
    target: Values | None = None  # as it meets the predictions, whatever the loss has made of it
    target_shape: tuple[int, ...] = ()
    prediction_shape: tuple[int, ...] = ()
    steps: tuple[str, ...] = ()  # operations between the model's output and the place where it meets the target

    @property
    def classifies(self) -> bool:
        return self.kind in ("categorical", "binary")

    @property
    def regresses(self) -> bool:
        return self.kind in ("squared", "absolute")


@dataclass
class Target:
    """What is to be predicted."""

    kind: str  # "classes" | "one-hot" | "multilabel" | "real" | "reconstruction" | "tokens" | "none"
    shape: tuple[int, ...] = ()
    classes: int = 0  # different labels
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    std: float = 0.0
    whole: bool = False  # only whole numbers
    floating: bool = False
    counts: tuple[int, ...] = ()  # samples per class
    finite: bool = True
    constant: bool = False
    entropy: float = 0.0  # of the labels, in nats
    sorted_runs: float = 0.0  # how much of the label entropy neighbours in the file share: 1 when sorted


@dataclass
class Inputs:
    """What goes in."""

    shape: tuple[int, ...] = ()
    tensors: int = 1
    floating: bool = True
    finite: bool = True
    bad_values: int = 0
    first: Values | None = None  # what the first layer sees
    first_layer: str = ""
    normalised: bool = False  # a normalisation follows the first layer at once, or precedes it
    shifted: float = 0.0  # share of features whose mean is beyond three deviations
    spread: float = 1.0  # ratio of the largest to the median deviation of features, where the largest exceeds 10
    constant: int = 0
    features: int = 0
    copies_of_target: tuple[int, ...] = ()  # features that determine the target
    copy_strength: float = 0.0
    exact: tuple[int, float] = (
        -1,
        0.0,
    )  # a feature that lies on one straight line with the target, for a share of rows
    rest_score: float | None = None  # what the other features tell, by their nearest neighbours


@dataclass
class Reference:
    """What the nearest neighbours can tell: a learner without training, each sample judged by the others."""

    score: float  # accuracy, or R²
    chance: float
    spread: float  # deviation of the score by chance alone
    pure: float = 0.0  # share of unanimous votes
    mixing: float = 0.0  # how evenly contradicting labels spread over the classes, 0 to 1
    contradicted: float = 0.0  # share of labels against a vote of at least three quarters


@dataclass
class Split:
    """How the validation part relates to the training part."""

    unseen_classes: tuple[int, ...] = ()
    overlap: float = 0.0
    natural_overlap: float = 0.0  # repeated rows inside the training part
    joint_scaling: str = ""
    joint_gap: float = 0.0
    shift: float = 0.0  # of the means of the features, in deviations, median
    stretch: float = 1.0  # of their deviations, median


@dataclass
class Unit:
    """An activation inside the network, seen on real data."""

    module: str
    where: tuple[str, ...]
    name: str
    line: str
    dead: float = 0.0  # share of units that are zero for every sample
    saturated: float = 0.0
    still: bool = False  # the others do not vary either: what comes in is the same for every sample
    units: int = 0
    final: bool = False


@dataclass
class Trace:
    """All evidence about one program."""

    parameters: list[Parameter] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    optimizer: Optimizer | None = None
    has_loss: bool = False
    accumulation: int = 1
    graph: Graph | None = None
    evaluation: Graph | None = None
    loss: Loss | None = None
    target: Target = field(default_factory=lambda: Target("none"))
    inputs: Inputs = field(default_factory=Inputs)
    split: Split | None = None
    reference: Reference | None = None
    units: list[Unit] = field(default_factory=list)
    unregistered: list[tuple[str, str]] = field(default_factory=list)  # module, line of a weight nobody registers
    hidden: list[str] = field(default_factory=list)  # modules that keep others in a plain list or dict
    first_bad: Op | None = None  # the first operation whose result isn't finite though its operands are
    bad_share: float = 0.0
    burst: Op | None = None  # the first operation whose numbers are of another order than those of the inputs
    burst_size: float = 0.0  # how many times as large
    initial_loss: float | None = None
    chance_loss: float | None = None
    tiled_ratio: float | None = None
    eval_difference: float = 0.0
    leak: float = 0.0
    mixing: Op | None = None  # a change of shape that joins values of different samples
    cut: tuple[str, ...] = ()  # parameters that the loss reacts to, though it has no gradient for them
    unused_outputs: tuple[str, ...] = ()  # parameters that only outputs depend on which the loss leaves out
    copies_input: bool = False  # the target is the input, token by token
    sees_target: bool = False  # the target is the next token, and the model sees it
    changes_input: Op | None = None  # an operation in place on the input
    curvature: float | None = None
    penalty_ratio: float | None = None
    backward: bool = False  # whether gradients were computed
    zero_gradients: bool = False
    time_flow: float | None = None  # gradient of the first quarter of a sequence over that of the last
    pace: float = 0.0  # seconds a sample in a step of training
    workers_alike: bool = False  # those of the training loader draw the same numbers
    samples: int = 0
    whole: bool = False  # the model takes all rows at once, or none
    training_rows: int = 0
    failures: list[str] = field(default_factory=list)  # what could not be examined, and why
    history: History = field(default_factory=History)
    outcome: Any = None
