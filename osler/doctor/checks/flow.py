"""Does the signal pass, forwards and backwards?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

import torch

from osler.doctor.checks.progress import chance_loss, learned_well, usual_loop
from osler.doctor.checks.say import finding, named, short
from osler.doctor.cures import advice, clip, initialise
from osler.doctor.trace import Parameter, Trace, Unit
from osler.doctor.units import DEAD
from osler.records import Finding


def check(trace: Trace) -> list[Finding]:
    return [
        *_dead(trace),
        *_saturated(trace),
        *_vanishing(trace),
        *_along_time(trace),
        *_exploding(trace),
        *_nonfinite(trace),
    ]


def _seen(trace: Trace) -> list[Unit]:
    """The activations on rows of the training part as they are now; else in the last steps, or before training."""
    return (trace.outcome.units if trace.outcome is not None else None) or _watched(trace) or trace.units


def _watched(trace: Trace) -> list[Unit]:
    """The activations in the last steps that were looked at, where no rows of the training part are known."""
    history = trace.history
    found = []
    for key, where in history.alive_where.items():
        name = key.split("|")[1]
        recent, late = (
            history.alive.get(key, []),
            [s.saturated[key] for s in history.samples[-20:] if key in s.saturated],
        )
        if len(recent) >= 5:
            dead = float((torch.stack(recent[-5:]).amax(0) <= DEAD).float().mean())
            found.append(Unit(where, (where,), name, "", dead, units=recent[0].numel()))
        elif len(late) >= 3:
            found.append(Unit(where, (where,), name, "", saturated=median(late)))
    return found


def _dead(trace: Trace) -> Iterator[Finding]:
    if learned_well(trace, strict=False):
        return
    dead = [
        unit for unit in _seen(trace) if unit.name == "relu" and unit.dead > 0.5 and unit.units > 1 and not unit.still
    ]
    if not dead:
        return
    spots = [name for unit in dead for name in unit.where]
    worst = max(unit.dead for unit in dead)
    at_start = max((u.dead for u in trace.units if u.name == "relu"), default=0.0)
    yield finding(
        "dying-relu",
        "critical" if worst > 0.9 else "warning",
        f"{worst:.0%} of the units behind {named(spots)} are 0 for every sample, and no gradient can wake them.",
        where=spots,
        evidence={"share of dead units": (worst, "below 20 %"), "share before training": (at_start, "0")},
        cures=[
            initialise([n for n in spots if any(p.module == n and p.is_weight for p in trace.parameters)])
            if at_start > 0.5
            else advice("a lower learning rate keeps units from being thrown out"),
            advice(
                "a leaky ReLU, or normalisation before it",
                "- nn.ReLU()",
                "+ nn.LeakyReLU(0.01)",
                model__activation="leaky_relu",
            ),
        ],
    )


def _saturated(trace: Trace) -> Iterator[Finding]:
    if learned_well(trace, strict=False):
        return
    hits = [
        unit for unit in _seen(trace) if unit.name in ("sigmoid", "tanh") and unit.saturated > 0.6 and not unit.final
    ]
    if hits:
        spots = [name for unit in hits for name in unit.where]
        worst = max(unit.saturated for unit in hits)
        yield finding(
            "saturation",
            "warning",
            f"{worst:.0%} of the outputs of {named(spots)} are at their bounds, where the activation is flat.",
            where=spots,
            evidence={"share at the bounds": (worst, "below 50 %")},
            cures=[
                advice("scale the inputs, or draw smaller weights (Xavier)"),
                advice("ReLU in hidden layers", "+ nn.ReLU()", model__activation="relu"),
            ],
        )


def _in_order(trace: Trace) -> list[Parameter]:
    """Weights in the order in which the forward pass uses them."""
    graph = trace.graph
    if graph is None:
        return []
    by_name = {p.name: p for p in trace.parameters}
    found: dict[str, Parameter] = {}
    for op in graph.forward():
        for source in op.inputs:
            if isinstance(source, str) and source.startswith("parameter:"):
                p = by_name.get(source.partition(":")[2])
                if p is not None and p.is_weight and p.trainable and p.gradient is not None:
                    found.setdefault(p.name, p)
    return list(found.values())


def _typical(p: Parameter, norm: float) -> float:
    return norm / math.sqrt(max(1, math.prod(p.shape)))


def _along_time(trace: Trace) -> Iterator[Finding]:
    """What stands early in a sequence is not learned from."""
    flow, outcome = trace.time_flow, trace.outcome
    later = outcome.time_flow if outcome is not None else None
    if flow is None or not trace.history.observed or learned_well(trace, strict=False):
        return
    if not flow < 1e-3 or (later is not None and not later < 1e-3):
        return
    moved = [ratio for _, ratio in trace.history.ratios()]
    if trace.history.steps < 100 or not moved or median(moved) < 3e-4:
        return  # it has hardly been trained
    where = [layer.name for layer in trace.layers if layer.kind == "recurrent"]
    yield finding(
        "vanishing-gradient",
        "warning",
        f"Going back in time through {named(where)} the gradient vanishes: the first quarter of a sequence gets "
        f"{short(flow)} of what the last quarter gets, so nothing that stands early can be learned.",
        where=where,
        evidence={
            "early over late gradient before training": (flow, "above 0.001"),
            **({"early over late gradient now": (later, "above 0.001")} if later is not None else {}),
        },
        cures=[
            advice("LSTM or GRU, whose gates carry the state on", "- nn.RNN(...)", "+ nn.LSTM(...)"),
            advice("let the forget gate remember at first", "+ nn.init.constant_(lstm.bias_ih_l0[H : 2 * H], 2.0)"),
            advice("orthogonal recurrent weights, attention, or shorter sequences"),
        ],
    )


def _vanishing(trace: Trace) -> Iterator[Finding]:
    weights = _in_order(trace)
    if len(weights) < 3 or (trace.history.observed and learned_well(trace, strict=False)):
        return
    flow = [(p, _typical(p, p.gradient or 0.0)) for p in weights]
    first, last = flow[0][1], flow[-1][1]
    if not (0 < first < 1e-4 and first < 1e-3 * last):
        return
    samples = [s for s in trace.history.samples if s.gradients is not None]
    if samples and usual_loop(trace):
        names = trace.history.names
        a, b = names.index(weights[0].name), names.index(weights[-1].name)
        later = [
            (_typical(weights[0], s.gradients[a]), _typical(weights[-1], s.gradients[b]))
            for s in samples[len(samples) // 2 :]
        ]
        if later and median(x / max(y, 1e-30) for x, y in later) > 1e-2:
            return  # it came to life
    faint = [p for p, size in flow if size < 1e-3 * last]
    where = [p.module for p in faint]
    graph = trace.graph
    if graph is not None:
        wanted = set(where)
        for op in graph.forward():
            before = graph.layer_before(op)
            if op.name in ("sigmoid", "tanh", "softmax") and before is not None and before.module in wanted:
                where.append(op.module)
    yield finding(
        "vanishing-gradient",
        "critical" if first < 1e-6 * last else "warning",
        f"The gradient of the first layer {named([weights[0].module])} is {short(first / last)} of that of the last: "
        "next to nothing arrives there.",
        where=[w for w in where if w] or where,
        evidence={
            "first layer's gradient over the last's": (first / last, "above 0.001"),
            "typical gradient of the first layer": (first, "above 1e-7"),
            "layers": (len(weights), ""),
        },
        cures=[
            advice("ReLU with He weights in hidden layers", "- nn.Sigmoid()", "+ nn.ReLU()", model__activation="relu"),
            advice("normalisation, or shortcuts around layers"),
            initialise(p.module for p in weights),
        ],
    )


def _exploding(trace: Trace) -> Iterator[Finding]:
    well = trace.history.observed and learned_well(trace, strict=False)
    steep = [p for p in trace.parameters if p.spectral > 2 and p.trainable]
    if steep and not well:
        where = dict.fromkeys(p.module for p in steep)
        top = max(p.spectral for p in steep)
        yield finding(
            "exploding-gradient",
            "warning",
            f"The recurrent weights of {named(where)} stretch the state up to {top:.3g} times in every step of the "
            "sequence, and the gradient with it.",
            where=where,
            evidence={"largest singular value of the recurrent weights": (top, "about 1"), **_norms(trace)},
            cures=[
                clip(),
                advice(
                    "orthogonal recurrent weights of gain 1, or LSTM / GRU", "+ nn.init.orthogonal_(rnn.weight_hh_l0)"
                ),
            ],
        )
        return
    chance, first, burst = chance_loss(trace), trace.initial_loss, trace.burst
    if burst is not None and not well and chance is not None and first is not None and first > 100 * chance:
        yield finding(
            "exploding-gradient",
            "critical",
            f"Before any training the {burst.name} in {named([burst.module])} gives numbers {short(trace.burst_size)} "
            "times as large as the inputs; gradients on the way back grow alike.",
            where=[burst.module],
            lines=[burst.line],
            evidence={
                "activations over inputs": (trace.burst_size, "about 1"),
                "first loss": (first, f"about {short(chance)}, the loss of guessing"),
                **_norms(trace),
            },
            cures=[
                advice("keep factors that are applied again and again at 1 or below", "+ decay = torch.sigmoid(decay)"),
                advice("normalisation, smaller initial weights"),
                clip(),
            ],
        )
        return
    if well or not usual_loop(trace):
        return
    totals = [math.sqrt(sum(g * g for g in s.gradients)) for s in trace.history.samples if s.gradients is not None]
    if len(totals) < 8:
        return
    finite = [t for t in totals if math.isfinite(t)]
    start = median(finite[:4]) if len(finite) >= 4 else 0.0
    top = max(finite, default=0.0)
    if start > 0 and (top > 1e4 * max(start, 1e-3) or (len(finite) < len(totals) and top > 100 * start)):
        yield finding(
            "exploding-gradient",
            "warning",
            f"The norm of the gradient grew from {short(start)} to {short(top)}.",
            where=_steepest(trace),
            evidence=_norms(trace),
            cures=[clip(), advice("a lower learning rate")],
        )


def _steepest(trace: Trace) -> list[str]:
    """The modules with the largest gradients in the steepest step, recurrent ones before all."""
    samples = [s for s in trace.history.samples if s.gradients is not None]
    finite = [s for s in samples if all(map(math.isfinite, s.gradients))]
    if not finite:
        return []
    worst = max(finite, key=lambda s: sum(g * g for g in s.gradients))
    by_size = sorted(zip(worst.gradients, trace.history.names, strict=True), reverse=True)
    modules = [name.rpartition(".")[0] for _, name in by_size[:3]]
    recurrent = [layer.name for layer in trace.layers if layer.kind == "recurrent"]
    return list(dict.fromkeys([*recurrent, *modules]))


def _norms(trace: Trace) -> dict[str, tuple[float, str]]:
    totals = [math.sqrt(sum(g * g for g in s.gradients)) for s in trace.history.samples if s.gradients is not None]
    finite = [t for t in totals if math.isfinite(t)]
    return {"largest norm of the gradient": (max(finite), "no more than 70 times the median")} if finite else {}


def _nonfinite(trace: Trace) -> Iterator[Finding]:
    op = trace.first_bad
    risky = {
        "log": ("an epsilon inside the logarithm", "- torch.log(x)", "+ torch.log(x + 1e-6)"),
        "div": ("an epsilon in the denominator", "- a / b", "+ a / (b + 1e-6)"),
        "sqrt": ("an epsilon under the root", "- torch.sqrt(x)", "+ torch.sqrt(x + 1e-6)"),
        "exp": ("clamp before the exponential", "+ x.clamp(max=20).exp()"),
    }
    if op is not None:
        title, *lines = risky.get(op.name, ("clamp what goes in, or add an epsilon",))
        yield finding(
            "nonfinite",
            "critical",
            f"The {op.name} in {named([op.module])} makes NaN or infinity out of finite numbers, for "
            f"{trace.bad_share:.1%} of the samples.",
            where=[op.module],
            lines=[op.line],
            evidence={"samples that are not finite": (trace.bad_share, "0")},
            cures=[advice(title, *lines)],
        )
        return
    bad, first = trace.history.bad, trace.history.losses.first_bad
    if bad is not None:
        where = [bad.module] if bad.what == "forward" or bad.module else []
        title, *lines = risky.get(bad.name, ("lower the learning rate, and clip gradients",))
        what = f"the {bad.name} in {named(where)}" if bad.what == "forward" else f"the gradient at {named(where)}"
        yield finding(
            "nonfinite",
            "critical",
            f"At step {bad.step} {what} was the first to be no finite number.",
            where=where,
            lines=[bad.line],
            evidence={"first bad step": (bad.step, "never")},
            cures=[advice(title, *lines), clip()],
        )
    elif first is not None:
        yield finding(
            "nonfinite",
            "critical",
            f"The loss of step {first} is no finite number.",
            evidence={"first bad step": (first, "never")},
            cures=[advice("a lower learning rate; an epsilon in logarithms and denominators"), clip()],
        )
    elif trace.initial_loss is not None and not math.isfinite(trace.initial_loss) and trace.inputs.finite:
        yield finding(
            "nonfinite",
            "critical",
            "The loss is no finite number before any training.",
            evidence={"first loss": (trace.initial_loss, "finite")},
            lines=[trace.loss.line] if trace.loss else [],
            cures=[advice("an epsilon in logarithms and denominators of the loss")],
        )
