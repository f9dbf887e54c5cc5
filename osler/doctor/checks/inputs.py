"""Are the data fit to be learned from?"""

from __future__ import annotations

from collections.abc import Iterator

from osler.doctor.checks.progress import learned_well
from osler.doctor.checks.say import finding, named, short
from osler.doctor.cures import advice, class_weights, standardise_input
from osler.doctor.graph import Graph
from osler.doctor.trace import Trace
from osler.records import Finding

COLOURS = (1, 3, 4)


def check(trace: Trace) -> list[Finding]:
    return [
        *_finite(trace),
        *_scale(trace),
        *_target_scale(trace),
        *_channels(trace),
        *_mixed(trace),
        *_changed(trace),
        *_imbalance(trace),
        *_shuffled(trace),
        *_leak(trace),
        *_noise(trace),
        *_small(trace),
    ]


def _finite(trace: Trace) -> Iterator[Finding]:
    if not trace.inputs.finite:
        yield finding(
            "nonfinite-data",
            "critical",
            f"{trace.inputs.bad_values} input values are NaN or infinite.",
            evidence={"bad values": (trace.inputs.bad_values, "0")},
            cures=[advice("fill in or drop them before training", "+ x = torch.nan_to_num(x)")],
        )
    if not trace.target.finite:
        yield finding(
            "nonfinite-data",
            "critical",
            "Some targets are NaN or infinite.",
            cures=[advice("drop the rows without a target", "+ keep = y.isfinite()")],
        )


def _scale(trace: Trace) -> Iterator[Finding]:
    found = trace.inputs
    v = found.first
    if v is None:
        return
    largest = max(abs(v.low), abs(v.high))
    image = len(v.shape) > 2
    shifted = abs(v.mean) > 3 * v.std > 0 if image else found.shifted >= 0.25
    signs = {
        "largest input": (largest, "below 50", largest > 50),
        "features whose mean is beyond 3 deviations": (found.shifted, "below 25 %", shifted and not image),
        "mean over deviation": (abs(v.mean) / max(v.std, 1e-9), "below 3", shifted and image),
        "ratio of deviations": (found.spread, "below 100", found.spread > 100),
        "deviation": (v.std, "about 1", v.std > 0 and largest < 1e-3),
    }
    told = {k: (value, healthy) for k, (value, healthy, hit) in signs.items() if hit}
    # Bounded inputs of a few rows are no matter for a scale; a normalisation at the start mends it.
    if not told or v.std == 0:
        return
    own = [p.trainable for p in trace.parameters if p.module == found.first_layer]
    if own and not any(own) and any(p.trainable for p in trace.parameters):
        return  # frozen: it has learned from inputs of this scale
    mended = found.normalised or learned_well(trace)
    yield finding(
        "unscaled-input",
        "hint" if mended else "warning",
        f"The first layer {named([found.first_layer])} sees inputs from {short(v.low)} to {short(v.high)} with mean "
        f"{short(v.mean)} and deviation {short(v.std)}.",
        where=[found.first_layer],
        evidence=told,
        cures=[standardise_input(), advice("or, for pictures, divide by 255", "+ x = x / 255")],
    )


def _target_scale(trace: Trace) -> Iterator[Finding]:
    target, loss = trace.target, trace.loss
    if loss is None or not loss.regresses or not loss.direct or target.kind != "real" or not target.finite:
        return
    if set(loss.steps) - {"squeeze", "view", "reshape", "flatten", "unsqueeze", "__getitem__"}:
        return
    far = abs(target.mean) > 5 * max(target.std, 1e-9) and abs(target.mean) > 5
    if target.std <= 10 and not far:
        return
    yield finding(
        "unscaled-target",
        "hint" if learned_well(trace) else "warning",
        f"The targets have mean {short(target.mean)} and deviation {short(target.std)}.",
        evidence={"deviation": (target.std, "about 1, at most 10"), "mean": (target.mean, "within 5 deviations of 0")},
        cures=[
            advice(
                "standardise the target, and undo it for predictions",
                "+ y = (y - y.mean()) / y.std()",
                scale=True,
            )
        ],
    )


def _channels(trace: Trace) -> Iterator[Finding]:
    shape = trace.inputs.shape
    graph = trace.graph
    if graph is None or len(shape) != 4:
        return
    yield from _scrambled(trace, graph)
    first = next(
        (op for op in [*graph.forward(), *([graph.broken] if graph.broken else [])] if op.name == "conv2d"), None
    )
    if first is None or not first.shapes or len(first.shapes) < 2 or first.shapes[0][1:] != shape[1:]:
        return
    last = shape[3] in COLOURS and shape[1] not in COLOURS and shape[1] > 4 and shape[2] > 4
    if not last:
        return
    alike = 0.5 <= shape[1] / shape[2] <= 2
    if not alike:
        return
    yield finding(
        "channel-order",
        "critical",
        f"Pictures of shape (N, {shape[1]}, {shape[2]}, {shape[3]}) go into the convolution {named([first.module])}, "
        f"which takes the {shape[1]} rows for channels and the {shape[3]} colours for columns.",
        where=[first.module],
        lines=[first.line],
        evidence={
            "channels that the convolution sees": (shape[1], str(shape[3])),
            "columns": (shape[3], str(shape[2])),
        },
        cures=[advice("channels first", "+ x = x.permute(0, 3, 1, 2)", f"+ nn.Conv2d({shape[3]}, ...)")],
    )


def _scrambled(trace: Trace, graph: Graph) -> Iterator[Finding]:
    """Channels brought to the front by a view, which keeps the numbers in their order and so mixes them up."""
    for op in graph.forward():
        if op.name not in ("view", "reshape") or not op.shapes or len(op.shapes[0]) != 4 or len(op.shape) != 4:
            continue
        count, height, width, channels = op.shapes[0]
        if channels not in COLOURS[1:] or op.shape != (count, channels, height, width) or height == channels:
            continue
        where = graph.around(op)
        yield finding(
            "channel-order",
            "critical",
            f"The {op.name} from (N, {height}, {width}, {channels}) to (N, {channels}, {height}, {width}) leaves the "
            "numbers in their order: pixels of all places and colours are mixed up.",
            where=where,
            lines=[op.line],
            evidence={"axes moved": ("no", "yes")},
            cures=[advice("move the axis", f"- x.{op.name}(...)", "+ x.permute(0, 3, 1, 2)")],
        )


def _imbalance(trace: Trace) -> Iterator[Finding]:
    target, loss = trace.target, trace.loss
    present = [c for c in target.counts if c]
    if loss is None or not loss.classifies or not loss.direct or len(present) < 2 or loss.weighted:
        return
    ratio = max(present) / min(present)
    if ratio <= 10 or sum(present) < 50:
        return
    seen = [c for c in trace.history.batch_counts if c]
    if len(seen) == len(present) and max(seen) < 3 * min(seen):
        return  # the sampler balances them
    rare = target.counts.index(min(present))
    evidence = {"largest class over smallest": (ratio, "below 10")}
    severity = "warning" if loss.weighted is False or loss.name in ("log", "normalised log") else "hint"
    part = trace.outcome.train if trace.outcome is not None else None
    if part is not None and part.recalls:
        scarce = [r for c, r in part.recalls.items() if target.counts[c] * 10 < max(present)]
        if scarce:
            evidence["recall of the rarest classes"] = (min(scarce), "above 0.7")
            severity = "warning" if min(scarce) < 0.7 else "hint"
    elif trace.history.observed:
        severity = "hint"
    yield finding(
        "class-imbalance",
        severity,  # type: ignore[arg-type]
        f"Class {rare} has {min(present)} samples, the most frequent {max(present)}, and the loss weighs them alike.",
        evidence=evidence,
        cures=[class_weights(target.counts), advice("or draw batches evenly: WeightedRandomSampler")],
    )


def _shuffled(trace: Trace) -> Iterator[Finding]:
    if trace.target.sorted_runs < 0.5:
        return
    inside = trace.history.label_entropy
    if inside is None:
        yield finding(
            "unshuffled-data",
            "hint",
            "The training rows are sorted by class; batches must be drawn at random.",
            evidence={"label entropy that neighbours lack": (trace.target.sorted_runs, "near 0")},
            cures=[advice("shuffle", "+ DataLoader(..., shuffle=True)")],
        )
    elif inside < 0.5:
        yield finding(
            "unshuffled-data",
            "critical",
            "Batches come in the order of the file, which is sorted by class: stretches of them hold one class.",
            evidence={"label entropy of a batch, relative to shuffled": (inside, "about 1")},
            cures=[
                advice(
                    "shuffle the training rows every epoch",
                    "- DataLoader(..., shuffle=False)",
                    "+ DataLoader(..., shuffle=True)",
                )
            ],
        )


def _leak(trace: Trace) -> Iterator[Finding]:
    copies = trace.inputs.copies_of_target
    at, share = trace.inputs.exact
    if not copies and share > 0.2:
        yield finding(
            "target-leakage",
            "warning",
            f"For {share:.0%} of the rows column {at} gives the target exactly, by one straight line: it was made from "
            "the target itself.",
            evidence={"rows where the column is the target": (share, "near 0")},
            cures=[advice("encode each row by the targets of other rows only (out of fold), or drop the column")],
        )
    yield from _tokens(trace)
    if not copies:
        return
    names = ", ".join(map(str, copies[:5]))
    # One column that tells all may just be the law where the others tell nothing; where they tell much it is odd.
    rest = trace.inputs.rest_score
    odd = trace.target.kind != "real" or (rest is not None and rest > 0.1)
    yield finding(
        "target-leakage",
        "warning" if odd else "hint",
        f"Column {names} alone determines the target: it is probably written from the outcome.",
        evidence={"share of the target it explains": (trace.inputs.copy_strength, "below 0.99")},
        cures=[advice("drop the column", f"+ x = np.delete(x, {list(copies[:5])}, axis=1)")],
    )


def _tokens(trace: Trace) -> Iterator[Finding]:
    """A model of sequences that is shown what it is to foretell."""
    if trace.copies_input:
        yield finding(
            "target-leakage",
            "critical",
            "The target of every place is the token that stands there in the input: there is nothing to foretell, only "
            "to copy.",
            evidence={"targets that are their own input": (1.0, "0")},
            cures=[advice("shift the target by one", "- y = tokens[:, :-1]", "+ y = tokens[:, 1:]")],
        )
    elif trace.sees_target:
        yield finding(
            "target-leakage",
            "critical",
            "The target is the next token, and the model sees it: its output for one place depends on later ones.",
            where=[""],
            evidence={"outputs that depend on later tokens": ("yes", "no")},
            cures=[
                advice(
                    "a causal mask, and no layer that reads backwards",
                    "+ mask = torch.triu(torch.full((T, T), -inf), diagonal=1)",
                )
            ],
        )


def _mixed(trace: Trace) -> Iterator[Finding]:
    op = trace.mixing
    if op is None or trace.graph is None or trace.leak < 1e-4:
        return
    where = trace.graph.around(op)
    axis = op.shapes[0].index(op.shape[0])
    yield finding(
        "misaligned-labels",
        "critical",
        f"The {op.name} from {op.shapes[0]} to {op.shape} at {named(where)} mixes the samples: their axis was {axis}.",
        where=where,
        lines=[op.line],
        evidence={"change of an output when other samples leave the batch": (trace.leak, "0")},
        cures=[advice("bring the batch to the front first", f"+ x = x.transpose(0, {axis})  # before {op.name}")],
    )


def _changed(trace: Trace) -> Iterator[Finding]:
    op = trace.changes_input
    if op is None or trace.graph is None:
        return
    where = trace.graph.around(op)
    yield finding(
        "unscaled-input",
        "warning" if trace.history.observed and not learned_well(trace) else "hint",
        f"The {op.name} at {named(where)} changes its input in place: where a batch is a view of the data, the data "
        "are changed again in every epoch.",
        where=where,
        lines=[op.line],
        evidence={"inputs changed in place": ("yes", "no")},
        cures=[advice("make a new tensor", f"- x.{op.name}_(...)", f"+ x = x.{op.name}(...)")],
    )


def _noise(trace: Trace) -> Iterator[Finding]:
    r = trace.reference
    classes = trace.target.classes
    if r is None or classes < 3 or trace.target.kind not in ("classes", "one-hot"):
        return
    informed = r.score > r.chance + 12 * r.spread
    # Hard classes are confused where votes are split; wrong labels contradict clear votes as often as any.
    everywhere = r.contradicted > 0.65 * (1 - r.score)
    if informed and r.contradicted > 0.12 and everywhere and r.mixing > 0.7:
        yield finding(
            "label-noise",
            "warning",
            f"About {r.contradicted:.0%} of the labels contradict a clear majority of their nearest neighbours, evenly "
            "over the classes.",
            evidence={
                "labels against a clear vote": (r.contradicted, "below 10 %"),
                "unanimous votes": (r.pure, "above 35 %"),
                "evenness over the classes": (r.mixing, "low: hard classes; high: noise"),
            },
            cures=[
                advice("look at the suspects and relabel them"),
                advice(
                    "or stop early, smooth labels, use a robust loss",
                    "+ nn.CrossEntropyLoss(label_smoothing=0.1)",
                    label_smoothing=0.1,
                ),
            ],
        )


def _small(trace: Trace) -> Iterator[Finding]:
    found = trace.inputs
    if found.constant:
        yield finding(
            "constant-feature",
            "hint",
            f"{found.constant} of {found.features} features never change.",
            evidence={"constant features": (found.constant, "0")},
            cures=[advice("drop them")],
        )
