"""What a program computes: its operations in order, each with what it was given and where in the code it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

# Where a tensor came from: the index of the operation that made it, or one of these words.
INPUT, TARGET, CONSTANT = "input", "target", "constant"
Source = int | str  # also "parameter:NAME", and "leaf" for a trainable tensor that the model does not register


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Change the shape or the type, never the numbers.
RESHAPING = words("""
    view reshape flatten squeeze unsqueeze transpose permute contiguous t T mT H swapaxes movedim moveaxis
    adjoint to float double half bfloat16 type type_as clone detach __getitem__ select narrow expand expand_as
    unflatten chunk split unbind identity cpu cuda requires_grad_ alias real data view_as reshape_as ravel
    numpy_T pad_packed_sequence pack_padded_sequence
    """)
# Linear in their first operand, unit by unit or averaging over positions: no non-linearity between two layers.
LINEAR = RESHAPING | words("""
    dropout alpha_dropout feature_dropout dropout1d dropout2d dropout3d feature_alpha_dropout batch_norm mean
    sum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d neg
    """)
AFFINE = frozenset(["linear", "conv1d", "conv2d", "conv3d", "bilinear", "addmm"])
TRANSPOSED = frozenset(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"])
RECURRENT = words("""
    lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell
    """)
NORMALISING = words("""
    batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm
    """)
BOUNDED = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softmax": (0.0, 1.0),
    "relu": (0.0, float("inf")),
    "hardsigmoid": (0.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
    "softplus": (0.0, float("inf")),
    "log_softmax": (float("-inf"), 0.0),
    "logsigmoid": (float("-inf"), 0.0),
}
DROPOUTS = words("""
    dropout alpha_dropout feature_dropout dropout1d dropout2d dropout3d feature_alpha_dropout
    """)


@dataclass(eq=False)
class Op:
    """One operation. Shapes are with the batch axis; `value` is held during the examination only."""

    index: int
    name: (
        str  # as torch calls it, without underscores: "softmax" for F.softmax, torch.softmax, x.softmax and nn.Softmax
    )
    module: str  # the module whose forward called it ("" is the model itself)
    line: str  # file:line of the user's code
    phase: str  # "forward" or "loss"
    inputs: tuple[Source, ...]
    shapes: tuple[tuple[int, ...], ...]  # of the inputs
    shape: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    value: Tensor | None = None
    operands: tuple[Tensor, ...] = ()
    in_place: bool = False

    @property
    def activation(self) -> str:
        """Its name, a clamp at zero being a ReLU."""
        floor = self.options.get("min", 0 if self.name == "threshold" else None)
        if self.name in ("clamp", "clamp_min", "threshold") and floor == 0 and self.options.get("max") is None:
            return "relu"
        return self.name


@dataclass
class Graph:
    """The operations of one forward pass and its loss, in the order of execution."""

    ops: list[Op] = field(default_factory=list)
    outputs: tuple[Source, ...] = ()  # of the model
    input_changed: bool = False  # by an operation in place
    broken: Op | None = None  # the operation that raised
    error: str = ""
    error_phase: str = ""

    def forward(self) -> Iterator[Op]:
        return (op for op in self.ops if op.phase == "forward")

    def losses(self) -> Iterator[Op]:
        return (op for op in self.ops if op.phase == "loss")

    def through(self, source: Source, skip: frozenset[str] = RESHAPING) -> Op | None:
        """The operation that a value comes from, those that `skip` names passed over; None when there is none."""
        while isinstance(source, int):
            op = self.ops[source]
            if op.name not in skip or not op.inputs:
                return op
            source = op.inputs[0]
        return None

    def root(self, source: Source, skip: frozenset[str] = RESHAPING) -> Source:
        """Where a value comes from, those operations passed over."""
        op = self.through(source, skip)
        if op is not None:
            return op.index
        while isinstance(source, int):
            source = self.ops[source].inputs[0]
        return source

    def ancestors(self, sources: Iterable[Source]) -> set[Source]:
        """Everything that the values depend on, themselves among it."""
        seen: set[Source] = set()
        todo = list(sources)
        while todo:
            source = todo.pop()
            if source in seen:
                continue
            seen.add(source)
            if isinstance(source, int):
                todo.extend(self.ops[source].inputs)
        return seen

    def layer_before(self, op: Op | None) -> Op | None:
        """The nearest operation with weights that an operation's value comes from (itself, when it has some)."""
        while op is not None:
            if op.name in AFFINE or op.name in TRANSPOSED or op.name in RECURRENT or op.name == "embedding":
                return op
            nearest = [source for source in op.inputs if isinstance(source, int)]
            op = self.ops[nearest[0]] if nearest else None
        return None

    def around(self, op: Op | None) -> tuple[str, ...]:
        """The names of the modules at an operation: the one that calls it, and the layer that feeds it."""
        if op is None:
            return ()
        layer = self.layer_before(op)
        return tuple(dict.fromkeys([op.module, *([layer.module] if layer else [])]))

    def forget_values(self) -> None:
        for op in self.ops:
            op.value, op.operands = None, ()


def as_layers(graph: Graph) -> None:
    """Calls a product with a matrix of weights what it is: a dense layer, however it was written (`x @ w`)."""
    for op in graph.forward():
        if op.name not in ("matmul", "addmm", "einsum") or len(op.inputs) < 2:
            continue
        at = 1 if op.name == "addmm" else 0
        if len(op.inputs) < at + 2:
            continue
        given, weight = op.inputs[at], op.inputs[at + 1]
        origin = graph.root(weight)
        if not (isinstance(origin, str) and origin.startswith("parameter:")) or len(op.shapes[at + 1]) != 2:
            continue
        if isinstance(graph.root(given), str) and str(graph.root(given)).startswith("parameter:"):
            continue
        inputs, units = op.shapes[at + 1]
        if op.name == "einsum" and op.shape[-1] != units:
            inputs, units = units, inputs
        op.operands = (op.operands[at], *op.operands[:at], *op.operands[at + 1 :])
        op.name, op.inputs, op.shapes = "linear", (given, origin), (op.shapes[at], (units, inputs))
