"""Are the steps of the right size?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

from osler.doctor.checks.progress import chance_loss, learned_well, losses, start_and_end, usual_loop
from osler.doctor.checks.say import finding, short
from osler.doctor.cures import advice, clip, scale_rate
from osler.doctor.trace import Trace
from osler.records import Finding, Severity


def check(trace: Trace) -> list[Finding]:
    return [*_summed(trace), *_high(trace), *_low(trace), *_penalty(trace)]


def relative_step(trace: Trace) -> float | None:
    """First step of an adaptive optimizer over the usual size of a weight, √(1 / 3 inputs): median of the layers."""
    optimizer = trace.optimizer
    if optimizer is None or not optimizer.adaptive or optimizer.kind.lower() in ("adadelta", "adafactor"):
        return None
    usual = [
        max(math.sqrt(1 / (3 * p.fan_in)), p.std)
        for p in trace.parameters
        if p.is_weight and p.optimized and p.trainable
    ]
    return median(optimizer.rate / u for u in usual) if usual else None


def stability(trace: Trace) -> float | None:
    """Learning rate times curvature over its limit, 2 (1 + momentum): above 1 gradient descent overshoots."""
    optimizer = trace.optimizer
    if optimizer is None or optimizer.adaptive or trace.curvature is None or trace.curvature <= 0:
        return None
    return optimizer.rate * trace.curvature / (2 * (1 + optimizer.momentum))


def diverged(trace: Trace) -> bool:
    """Whether the loss ended far above where it began, or as no number."""
    course = losses(trace)
    if trace.history.losses.first_bad is not None:
        return True
    if len(course) < 5:
        return False
    ends = start_and_end(trace)
    start, end = ends if ends is not None else (course[0], course[-1])
    top = max(abs(start), abs(chance_loss(trace) or 0.0), 1e-12)
    return not math.isfinite(end) or end > 3 * top


def _summed(trace: Trace) -> Iterator[Finding]:
    ratio, optimizer = trace.tiled_ratio, trace.optimizer
    if ratio is None or abs(ratio - 2) > 0.1 or optimizer is None:
        return
    rows = next((s.rows for s in trace.history.samples if s.rows), 32)
    effective = optimizer.rate * rows
    stable = stability(trace)
    if optimizer.adaptive or learned_well(trace):
        severity = "hint"
    elif diverged(trace) or (stable is not None and stable > 1):
        severity = "critical"
    else:
        severity = "warning" if effective > 1 else "hint"
    evidence = {
        "loss of a batch given twice over": (ratio, "1, for a mean"),
        "learning rate times batch": (effective, f"{optimizer.rate:g}"),
    }
    if stable is not None:
        evidence["step over its stable limit"] = (stable, "below 1")
    yield finding(
        "sum-reduced-loss",
        severity,  # type: ignore[arg-type]
        f"The loss is summed over the batch: the learning rate acts as {short(effective)}.",
        evidence=evidence,
        lines=[trace.loss.line] if trace.loss else [],
        cures=[
            advice("average over the samples", "- loss.sum()", "+ loss.mean()"),
            scale_rate(optimizer.rate, 1 / max(rows, 1), "or divide the learning rate by the batch size"),
        ],
    )


def _high(trace: Trace) -> Iterator[Finding]:
    optimizer, history = trace.optimizer, trace.history
    if optimizer is None:
        return
    rate = optimizer.rate
    relative, stable = relative_step(trace), stability(trace)
    evidence: dict[str, tuple[float, str]] = {
        "learning rate": (rate, "1e-6 to 1e-2" if optimizer.adaptive else "1e-5 to 1")
    }
    static = False
    if relative is not None and relative > 1:
        evidence["first step over the size of a weight"] = (relative, "below 0.3")
        static = True
    if stable is not None and stable > 1:
        evidence["step over its stable limit 2 (1 + momentum) / curvature"] = (stable, "below 1")
        static = True
    if not optimizer.adaptive and rate > 1:
        static = True
    early = [r for step, r in history.ratios() if step < 50 and math.isfinite(r)]
    late = [r for step, r in history.ratios() if math.isfinite(r)]
    jump = max(early, default=0.0)
    if history.observed < 10:
        if static and (relative is None or relative > 1.5) and (stable is None or stable > 1.5):
            yield _too_high(trace, "warning", "The learning rate is too high for the first step.", evidence)
        return
    if learned_well(trace, strict=False) and not diverged(trace):
        return
    if not usual_loop(trace) and history.losses.first_bad is None:
        return
    if jump > 0.1:
        evidence["largest change of the weights in one early step"] = (jump, "about 0.001")
    ends = start_and_end(trace)
    if diverged(trace) and (static or jump > 0.1):
        if ends is not None:
            evidence["last loss over first loss"] = (ends[1] / max(abs(ends[0]), 1e-12), "below 1")
        yield _too_high(trace, "critical", f"Steps with learning rate {rate:g} overshoot: the loss diverges.", evidence)
    elif static and usual_loop(trace) and (median(late[len(late) // 2 :] or [0.0]) > 0.02 or jump > 0.3):
        yield _too_high(
            trace,
            "critical",
            f"Steps with learning rate {rate:g} change the weights so much that little is learned.",
            evidence,
        )


def _too_high(trace: Trace, severity: Severity, text: str, evidence: dict[str, tuple[float, str]]) -> Finding:
    assert trace.optimizer is not None
    rate = trace.optimizer.rate
    over = max([v for k, (v, _) in evidence.items() if "step over" in k], default=1.0)
    factor = min(0.1, 10 ** -math.ceil(math.log10(max(over * 2, 1.0001)))) if math.isfinite(over) else 0.1
    return finding(
        "learning-rate-high",
        severity,
        text,
        evidence=evidence,
        cures=[scale_rate(rate, factor, f"lower the learning rate to {rate * factor:.2g}"), clip()],
    )


def clipped(trace: Trace) -> float | None:
    """The norm to which every gradient is cut; None where they differ."""
    norms = [math.sqrt(sum(g * g for g in s.gradients)) for s in trace.history.samples[-12:] if s.gradients is not None]
    if len(norms) < 6 or max(norms) <= 0 or not all(map(math.isfinite, norms)):
        return None
    return median(norms) if max(norms) < 1.001 * min(norms) else None


def _low(trace: Trace) -> Iterator[Finding]:
    optimizer, history = trace.optimizer, trace.history
    ends = start_and_end(trace)
    if optimizer is None or ends is None or history.steps < 50 or not usual_loop(trace) or learned_well(trace):
        return
    chance = chance_loss(trace)
    if learned_well(trace, strict=False) and not (chance is not None and ends[1] > 0.5 * min(chance, ends[0])):
        return
    ratios = [r for _, r in history.ratios() if math.isfinite(r)]
    if len(ratios) < 8:
        return
    usual = median(ratios)
    start, end = ends
    travelled = usual * history.steps
    if (
        0 < travelled < 0.1
        and usual < 3e-4
        and end > 0.8 * start
        and (optimizer.rate < (2e-4 if optimizer.adaptive else 1e-2) or clipped(trace) is not None)
    ):
        norm = clipped(trace)
        cut = [advice(f"gradients are cut to norm {norm:.1e}: clip at 1", clip_norm=1.0)] if norm is not None else []
        yield finding(
            "learning-rate-low",
            "warning",
            f"In {history.steps} steps the weights moved by about {travelled:.1%} of their size.",
            evidence={
                "learning rate": (optimizer.rate, "1e-4 to 1e-2" if optimizer.adaptive else "1e-3 to 1"),
                "change of a weight in a step": (usual, "about 0.001"),
                "last loss over first loss": (end / start if start else 1.0, "well below 1"),
            },
            cures=[*cut, scale_rate(optimizer.rate, 100.0 if usual < 1e-5 else 10.0, "raise the learning rate")],
        )


def _penalty(trace: Trace) -> Iterator[Finding]:
    ratio = trace.penalty_ratio
    observed = trace.history.observed
    if ratio is not None and ratio > (2 if observed else 10) and not (observed and learned_well(trace)):
        yield finding(
            "regularization-dominates",
            "critical" if ratio > 10 and observed else "warning",
            f"The gradient of the penalty is {ratio:.3g} times that of the loss on the data.",
            evidence={"penalty's gradient over the loss's": (ratio, "below 0.1")},
            lines=[trace.loss.line] if trace.loss else [],
            cures=[
                advice(
                    f"divide the weight of the penalty by {max(10, ratio * 100):.0e}",
                    "- loss + strength * penalty",
                    f"+ loss + {0.01 / ratio:.1g} * strength * penalty",
                )
            ],
        )
    optimizer = trace.optimizer
    if optimizer is None or optimizer.weight_decay <= 0 or optimizer.kind.lower() == "adamw" or observed < 50:
        return
    sizes = {p.name: math.prod(p.shape) for p in trace.parameters}
    ratios = []
    for s in trace.history.samples[-20:]:
        if s.gradients is None or s.weights is None:
            continue
        grown = [
            w * math.sqrt(max(1.0, sizes.get(n, 1) / 256)) for n, w in zip(trace.history.names, s.weights, strict=True)
        ]
        pull = optimizer.weight_decay * math.sqrt(sum(w * w for w in grown))
        push = math.sqrt(sum(g * g for g in s.gradients))
        ratios.append(pull / max(push, 1e-12))
    # Where decay rules, it ends in balance with the gradient.
    strong = median(ratios) > 2 or (optimizer.weight_decay >= 0.02 and median(ratios) > 0.7) if ratios else False
    if len(ratios) >= 5 and strong and not clipped(trace) and usual_loop(trace) and not learned_well(trace, False):
        yield finding(
            "regularization-dominates",
            "warning",
            f"Weight decay {optimizer.weight_decay:g} pulls {median(ratios):.3g} times as hard as the gradient.",
            evidence={"weight decay over gradient": (median(ratios), "below 0.5")},
            cures=[
                advice(
                    "lower the weight decay",
                    f"- weight_decay={optimizer.weight_decay:g}",
                    f"+ weight_decay={optimizer.weight_decay / 100:g}",
                    optimizer__weight_decay=optimizer.weight_decay / 100,
                )
            ],
        )
