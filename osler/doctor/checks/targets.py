"""Do targets, loss and the shape of the output belong together?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from osler.doctor.checks.progress import learned_well
from osler.doctor.checks.say import around, finding, named, short
from osler.doctor.cures import advice, set_loss
from osler.doctor.graph import RECURRENT, RESHAPING
from osler.doctor.pairing import KNOWN
from osler.doctor.trace import Loss, Target, Trace
from osler.records import Finding

SINGLE = ("classes", "one-hot")


def check(trace: Trace) -> list[Finding]:
    found = [*_broken_forward(trace)]
    loss, target = trace.loss, trace.target
    if loss is None:
        return found
    if not loss.direct:
        return found
    flat = list(_missing_flatten(trace, loss))
    found += flat
    if not flat:
        found += [*_broadcast(trace, loss)]
    found += [*_width(trace, loss, target), *_labels(trace, loss, target), *_task(trace, loss, target)]
    return found


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(["N", *map(str, shape[1:])]) + ("," if len(shape) == 1 else "") + ")"


def _broken_forward(trace: Trace) -> Iterator[Finding]:
    graph = trace.graph
    if graph is None or graph.error_phase != "forward" or graph.broken is None:
        return
    op = graph.broken
    deep = op.name == "linear" and len(op.shapes) >= 2 and len(op.shapes[0]) > 2
    if deep and math.prod(op.shapes[0][1:]) == op.shapes[1][-1]:
        yield finding(
            "missing-flatten",
            "critical",
            f"The dense layer {named([op.module])} expects {op.shapes[1][-1]} features and is given "
            f"{_shape(op.shapes[0])}: a flatten is missing before it.",
            where=[op.module],
            lines=[op.line],
            cures=[advice("flatten before the dense layer", "+ x = x.flatten(1)")],
        )
    kinds = any(sign in graph.error for sign in ("dtype", "expected scalar type", "Long"))
    if kinds and not trace.inputs.floating:
        yield finding(
            "integer-input",
            "critical",
            f"The layer {named([op.module])} is given whole numbers: {graph.error[:120]}.",
            where=[op.module],
            lines=[op.line],
            cures=[advice("make the inputs real numbers", "+ x = x.float()")],
        )


def _missing_flatten(trace: Trace, loss: Loss) -> Iterator[Finding]:
    given, wanted = loss.prediction_shape, loss.target_shape
    graph = trace.graph
    if graph is None or loss.prediction is None or len(given) < 3 or len(given) <= len(wanted):
        return
    failed = graph.error_phase == "loss" or loss.broadcast is not None
    if not failed:
        return
    layer = graph.layer_before(graph.ops[loss.prediction])
    if any(isinstance(s, int) and graph.ops[s].name in RECURRENT for s in graph.ancestors([loss.prediction])):
        return  # one output per step of a sequence
    if layer is None or layer.name != "linear" or len(layer.shapes[0]) < 3:
        return
    yield finding(
        "missing-flatten",
        "critical",
        f"The dense layer {named([layer.module])} works on the last axis of {_shape(layer.shapes[0])} alone, so "
        f"the output is {_shape(given)} where the target is {_shape(wanted)}.",
        where=[layer.module],
        lines=[layer.line, loss.line],
        evidence={"axes of the output": (len(given), str(len(wanted)))},
        cures=[
            advice(
                "flatten (or pool) before the dense layer",
                "+ x = x.flatten(1)",
                f"+ nn.Linear({math.prod(layer.shapes[0][1:])}, ...)",
            )
        ],
    )


def _broadcast(trace: Trace, loss: Loss) -> Iterator[Finding]:
    graph = trace.graph
    if loss.broadcast is None or graph is None:
        return
    given, wanted = loss.broadcast
    # A target that is one number per sample and multiplies whole rows may be meant; classes never are.
    whole = trace.target.kind == "classes" and trace.target.classes > 2 and loss.kind == "categorical"
    if whole and wanted[-1] == 1:
        yield finding(
            "invalid-labels",
            "critical",
            f"The loss wants one row of {given[-1]} numbers per sample and is given a column of class numbers "
            f"{_shape(wanted)}: they are stretched over all classes.",
            where=around(trace, loss.activation_op),
            lines=[loss.broadcast_line],
            evidence={"width of the target": (wanted[-1], str(given[-1])), "largest target": (trace.target.high, "1")},
            cures=[
                advice("one-hot rows", f"+ target = F.one_hot(target.long().squeeze(1), {given[-1]}).float()"),
                set_loss(nn.CrossEntropyLoss, "or raw scores and CrossEntropyLoss, which takes class numbers"),
            ],
        )
    # shape (N, 1) against (N,), or (N, C) against (N, 1): each prediction meets every target
    yield finding(
        "broadcast-loss",
        "critical",
        f"Predictions {_shape(given)} and targets {_shape(wanted)} differ in shape, and are "
        + (
            "refused by the loss."
            if graph.error_phase == "loss"
            else "stretched to meet: each prediction is compared with other samples' targets."
        ),
        where=around(trace, graph.ops[loss.prediction] if loss.prediction is not None else None),
        lines=[loss.broadcast_line],
        evidence={"prediction": (str(given), str(wanted)), "target": (str(wanted), "")},
        cures=[
            advice(
                "give both the same shape",
                "- loss(prediction, target)",
                "+ loss(prediction, target.view_as(prediction))",
            )
        ],
    )


def _width(trace: Trace, loss: Loss, target: Target) -> Iterator[Finding]:
    where = around(trace, loss.activation_op)
    classes = max(target.classes, int(target.high) + 1 if target.kind == "classes" and target.whole else 0)
    if target.kind not in SINGLE or not loss.classifies or loss.width < 1:
        return
    too_narrow = loss.kind == "categorical" and loss.width < classes
    one_for_many = loss.width == 1 and classes > 2
    if target.low < 0:
        return
    if (
        too_narrow
        and (
            loss.width == 1
            or trace.graph is None
            or trace.graph.error_phase == "loss"
            or loss.name in ("log", "normalised log")
        )
    ) or one_for_many:
        if classes == loss.width + 1 and target.low == 1 and target.classes == loss.width:
            yield finding(
                "invalid-labels",
                "critical",
                f"Labels run from 1 to {int(target.high)}; they must begin at 0.",
                where=where,
                evidence={"smallest label": (target.low, "0"), "largest label": (target.high, str(loss.width - 1))},
                cures=[advice("count classes from 0", "+ y = y - 1")],
            )
            return
        yield finding(
            "output-width",
            "critical",
            f"{named(where).capitalize() if not where else named(where)} gives {loss.width} "
            f"output{'s' if loss.width > 1 else ''} for {classes} classes.",
            where=where,
            lines=[loss.line],
            evidence={"outputs": (loss.width, str(classes)), "classes": (classes, "")},
            cures=[
                advice(
                    "one output per class, and CrossEntropyLoss on the raw scores",
                    f"- nn.Linear(..., {loss.width})",
                    f"+ nn.Linear(..., {classes})",
                    "+ nn.CrossEntropyLoss()",
                )
            ],
        )
    elif loss.kind == "categorical" and loss.width > max(4 * classes, classes + 50):
        yield finding(
            "output-width",
            "hint",
            f"{loss.width} outputs for {classes} classes: most are never right.",
            where=where,
            evidence={"outputs": (loss.width, str(classes))},
            cures=[advice("one output per class", f"+ nn.Linear(..., {classes})")],
        )


def _labels(trace: Trace, loss: Loss, target: Target) -> Iterator[Finding]:
    if not target.finite:
        return
    if loss.kind == "categorical" and target.kind == "one-hot" and not target.floating and _refused(trace):
        yield finding(
            "invalid-labels",
            "critical",
            f"{loss.name} is given one-hot rows of whole numbers: it takes class numbers, or probabilities as floats.",
            where=around(trace, loss.activation_op),
            lines=[loss.line],
            evidence={"axes of the target": (len(target.shape), str(len(target.shape) - 1))},
            cures=[
                advice("class numbers", "+ target = target.argmax(dim=1)"),
                advice("or floats", "+ target = target.float()"),
            ],
        )
    residual = loss.regresses and target.low == 0  # what is to vanish, an equation's two sides say
    # Of a loss by hand it may be no label at all; of two inputs one may always be the preferred one.
    several = bool(target.shape) and target.shape[0] > 1 and loss.name in KNOWN and trace.inputs.tensors == 1
    if target.constant and several and not residual and target.kind in ("classes", "real", "multilabel"):
        yield finding(
            "invalid-labels",
            "critical",
            f"All targets are {short(target.low)}: there is nothing to tell apart.",
            evidence={"different targets": (1, "at least 2")},
            cures=[advice("look at how the targets are read")],
        )
        return
    if loss.kind == "categorical" and target.kind == "classes" and target.low < 0 and target.low != -100:
        yield finding(
            "invalid-labels",
            "critical",
            f"Class numbers begin at {target.low:g}; they must be 0 to C − 1.",
            where=around(trace, loss.activation_op),
            evidence={"smallest label": (target.low, "0")},
            cures=[advice("encode the classes as 0 to C − 1")],
        )
    # What the loss makes of the targets counts (thresholds, for grades), not what it was given.
    met = (loss.target.low, loss.target.high) if loss.target is not None else (target.low, target.high)
    if loss.kind == "binary" and target.kind in ("classes", "real", "multilabel") and (met[0] < 0 or met[1] > 1):
        if target.kind == "classes" and target.classes > 2 and loss.width == 1:
            return  # said as output-width
        whole = target.whole
        name = "invalid-labels" if whole else "loss-task-mismatch"
        yield finding(
            name,
            "critical",
            f"Binary cross-entropy is given targets from {short(met[0])} to {short(met[1])}"
            + ("." if whole else ", which are amounts, not classes."),
            evidence={"smallest target": (met[0], "0 to 1"), "largest target": (met[1], "0 to 1")},
            lines=[loss.line],
            cures=[
                advice("labels 0 and 1", "+ y = (y > 0).float()")
                if whole
                else set_loss(nn.MSELoss, "a loss for amounts", "+ nn.MSELoss()", loss="mse")
            ],
        )
    elif (
        loss.classifies and target.floating and target.kind in ("classes", "real", "one-hot") and 0 < target.high <= 0.2
    ):
        steps = target.high * 255
        if target.low >= 0 and abs(steps - round(steps)) < 1e-3:
            yield finding(
                "invalid-labels",
                "critical",
                f"Labels reach only {short(target.high)}: were they divided by 255?",
                evidence={"largest target": (target.high, "1, or the number of classes − 1")},
                cures=[advice("scale the inputs only, not the labels")],
            )


def _refused(trace: Trace) -> bool:
    return trace.graph is not None and trace.graph.error_phase == "loss"


def _task(trace: Trace, loss: Loss, target: Target) -> Iterator[Finding]:
    where = around(trace, loss.activation_op)
    if set(loss.steps) - RESHAPING - {"log", "clamp", "add", "log_softmax", "softmax", "sigmoid"}:
        return
    numbered = (
        target.low == 0 and target.high == target.classes - 1
    )  # 0 to C − 1, as classes are and counts need not be
    if loss.regresses and target.kind == "one-hot" and target.classes >= 3 and loss.width == target.shape[-1]:
        yield finding(
            "loss-task-mismatch",
            "hint" if learned_well(trace) else "warning",
            f"Squared or absolute error on one-hot rows of {target.classes} classes: it penalises right answers that "
            "are more than sure.",
            where=where,
            lines=[loss.line],
            evidence={"classes": (target.classes, "amounts, for this loss")},
            cures=[
                set_loss(
                    nn.CrossEntropyLoss,
                    "cross-entropy on raw scores",
                    f"- {loss.name}",
                    "+ cross_entropy",
                    loss="cross_entropy",
                )
            ],
        )
    elif loss.regresses and target.kind == "classes" and 3 <= target.classes <= 20 and not target.floating and numbered:
        yield finding(
            "loss-task-mismatch",
            "warning",
            f"Squared or absolute error on the numbers of {target.classes} classes, whose order means nothing.",
            where=where,
            lines=[loss.line],
            evidence={"classes": (target.classes, "amounts, for this loss")},
            cures=[
                set_loss(
                    nn.CrossEntropyLoss,
                    "one output per class, and cross-entropy",
                    f"- {loss.name}",
                    "+ cross_entropy",
                    loss="cross_entropy",
                )
            ],
        )
    elif loss.kind == "categorical" and target.kind == "real" and loss.name == "cross_entropy":
        soft = target.low >= 0 and target.high <= 1 and len(target.shape) > 1 and target.shape[-1] == loss.width
        if not soft:
            yield finding(
                "loss-task-mismatch",
                "critical",
                f"Cross-entropy is given real targets from {short(target.low)} to {short(target.high)}.",
                where=where,
                lines=[loss.line],
                evidence={"largest target": (target.high, "a class number, or a probability")},
                cures=[set_loss(nn.MSELoss, "a loss for amounts", "- cross_entropy", "+ mse_loss", loss="mse")],
            )
