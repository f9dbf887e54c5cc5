"""How predictions and targets meet in a traced loss: which loss it is, and what it wants to be given."""

from __future__ import annotations

import torch
from torch import Tensor

from osler.doctor.graph import AFFINE, INPUT, RECURRENT, RESHAPING, TARGET, TRANSPOSED, Graph, Op, Source, words
from osler.doctor.measure import values
from osler.doctor.trace import Loss

# Losses that torch has: the kind, and what they take.
KNOWN = {
    "cross_entropy": ("categorical", "logits"),
    "nll_loss": ("categorical", "log-probabilities"),
    "multi_margin_loss": ("categorical", "logits"),
    "binary_cross_entropy": ("binary", "probabilities"),
    "binary_cross_entropy_with_logits": ("binary", "logits"),
    "multilabel_soft_margin_loss": ("binary", "logits"),
    "soft_margin_loss": ("binary", "logits"),
    "mse_loss": ("squared", "values"),
    "l1_loss": ("absolute", "values"),
    "smooth_l1_loss": ("absolute", "values"),
    "huber_loss": ("absolute", "values"),
    "gaussian_nll_loss": ("other", "values"),
    "kl_div": ("other", "log-probabilities"),
}
# Between a prediction and a loss written by hand, these change nothing of importance.
SAFE_STEPS = RESHAPING | frozenset(["clamp", "clamp_min", "clamp_max"])
SHAPED = words("""
    sub mul add div pow abs maximum minimum where logaddexp atan2 hypot
    """)
AVERAGING = frozenset(["pow", "mul", "abs", "sum", "mean", "neg", "sqrt", "view", "reshape"])
TORCH_LOSSES = frozenset(["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])


def pairing(graph: Graph, rows: int) -> Loss | None:
    """The loss of a traced program; None where predictions and targets don't meet in it."""
    if graph.broken is not None and graph.broken.phase == "loss" and graph.broken.index < 0:
        graph.broken.index = len(graph.ops)
        graph.ops.append(graph.broken)
    meeting = _meeting(graph)
    if meeting is None:
        return None
    op, predicted, wanted = meeting
    if op.name in KNOWN:
        kind, takes = KNOWN[op.name]
        weighted: bool | None = op.options.get("weight") is not None or op.options.get("pos_weight") is not None
        if op.options.get("reduction") == "none":
            weighted = None
        found = Loss(kind, takes, op.name, op.line, weighted=weighted)
    else:
        found = _by_hand(graph, op, predicted)
    found.target_shape = _shape(graph, op, wanted)
    target = _given(op, wanted)
    found.target = None if target is None or not target.numel() else values(target)
    found.prediction_shape = _shape(graph, op, predicted)
    _describe(graph, found, predicted, rows)
    found.broadcast, found.broadcast_line = _broadcast(graph, op, predicted, wanted)
    return found


def _meeting(graph: Graph) -> tuple[Op, Source, Source] | None:
    """The first operation that takes both what comes from the target alone and what comes from the model.

    Of a loss with several terms it is that of a loss of torch's, where there is one: it says what it wants.
    """
    by_hand: tuple[Op, Source, Source] | None = None
    made_up: tuple[Op, Source, Source] | None = None  # the loss makes its targets itself; it still says what it wants
    kinds: dict[int, tuple[bool, bool]] = {}  # of an operation: depends on (the target, the model)
    made = {source for source in graph.outputs if isinstance(source, int)}

    def depends(source: Source) -> tuple[bool, bool]:
        if source == TARGET:
            return True, False
        return kinds.get(source, (False, False)) if isinstance(source, int) else (False, False)

    for op in graph.ops:
        given = [depends(s) for s in op.inputs]
        target, model = any(t for t, _ in given), any(m for _, m in given)
        if op.index in made or op.phase == "forward":
            model = True
        kinds[op.index] = target, model
        if op.phase == "loss" and model and len(op.inputs) > 1 and "prob" in KNOWN.get(op.name, ("", ""))[1]:
            made_up = made_up or (op, op.inputs[0], op.inputs[1])
        if not (target and model):
            continue
        both = [s for s, (t, m) in zip(op.inputs, given, strict=True) if m and not t]
        alone = [s for s, (t, m) in zip(op.inputs, given, strict=True) if t and not m]
        if both and alone and op.name not in ("cat", "stack", "__setitem__", "broadcast_tensors", "expand_as"):
            if op.name in KNOWN:
                return op, both[0], alone[0]
            by_hand = by_hand or (op, both[0], alone[0])
    return by_hand or made_up


def _by_hand(graph: Graph, op: Op, predicted: Source) -> Loss:
    """A loss written out in elementary operations, known by what happens to the prediction and to the difference."""
    steps = _chain(graph, predicted)
    names = {step.name for step in steps}
    all_names = {o.name for o in graph.losses()}
    log = next((step for step in steps if step.name in ("log", "log2", "log10", "xlogy")), None)
    if op.name == "xlogy":
        log = op
    if op.name in ("mul", "__getitem__", "gather", "einsum", "xlogy", "index_select", "matmul", "where"):
        if names & {"log_softmax", "logsumexp", "softmax"}:
            return Loss("categorical", "logits", "log_softmax", op.line)
        if names & {"logsigmoid", "softplus"}:
            return Loss("binary", "logits", "logsigmoid", op.line)
        if log is not None:
            normalised = "div" in names and "sum" in all_names
            kind = "binary" if _complement(graph) else "categorical"
            found = Loss(kind, "probabilities", log.name, log.line)
            found.name = "normalised log" if normalised else "log"
            return found
        if op.name == "gather" and "log" in all_names:
            return Loss("categorical", "probabilities", "log", op.line)
    if op.name == "sub":
        later = [o for o in graph.losses() if op.index in o.inputs]
        if any(o.name in ("pow", "mul", "norm", "linalg_vector_norm", "dist", "matmul") for o in later):
            return Loss("squared", "values", "squared difference", op.line)
        if any(o.name == "abs" for o in later):
            return Loss("absolute", "values", "absolute difference", op.line)
        return Loss("other", "values", "difference", op.line)
    return Loss("other", "values", op.name, op.line)


def _complement(graph: Graph) -> bool:
    """Whether the loss also takes the logarithm of 1 − p, as binary cross-entropy does."""
    for op in graph.losses():
        if op.name in ("log", "log1p"):
            before = graph.through(op.inputs[0], SAFE_STEPS) if op.inputs else None
            if op.name == "log1p" or (before is not None and before.name == "sub"):
                return True
            if before is not None and before.name == "add":
                earlier = graph.through(before.inputs[0], SAFE_STEPS)
                if earlier is not None and earlier.name == "sub":
                    return True
    return False


def _chain(graph: Graph, source: Source) -> list[Op]:
    """The operations of the loss between a prediction and the place where it meets the target."""
    steps: list[Op] = []
    made = set(graph.outputs)
    while isinstance(source, int) and source not in made:
        op = graph.ops[source]
        if op.phase == "forward":
            break
        steps.append(op)
        nearest = [s for s in op.inputs if isinstance(s, int)]
        if not nearest:
            break
        source = nearest[0]
    return steps


def _describe(graph: Graph, found: Loss, predicted: Source, rows: int) -> None:
    """The prediction: its last activation, its width, its numbers."""
    steps = _chain(graph, predicted)
    weighty = AFFINE | TRANSPOSED | RECURRENT
    found.direct = not any(step.name in weighty for step in steps)
    found.steps = tuple(step.name for step in steps)
    source: Source = steps[-1].inputs[0] if steps else predicted
    if steps:
        source = next((s for s in steps[-1].inputs if isinstance(s, int)), source)
    if not isinstance(source, int):
        return
    found.prediction = source
    last = _ending(graph, source)
    op = graph.ops[source]
    found.activation_op = last
    found.activation = last.activation if last is not None else ""
    # A softmax may stand between the model and its loss, in the loop of the user: it then shows in the values.
    at_loss = _operand(graph, predicted)
    tensor = op.value if op.value is not None else None
    if found.name in KNOWN and at_loss is not None:
        tensor = at_loss
        first = graph.through(predicted, RESHAPING)
        if first is not None and first.phase == "loss":
            found.activation_op, found.activation = first, first.activation
    if tensor is None:
        return
    tensor = tensor.detach()
    found.values = values(tensor)
    classes = 1 if tensor.dim() > 1 else 0
    found.width = tensor.shape[1] if tensor.dim() > 1 else 1
    if tensor.dim() > 1 and tensor.is_floating_point() and bool(torch.isfinite(tensor).all()):
        if found.takes == "log-probabilities":
            mass = tensor.float().exp().sum(classes)
            found.mass = float(mass.min()), float(mass.max())
        across = tensor.float().sum(classes)
        found.row_sums = float(across.min()), float(across.max())
        down = tensor.float().sum(0)
        found.column_sums = float(down.min()), float(down.max())
        if found.activation in ("div", "mul", "exp") and _is_distribution(found):
            found.activation = "softmax"


def _ending(graph: Graph, source: Source) -> Op | None:
    """The operation that a prediction comes from; where heads are put side by side, that which all of them end in."""
    last = graph.through(source, RESHAPING)
    if last is not None and last.name in ("cat", "concat", "concatenate", "stack", "hstack"):
        heads = [graph.through(s, RESHAPING) for s in last.inputs]
        if heads and len({head.activation if head else "" for head in heads}) == 1:
            return heads[0]
    return last


def _is_distribution(found: Loss) -> bool:
    assert found.values is not None
    sums = found.row_sums
    return bool(
        found.values.low >= 0 and sums and abs(sums[0] - 1) < 1e-4 and abs(sums[1] - 1) < 1e-4 and found.width > 1
    )


def _operand(graph: Graph, source: Source) -> Tensor | None:
    return graph.ops[source].value if isinstance(source, int) else None


def _given(op: Op, source: Source) -> Tensor | None:
    """The tensor that an operation was given from this source, while values are held."""
    return next((t for s, t in zip(op.inputs, op.operands, strict=False) if s == source), None)


def _shape(graph: Graph, op: Op, source: Source) -> tuple[int, ...]:
    for given, shape in zip(op.inputs, op.shapes, strict=True):
        if given == source:
            return shape
    return ()


def _broadcast(
    graph: Graph, op: Op, predicted: Source, wanted: Source
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]] | None, str]:
    """The two shapes, where predictions and targets of different shapes are stretched to meet."""
    if op.name not in SHAPED | TORCH_LOSSES:
        return None, ""
    left, right = _shape(graph, op, predicted), _shape(graph, op, wanted)
    if left == right or not left or not right:
        return None, ""
    try:
        result = tuple(torch.broadcast_shapes(left, right))  # type: ignore[no-untyped-call]
    except RuntimeError:
        return (left, right), op.line
    # A column of targets beside several numbers per sample may be meant (mixtures, quantiles), where it isn't averaged
    # right away; samples that meet other samples never are.
    aligned = len(left) == len(right) and left[0] == right[0] and result == left
    if aligned and op.name not in TORCH_LOSSES:
        later = {graph.ops[i].name for i in range(op.index + 1, len(graph.ops))}
        if (right[-1] == 1 and left[-1] == 1) or later - AVERAGING:
            return None, ""
    return (left, right), op.line


def penalties(graph: Graph) -> list[Op]:
    """The terms of the loss that depend on weights alone: what is added to the part that sees data."""
    sees: dict[int, bool] = {}
    weighs: dict[int, bool] = {}
    found: list[Op] = []
    for op in graph.ops:
        numbers = [s for s in op.inputs if isinstance(s, int)]
        sees[op.index] = (
            any(s in (INPUT, TARGET) for s in op.inputs) or any(sees[s] for s in numbers) or op.phase == "forward"
        )
        weighs[op.index] = any(isinstance(s, str) and s.startswith("parameter:") for s in op.inputs) or any(
            weighs[s] and not sees[s] for s in numbers
        )
        if op.phase == "loss" and op.name in ("add", "sub") and sees[op.index]:
            found += [graph.ops[s] for s in numbers if weighs[s] and not sees[s]]
    return found
