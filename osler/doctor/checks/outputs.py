"""Does the end of the network fit the loss?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from osler.doctor.checks.say import around, finding, named, short
from osler.doctor.cures import advice, drop_module, set_loss
from osler.doctor.graph import AFFINE, BOUNDED, RECURRENT, RESHAPING, TRANSPOSED, Op
from osler.doctor.trace import Loss, Trace
from osler.records import Finding

SINGLE = ("classes", "one-hot")
PLAIN = AFFINE | RECURRENT | TRANSPOSED | frozenset(["add", "sub", "mul", "matmul"])


def check(trace: Trace) -> list[Finding]:
    loss = trace.loss
    if loss is None:
        return list(_single_unit(trace))
    found = [*_single_unit(trace), *_wrong_axis(trace)]
    if loss.direct:
        found += [
            *(list(_twice(trace, loss)) or _again(trace)),
            *_nll(trace, loss),
            *_binary(trace, loss),
            *_mismatch(trace, loss),
            *_range(trace, loss),
        ]
    return found


def _spot(trace: Trace, loss: Loss) -> tuple[tuple[str, ...], tuple[str, ...]]:
    op = loss.activation_op
    return around(trace, op), (op.line if op is not None else "", loss.line)


def _is_probability(loss: Loss) -> bool:
    """Whether what arrives at the loss is a distribution over the classes, judged by its numbers."""
    v, sums = loss.values, loss.row_sums
    return bool(
        v
        and sums
        and loss.width > 1
        and v.low >= 0
        and v.high <= 1 + 1e-5
        and abs(sums[0] - 1) < 1e-3
        and abs(sums[1] - 1) < 1e-3
    )


def _twice(trace: Trace, loss: Loss) -> Iterator[Finding]:
    where, lines = _spot(trace, loss)
    if loss.takes != "logits" or loss.width < 1 or loss.values is None:
        return
    one_axis = loss.activation == "softmax" and loss.width > 1
    if loss.kind == "categorical" and (one_axis or _is_probability(loss)):
        floor = math.log(1 + (loss.width - 1) / math.e)
        yield finding(
            "double-softmax",
            "critical",
            f"The output at {named(where)} is already a softmax, and {loss.name} applies softmax again: the loss "
            f"cannot fall below {floor:.3f}.",
            where=where,
            lines=lines,
            evidence={
                "smallest possible loss": (round(floor, 3), "0"),
                "largest output": (loss.values.high, "unbounded"),
                "sum of an output": (loss.row_sums[1] if loss.row_sums else 1.0, "any, for scores"),
            },
            cures=[
                drop_module(
                    where,
                    (nn.Softmax, nn.Softmax2d),
                    "give the loss the raw scores: drop the softmax",
                    "- return softmax(scores)",
                    "+ return scores",
                ),
                advice("or take the logarithm and NLLLoss", "+ F.nll_loss(F.log_softmax(scores, dim=1), target)"),
            ],
        )
    elif loss.kind == "categorical" and loss.activation == "log_softmax":
        yield finding(
            "redundant-activation",
            "hint",
            f"log_softmax before {loss.name} changes nothing: the loss applies it itself.",
            where=where,
            lines=lines,
            cures=[advice("drop the log_softmax, or use NLLLoss")],
        )
    if loss.kind == "binary" and loss.activation == "sigmoid":
        high = loss.values.high
        yield finding(
            "double-sigmoid",
            "critical",
            f"The output at {named(where)} is already a sigmoid, and {loss.name} applies sigmoid again: it sees "
            "probabilities between 0.5 and 0.731 only.",
            where=where,
            lines=lines,
            evidence={
                "largest probability in the loss": (round(1 / (1 + math.exp(-high)), 3), "up to 1"),
                "smallest possible loss for class 0": (round(math.log(2), 3), "0"),
            },
            cures=[
                drop_module(
                    where,
                    (nn.Sigmoid,),
                    "give the loss the raw scores: drop the sigmoid",
                    "- return torch.sigmoid(score)",
                    "+ return score",
                ),
                set_loss(nn.BCELoss, "or use BCELoss, which takes probabilities", "+ nn.BCELoss()"),
            ],
        )


def _again(trace: Trace) -> Iterator[Finding]:
    """A sigmoid or softmax within the loss, of what is the output of one already."""
    graph = trace.graph
    if graph is None:
        return
    for op in graph.losses():
        before = graph.through(op.inputs[0], RESHAPING) if op.inputs and op.name in ("sigmoid", "softmax") else None
        if before is None or before.name != op.name or before.phase != "forward":
            continue
        where = around(trace, before)
        yield finding(
            f"double-{op.name}",
            "critical",
            f"The output at {named(where)} is already a {op.name}, and the loss applies {op.name} to it again.",
            where=where,
            lines=[before.line, op.line],
            cures=[
                drop_module(
                    where,
                    (nn.Sigmoid, nn.Softmax),
                    f"give the loss the raw scores: drop the {op.name}",
                    f"- return torch.{op.name}(scores)",
                    "+ return scores",
                )
            ],
        )
        return


def _nll(trace: Trace, loss: Loss) -> Iterator[Finding]:
    if loss.takes != "log-probabilities" or loss.kind != "categorical" or loss.values is None:
        return
    if loss.activation == "log_softmax" or loss.values.high <= 1e-4:
        return
    where, lines = _spot(trace, loss)
    what = "probabilities" if loss.values.low >= 0 and loss.values.high <= 1 + 1e-5 else "raw scores"
    evidence = {"largest input of the loss": (loss.values.high, "at most 0, as logarithms of probabilities are")}
    if trace.initial_loss is not None:
        evidence["first loss"] = (trace.initial_loss, "at least 0")
    yield finding(
        "probabilities-to-nll",
        "critical",
        f"{loss.name} is given {what} from {named(where)} where it wants log-probabilities.",
        where=where,
        lines=lines,
        evidence=evidence,
        cures=[
            advice("end with log_softmax", "- softmax(scores, dim=1)", "+ log_softmax(scores, dim=1)"),
            set_loss(
                nn.CrossEntropyLoss,
                "or give raw scores to CrossEntropyLoss",
                "+ nn.CrossEntropyLoss()",
                loss="cross_entropy",
            ),
        ],
    )


def _binary(trace: Trace, loss: Loss) -> Iterator[Finding]:
    if loss.takes != "probabilities" or loss.values is None:
        return
    low, high = loss.values.low, loss.values.high
    where, lines = _spot(trace, loss)
    unbounded = loss.activation in PLAIN or loss.activation == "tanh"
    if loss.kind == "binary" and (loss.activation != "relu") and (low < 0 or high > 1 or unbounded):
        if not unbounded and low >= -1e-6 and high <= 1 + 1e-6:
            return
        yield finding(
            "logits-to-bce",
            "critical",
            f"Binary cross-entropy is given raw scores from {named(where)}, between {short(low)} and {short(high)}.",
            where=where,
            lines=lines,
            evidence={"smallest": (low, "0 to 1"), "largest": (high, "0 to 1")},
            cures=[
                set_loss(
                    nn.BCEWithLogitsLoss,
                    "use BCEWithLogitsLoss, which takes scores",
                    "- nn.BCELoss()",
                    "+ nn.BCEWithLogitsLoss()",
                )
            ],
        )
    elif loss.kind == "categorical" and loss.activation in PLAIN and low < 0:
        yield finding(
            "output-activation-mismatch",
            "critical",
            f"The loss takes logarithms of what {named(where)} gives, raw scores down to {short(low)}.",
            where=where,
            lines=lines,
            evidence={"smallest": (low, "0 to 1"), "largest": (high, "0 to 1")},
            cures=[
                set_loss(nn.CrossEntropyLoss, "use CrossEntropyLoss, which takes raw scores", "+ nn.CrossEntropyLoss()")
            ],
        )


def _mismatch(trace: Trace, loss: Loss) -> Iterator[Finding]:
    where, lines = _spot(trace, loss)
    act, target = loss.activation, trace.target
    if loss.values is None or not loss.classifies:
        return
    evidence = {
        "smallest output": (loss.values.low, "negative for unlikely classes"),
        "largest output": (loss.values.high, ""),
    }
    scores = [
        advice("end with the layer itself, without activation", f"- {act}(layer(x))", "+ layer(x)"),
        drop_module(where, (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh, nn.Softplus), "drop the last activation"),
    ]
    scores.reverse()
    if act in ("relu", "relu6") and loss.takes == "logits":
        yield finding(
            "output-activation-mismatch",
            "critical",
            f"A ReLU at {named(where)} cuts the scores of {loss.name} off at 0: a class whose score is negative "
            "for all samples has no gradient any more.",
            where=where,
            lines=lines,
            evidence=evidence,
            cures=scores,
        )
    elif act in ("relu", "relu6") and loss.takes == "probabilities":
        evidence["largest output"] = (loss.values.high, "0 to 1")
        yield finding(
            "output-activation-mismatch",
            "critical",
            f"A ReLU at {named(where)} gives no probability: at 0 and beyond 1 the logarithm of the loss is cut "
            "off and has no gradient.",
            where=where,
            lines=lines,
            evidence=evidence,
            cures=[
                advice("end with a sigmoid", "- relu(layer(x))", "+ torch.sigmoid(layer(x))"),
                set_loss(nn.BCEWithLogitsLoss, "or without activation and with BCEWithLogitsLoss"),
            ],
        )
    elif act == "tanh" and loss.takes == "logits":
        bound = math.log(1 + (max(loss.width, 2) - 1) * math.exp(-2))
        yield finding(
            "output-activation-mismatch",
            "warning",
            f"A tanh at {named(where)} keeps the scores within −1..1: the loss cannot fall below {bound:.3f}.",
            where=where,
            lines=lines,
            evidence={**evidence, "smallest possible loss": (round(bound, 3), "0")},
            cures=scores,
        )
    elif act == "sigmoid" and loss.width > 1 and loss.kind == "categorical":
        floor = math.log(1 + (loss.width - 1) / math.e)
        if loss.takes == "logits":
            evidence["smallest possible loss"] = (round(floor, 3), "0")
        yield finding(
            "output-activation-mismatch",
            "critical" if loss.takes == "logits" else "warning",
            f"A sigmoid per class at {named(where)} does not compare the classes, as the categorical loss expects.",
            where=where,
            lines=lines,
            evidence=evidence,
            cures=[
                set_loss(
                    nn.CrossEntropyLoss,
                    "raw scores and CrossEntropyLoss",
                    "- sigmoid(scores)",
                    "+ scores",
                    "+ nn.CrossEntropyLoss()",
                ),
                *scores,
            ],
        )
    elif act == "softmax" and loss.width > 1 and target.kind == "multilabel" and loss.kind == "binary":
        yield finding(
            "output-activation-mismatch",
            "critical",
            f"A softmax at {named(where)} makes the labels compete, yet samples have several of them.",
            where=where,
            lines=lines,
            evidence={"labels of a sample": (target.mean * target.shape[-1], "1, for softmax")},
            cures=[advice("a sigmoid per label", "- softmax(scores, dim=1)", "+ torch.sigmoid(scores)")],
        )


def _range(trace: Trace, loss: Loss) -> Iterator[Finding]:
    target = trace.target
    bounds = BOUNDED.get(loss.activation)
    if (
        not loss.regresses
        or bounds is None
        or set(loss.steps) - RESHAPING
        or target.kind == "none"
        or not target.finite
    ):
        return
    slack = 0.01 * max(target.high - target.low, 1e-6)
    below, above = target.low < bounds[0] - slack, target.high > bounds[1] + slack
    if not below and not above:
        return
    if loss.activation == "softmax" and loss.width == 1:
        return
    where, lines = _spot(trace, loss)
    reach = f"{bounds[0]:g} to {bounds[1]:g}"
    name = {"relu": "ReLU"}.get(loss.activation, loss.activation)
    yield finding(
        "output-range",
        "critical",
        f"Targets reach from {short(target.low)} to {short(target.high)}, but the {name} at {named(where)} gives "
        f"{reach} only.",
        where=where,
        lines=lines,
        evidence={
            "smallest target": (target.low, f"within {reach}"),
            "largest target": (target.high, f"within {reach}"),
        },
        cures=[
            drop_module(
                where,
                (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh, nn.Softmax, nn.Softplus, nn.Hardtanh),
                "end with the layer itself, without activation",
                f"- {loss.activation}(layer(x))",
                "+ layer(x)",
            ),
            advice("or scale the targets into the range"),
        ],
    )


def _single_unit(trace: Trace) -> Iterator[Finding]:
    if trace.graph is None:
        return
    outputs = {trace.graph.root(s) for s in trace.graph.outputs}
    if trace.loss is not None and trace.loss.activation_op is not None:
        outputs.add(trace.loss.activation_op.index)
    for op in trace.graph.ops:
        if op.name in ("softmax", "log_softmax", "softmin") and op.index in outputs and op.shape:
            if op.shape[axis(op)] != 1 or max(op.shape) == 1:
                continue
            where = around(trace, op)
            yield finding(
                "softmax-single-unit",
                "critical",
                f"Softmax over the single output of {named(where)} is 1 for every input and has no gradient.",
                where=where,
                lines=[op.line],
                evidence={"units": (1, "one per class, at least 2"), "output": (1.0, "varies with the input")},
                cures=[
                    advice("a sigmoid for two classes; nothing for amounts", "- softmax(x)", "+ torch.sigmoid(x)"),
                    advice("or one unit per class, with CrossEntropyLoss on the raw scores"),
                ],
            )


def axis(op: Op) -> int:
    """The axis that a softmax normalises; torch's old default where none is given."""
    dim = op.options.get("dim")
    if not isinstance(dim, int):
        dim = 0 if len(op.shape) in (0, 1, 3) else 1
    return dim % max(1, len(op.shape))


def _wrong_axis(trace: Trace) -> Iterator[Finding]:
    graph, loss = trace.graph, trace.loss
    if graph is None or loss is None:
        return
    last = loss.activation_op
    sums = loss.mass if loss.activation == "log_softmax" else loss.row_sums if loss.activation == "softmax" else None
    if sums is not None and last is not None and loss.width > 1 and max(abs(sums[0] - 1), abs(sums[1] - 1)) > 0.01:
        where = around(trace, last)
        yield finding(
            "softmax-wrong-axis",
            "critical",
            f"The {last.name} at {named(where)} runs over another axis than that of the {loss.width} classes: their "
            f"probabilities add up to anything from {short(sums[0])} to {short(sums[1])}.",
            where=where,
            lines=[last.line],
            evidence={"smallest sum": (sums[0], "1"), "largest sum": (sums[1], "1")},
            cures=[
                advice(
                    "normalise over the classes",
                    f"- {last.name}(scores, dim={axis(last)})",
                    f"+ {last.name}(scores, dim=-1)",
                )
            ],
        )
        return
    for op in graph.forward():
        if op.name not in ("softmax", "log_softmax") or len(op.shape) < 2 or op.shape[0] < 2:
            continue
        final = last is op
        over_batch = axis(op) == 0
        leaks = trace.leak > 1e-4
        if over_batch and leaks and (final or len(op.shape) == 2):
            where = around(trace, op)
            yield finding(
                "softmax-wrong-axis",
                "critical",
                f"The {op.name} at {named(where)} runs over the samples of the batch instead of the classes.",
                where=where,
                lines=[op.line],
                evidence={
                    "axis": (axis(op), f"{len(op.shape) - 1}, the classes"),
                    "change of an output when other samples leave the batch": (trace.leak, "0"),
                },
                cures=[
                    advice(
                        "normalise over the classes",
                        f"- {op.name}(scores, dim={axis(op)})",
                        f"+ {op.name}(scores, dim=-1)",
                    )
                ],
            )
            return
