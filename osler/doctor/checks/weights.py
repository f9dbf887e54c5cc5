"""Do all weights start well, and can all of them be learned?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from osler.doctor.checks.progress import chance_loss, learned_well
from osler.doctor.checks.say import finding, named, short
from osler.doctor.cures import add_parameters, advice, initialise, unfreeze
from osler.doctor.graph import NORMALISING
from osler.doctor.trace import Parameter, Trace
from osler.records import Finding

CUTTING = ("detach", "data", "argmax", "round", "sign", "item", "numpy", "tolist")


def check(trace: Trace) -> list[Finding]:
    return [*_held(trace), *_head(trace), *_connected(trace), *_alike(trace), *_scale(trace), *_half(trace)]


def _moves(trace: Trace, name: str) -> bool:
    """Whether a parameter was seen to change, by whatever optimizer."""
    history = trace.history
    if name not in history.names:
        return False
    at = history.names.index(name)
    return any(s.updates is not None and s.updates[at] > 0 for s in history.samples)


def _held(trace: Trace) -> Iterator[Finding]:
    optimizer = trace.optimizer
    if optimizer is None or not trace.parameters:
        return
    trainable = [p for p in trace.parameters if p.trainable]
    lacking = [p for p in trainable if not p.optimized and not _moves(trace, p.name)]
    if trainable and len(lacking) == len(trainable) and optimizer.tensors:
        yield finding(
            "parameter-not-optimized",
            "critical",
            "The optimizer holds none of the model's parameters: it was made for another model, or before this one "
            "was rebuilt.",
            where=dict.fromkeys(p.module for p in lacking),
            evidence={"parameters of the model in the optimizer": (0, str(len(trainable)))},
            cures=[add_parameters(p.name for p in lacking)],
        )
        return
    used = [p for p in lacking if p.gradient is not None or trace.initial_loss is None]
    if not used:
        return
    where = dict.fromkeys(p.module for p in used)
    share = sum(math.prod(p.shape) for p in used) / max(1, sum(math.prod(p.shape) for p in trainable))
    head = set(where) & set(_last_layer(trace))
    yield finding(
        "parameter-not-optimized",
        "critical" if head or share > 0.1 else "warning",
        f"No optimizer holds the weights of {named(where)}, so they never train.",
        where=where,
        evidence={"tensors left out": (len(used), "0"), "share of all weights": (share, "0")},
        cures=[add_parameters(p.name for p in used)],
    )


def _last_layer(trace: Trace) -> tuple[str, ...]:
    graph, loss = trace.graph, trace.loss
    if graph is None or loss is None or loss.prediction is None:
        return ()
    layer = graph.layer_before(graph.ops[loss.prediction])
    return (layer.module,) if layer is not None else ()


def _added(trace: Trace) -> tuple[str, ...]:
    """The layers whose outputs are added up to the prediction, and the modules that hold them."""
    graph, loss = trace.graph, trace.loss
    if graph is None or loss is None or loss.prediction is None:
        return ()
    op = graph.through(loss.prediction)
    if op is None or op.name != "add":
        return ()
    near = [graph.layer_before(graph.ops[s]) for s in op.inputs if isinstance(s, int)]
    return (op.module, *(layer.module for layer in near if layer is not None))


def _head(trace: Trace) -> Iterator[Finding]:
    last = _last_layer(trace)
    if trace.loss is None or not trace.loss.direct:
        return
    side_by_side = _added(trace)  # an adapter beside a frozen layer (LoRA)
    mine = [p for p in trace.parameters if p.module in (*last, *side_by_side)]
    others = [p for p in trace.parameters if p.trainable and p.module not in last]
    if mine and others and not any(p.trainable for p in mine):
        yield finding(
            "frozen-head",
            "critical",
            f"The last layer {named(last)} is frozen while others train.",
            where=last,
            evidence={"trainable tensors of the last layer": (0, str(len(mine)))},
            cures=[unfreeze(p.name for p in mine)],
        )


def _connected(trace: Trace) -> Iterator[Finding]:
    graph = trace.graph
    if graph is None or not trace.backward or graph.error:
        return
    trainable = [p for p in trace.parameters if p.trainable]
    without = [p for p in trainable if p.gradient is None]
    if not trainable:
        return
    if len(without) == len(trainable):
        yield finding(
            "disconnected-parameter",
            "critical",
            "The loss depends on no parameter: something between them and the loss cuts the graph (detach, .data, "
            "argmax, no_grad, numpy).",
            where=dict.fromkeys(p.module for p in without),
            evidence={"parameters with a gradient": (0, str(len(trainable)))},
            cures=[advice("keep tensors, without detach or .data, from the weights to the loss")],
        )
        return
    if without:
        end = [s for op in graph.losses() for s in op.inputs] or list(graph.outputs)
        reached = graph.ancestors(end)
        cut = [p for p in without if p.optimized and (f"parameter:{p.name}" in reached or p.name in trace.cut)]
        if cut:
            share = sum(math.prod(p.shape) for p in cut) / sum(math.prod(p.shape) for p in trainable)
            cutters = [op for op in graph.forward() if op.name in CUTTING]
            where = dict.fromkeys(p.module for p in cut)
            yield finding(
                "disconnected-parameter",
                "critical" if share > 0.5 or not learned_well(trace) else "warning",
                f"The loss is computed with {named(where)}, but no gradient comes back: the graph is cut after it.",
                where=where,
                lines=[op.line for op in cutters],
                evidence={"tensors without gradient": (len(cut), "0"), "share of all weights": (share, "0")},
                cures=[
                    advice(
                        "compute with torch alone, and remove the cut",
                        *(f"- .{op.name}()  # {op.line}" for op in cutters[:3]),
                    )
                ],
            )
        unused = [p for p in without if p not in cut and p.name in trace.unused_outputs]
        if unused:
            where = dict.fromkeys(p.module for p in unused)
            yield finding(
                "disconnected-parameter",
                "warning",
                f"The model computes an output with {named(where)} that the loss leaves out, so they never learn.",
                where=where,
                lines=[trace.loss.line] if trace.loss else [],
                evidence={"tensors that only an unused output depends on": (len(unused), "0")},
                cures=[advice("take the loss of this output too", "+ loss = loss + criterion(outputs[0], target)")],
            )
        loose = [p for p in without if p not in cut and p not in unused]
        if loose:
            where = dict.fromkeys(p.module for p in loose)
            yield finding(
                "disconnected-parameter",
                "hint",
                f"The loss does not depend on {named(where)}.",
                where=where,
                cures=[advice("use it, or leave it out")],
            )
    huge = any(p.is_weight and p.trainable and p.fan_in >= 4 and _ratio(p) > 10 for p in trace.parameters)
    if trace.zero_gradients and not huge and not learned_well(trace):
        yield finding(
            "disconnected-parameter",
            "critical",
            "Every gradient is exactly 0: the loss does not react to any weight.",
            where=_last_layer(trace),
            evidence={"norm of the gradient": (0.0, "above 0")},
            cures=[advice("look for a constant output, or units that are all dead")],
        )


def _alike(trace: Trace) -> Iterator[Finding]:
    if learned_well(trace):
        return
    # A layer of equal units is lost only if their gradients are equal too: a zero head of ten classes is not.
    equal = [
        p
        for p in trace.parameters
        if p.is_weight
        and p.trainable
        and p.units > 1
        and p.alike > 0.99
        and p.gradient is not None
        and p.gradient_alike > 0.9
    ]
    if not equal:
        return
    flat = [p for p in trace.parameters if p.is_weight and p.trainable and p.alike > 0.99]
    where = dict.fromkeys(p.module for p in (flat if len(equal) < len(flat) else equal))
    zero = all(p.std == 0 and p.mean == 0 for p in equal)
    constant = all(p.std < 1e-9 for p in equal)
    value = short(equal[0].mean)
    name = "constant-init" if zero else "symmetric-init"
    yield finding(
        name,
        "critical",
        (
            f"All weights of {named(where)} start at {value}"
            if constant
            else f"The units of {named(where)} start as copies of one another"
        )
        + ", and so do their gradients: they stay copies.",
        where=where,
        evidence={
            "share of equal units": (max(p.alike for p in equal), "0"),
            "share of equal gradients": (max(p.gradient_alike for p in equal), "0"),
            "deviation of the weights": (max(p.std for p in equal), "about √(2 / inputs)"),
        },
        cures=[initialise(where)],
    )


def _ratio(p: Parameter) -> float:
    """Mean square of a weight over that of He's rule."""
    return (p.std**2 + p.mean**2) * p.fan_in / 2


def _scale(trace: Trace) -> Iterator[Finding]:
    weights = [p for p in trace.parameters if p.is_weight and p.trainable and p.gradient is not None and p.fan_in >= 4]
    large = [p for p in weights if _ratio(p) > 10]
    small = [p for p in weights if 0 < _ratio(p) < 1 / 30 and p.std > 0]
    chance = chance_loss(trace)
    first = trace.initial_loss
    if chance is None and trace.loss is not None and trace.loss.kind == "categorical" and trace.loss.width > 1:
        chance = math.log(trace.loss.width)  # of tokens, say
    if large:
        far = first is not None and chance is not None and not first <= 2 * chance
        loose = first is not None and chance is None and not math.isfinite(first)
        where = [p.module for p in large]
        evidence = {"variance over He's": (max(_ratio(p) for p in large), "1/30 to 10")}
        if far and first is not None and chance is not None:
            evidence["first loss"] = (first, f"about {short(chance)}, the loss of guessing")
        high = first is not None and chance is not None and first > 4 * chance
        extreme = first is not None and chance is not None and first > 10 * chance
        severity = "critical" if high else "warning"
        if not (far or loose) or (learned_well(trace) and not extreme):
            severity = "hint"
        yield finding(
            "init-scale",
            severity,  # type: ignore[arg-type]
            f"The weights of {named(where)} start {max(_ratio(p) for p in large):.0f} times too large in variance.",
            where=where,
            evidence=evidence,
            cures=[initialise(where)],
        )
    normalised = trace.graph is not None and any(op.name in NORMALISING for op in trace.graph.forward())
    if len(small) * 2 >= len(weights) > 1 and not normalised:
        where = [p.module for p in small]
        failed = trace.history.observed > 50 and not learned_well(trace, strict=False)
        yield finding(
            "init-scale",
            "warning" if failed else "hint",
            f"The weights of {named(where)} start {1 / min(_ratio(p) for p in small):.0f} times too small in variance.",
            where=where,
            evidence={"variance over He's": (min(_ratio(p) for p in small), "1/30 to 10")},
            cures=[initialise(where)],
        )


def _half(trace: Trace) -> Iterator[Finding]:
    optimizer = trace.optimizer
    half = [p for p in trace.parameters if p.half and p.trainable]
    if (
        optimizer is not None
        and half
        and optimizer.adaptive
        and optimizer.epsilon is not None
        and optimizer.epsilon < 6e-8
    ):
        yield finding(
            "adam-epsilon-half",
            "critical",
            f"{optimizer.kind} with eps {optimizer.epsilon:g} on float16 weights: eps is 0 there.",
            where=dict.fromkeys(p.module for p in half),
            evidence={"eps": (optimizer.epsilon, "at least 1e-4 in float16")},
            cures=[
                advice("keep float32 weights, and compute in half precision under autocast", "+ model.float()"),
                advice("or a larger eps, which makes the first steps larger too", "+ eps=1e-4"),
            ],
        )
