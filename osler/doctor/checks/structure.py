"""Is the network put together as a network should be?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from osler.doctor.checks.say import around, finding, named
from osler.doctor.cures import advice, lower_dropout
from osler.doctor.graph import AFFINE, DROPOUTS, LINEAR, NORMALISING, RESHAPING, Graph, Op
from osler.doctor.trace import Trace
from osler.records import Finding

ATTENTION = "scaled_dot_product_attention"  # has a dropout of its own, which knows no mode


def check(trace: Trace) -> list[Finding]:
    found = [*_hidden(trace)]
    if trace.graph is None:
        return found
    found += [
        *_nonlinearity(trace, trace.graph),
        *_dropout(trace, trace.graph),
        *_always_on(trace),
        *_small_matters(trace, trace.graph),
    ]
    return found


def _hidden(trace: Trace) -> Iterator[Finding]:
    graph = trace.graph
    cure = advice(
        "register them",
        "- self.layers = [nn.Linear(...), ...]",
        "+ self.layers = nn.ModuleList([...])",
        "  (a dict: nn.ModuleDict; a single layer: self.layer = ...)",
    )
    known = trace.optimizer is not None and trace.optimizer.strangers > 0
    if trace.hidden:
        yield finding(
            "hidden-submodule",
            "hint" if known else "critical",
            f"{named(trace.hidden)} keeps layers or weights in a plain list or dict, where parameters() does not "
            "find them.",
            where=trace.hidden,
            cures=[cure],
        )
    elif trace.unregistered:
        where = [module for module, _ in trace.unregistered]
        yield finding(
            "hidden-submodule",
            "hint" if known else "critical",
            f"{named(where)} computes with trainable weights that the model does not register.",
            where=where,
            lines=[line for _, line in trace.unregistered],
            cures=[cure],
        )
    elif not trace.parameters:
        missing = "has no attribute" in graph.error if graph is not None else False
        extra = f" ({graph.error})" if missing and graph is not None else ""
        yield finding(
            "hidden-submodule",
            "critical",
            f"The model has no parameters at all{extra}: its layers are not attributes of it.",
            where=[""],
            evidence={"parameters": (0, "at least 1")},
            cures=[
                advice(
                    "bind every layer to self in the constructor",
                    "- layer = nn.Linear(...)",
                    "+ self.layer = nn.Linear(...)",
                )
            ],
        )


def _before(graph: Graph, op: Op) -> Op | None:
    """The layer whose output reaches this one through nothing but linear operations on one value."""
    source = op.inputs[0] if op.inputs else None
    while isinstance(source, int):
        earlier = graph.ops[source]
        if earlier.name in AFFINE:
            return earlier
        scaled = earlier.name in ("mul", "div", "add", "sub") and sum(isinstance(s, int) for s in earlier.inputs) == 1
        if earlier.name not in LINEAR and not scaled:
            return None
        source = next((s for s in earlier.inputs if isinstance(s, int)), earlier.inputs[0] if earlier.inputs else None)
    return None


def _widths(op: Op) -> tuple[int, int]:
    """(inputs, outputs) of a layer's weight."""
    weight = op.shapes[1] if len(op.shapes) > 1 else (0, 0)
    return math.prod(weight[1:]), weight[0]


def _nonlinearity(trace: Trace, graph: Graph) -> Iterator[Finding]:
    pairs: list[tuple[Op, Op]] = []
    for op in graph.forward():
        if op.name not in AFFINE or op.name == "bilinear" or len(op.shapes) < 2:
            continue
        first = _before(graph, op)
        if first is None or len(first.shapes) < 2:
            continue
        if first.options.get("groups") not in (None, 1) or op.options.get("groups") not in (None, 1):
            continue  # depthwise and pointwise belong together
        if any(isinstance(s, str) and s == "leaf" for s in (*first.inputs, *op.inputs)):
            continue
        given, middle = _widths(first)
        _, result = _widths(op)
        # Factors of low rank (a bottleneck, a separable kernel) are a layer on purpose.
        separable = (
            first.name.startswith("conv")
            and op.name.startswith("conv")
            and (1 in first.shapes[1][2:] or 1 in op.shapes[1][2:])
            and len(first.shapes[1]) > 3
        )
        if middle < min(given, result) or separable:
            continue
        uses = sum(first.index in o.inputs for o in graph.ops)
        if uses > 1:
            continue
        pairs.append((first, op))
    if not pairs:
        return
    where = [name for a, b in pairs for name in (a.module, b.module)]
    nonlinear = [
        o for o in graph.forward() if o.name not in LINEAR | AFFINE and o.name not in ("add", "cat", "embedding")
    ]
    yield finding(
        "missing-nonlinearity",
        "warning",
        f"Nothing non-linear stands between {named(where)}: together they are one linear layer"
        + ("." if nonlinear else ", and so is the whole network."),
        where=where,
        lines=[b.line for _, b in pairs],
        evidence={
            "pairs of layers without activation": (len(pairs), "0"),
            "non-linear operations": (len(nonlinear), "at least 1"),
        },
        cures=[advice("an activation between the layers", "- second(first(x))", "+ second(torch.relu(first(x)))")],
    )


def _dropout(trace: Trace, graph: Graph) -> Iterator[Finding]:
    drops = [
        (op, 0.5 if op.options.get("p") is None else float(op.options["p"]))
        for op in graph.forward()
        if op.name in DROPOUTS and op.options.get("training") is not False
    ]
    heavy = [(op, p) for op, p in drops if p >= 0.75 or (p > 0.55 and op.shape and op.shape[-1] < 64)]
    keep = math.prod(1 - p for _, p in drops) if drops else 1.0
    if not heavy and keep > 0.05:
        return
    learned = trace.outcome is not None and trace.outcome.train is not None and (trace.outcome.train.score or 0) > 0.9
    where = [name for op, _ in heavy or drops for name in around(trace, op)]
    worst = max(p for _, p in drops)
    severe = worst >= 0.75 or keep < 0.02
    yield finding(
        "excessive-dropout",
        "warning" if worst >= 0.85 or (severe and not learned) else "hint",
        f"Dropout at {named(where)} switches off {worst:.0%} of the units.",
        where=where,
        lines=[op.line for op, _ in heavy],
        evidence={"largest share dropped": (worst, "0.1 to 0.5"), "share of paths kept": (keep, "above 0.05")},
        cures=[lower_dropout(where)],
    )


def _always_on(trace: Trace) -> Iterator[Finding]:
    graph = trace.evaluation
    if graph is None or trace.eval_difference <= 1e-6:
        return
    active = [
        op
        for op in graph.forward()
        if (
            op.name in DROPOUTS
            and not op.name.startswith(("alpha", "feature"))
            and op.options.get("training") is not False
            and op.options.get("p", 0.5) != 0
        )
        or (op.name == ATTENTION and op.options.get("dropout_p"))
    ]
    if not active:
        return
    where = [op.module for op in active]
    yield finding(
        "always-on-dropout",
        "critical",
        f"Dropout in {named(where)} stays on in evaluation mode: two predictions for the same input differ.",
        where=where,
        lines=[op.line for op in active],
        evidence={"difference of two predictions": (trace.eval_difference, "0")},
        cures=[advice("tell it the mode", "- F.dropout(x, p)", "+ F.dropout(x, p, training=self.training)")],
    )


def _small_matters(trace: Trace, graph: Graph) -> Iterator[Finding]:
    for op in graph.forward():
        if op.name not in NORMALISING or not op.inputs:
            continue
        before = graph.through(op.inputs[0], RESHAPING)
        if before is not None and before.name in AFFINE and op.name == "batch_norm" and len(before.inputs) > 2:
            yield finding(
                "bias-before-norm",
                "hint",
                f"The bias of {named([before.module])} is taken away by the normalisation after it.",
                where=[before.module, op.module],
                cures=[advice("leave the bias out", "+ bias=False")],
            )
        if before is not None and before.name in DROPOUTS and op.name == "batch_norm":
            yield finding(
                "dropout-before-norm",
                "hint",
                f"Dropout at {named([before.module])} comes before normalisation.",
                where=[before.module, op.module],
                cures=[advice("normalise first, then drop")],
            )
    for op in graph.forward():
        if op.name in ("relu", "softmax", "log_softmax") and op.inputs:
            before = graph.through(op.inputs[0], RESHAPING)
            if before is not None and before.name == op.name:
                yield finding(
                    "redundant-activation",
                    "hint",
                    f"{op.name} is applied twice in a row at {named([op.module])}.",
                    where=[before.module, op.module],
                    lines=[op.line],
                    cures=[advice("drop one of them")],
                )
