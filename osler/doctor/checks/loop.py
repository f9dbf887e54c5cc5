"""Is the loop in order: clear, forward, backward, step?"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from osler.doctor.checks.progress import learned_well, per_epoch
from osler.doctor.checks.say import finding, named
from osler.doctor.cures import advice, train_mode
from osler.doctor.trace import Trace
from osler.records import Finding


def check(trace: Trace) -> list[Finding]:
    history = trace.history
    found = list(_workers(trace))
    if not history.samples and not history.observed:
        return found
    return [
        *found,
        *_clearing(trace),
        *_stepping(trace),
        *_dead(trace),
        *_mode(trace),
        *_batch_norm(trace),
        *_growth(trace),
        *_schedule(trace),
    ]


def _workers(trace: Trace) -> Iterator[Finding]:
    if trace.workers_alike:
        yield finding(
            "nondeterministic-workers",
            "warning",
            "Every worker of the data loader makes the same random changes: each has a copy of one generator, which "
            "also begins anew in every epoch.",
            evidence={"workers that differ": (0, "all")},
            cures=[
                advice(
                    "draw from torch's generator, which every worker has for itself",
                    "- self.random = np.random.default_rng(0)",
                    "+ seed = torch.randint(2**31, ()).item()  # in __getitem__",
                ),
                advice(
                    "or seed the workers",
                    "+ def seed_worker(worker): dataset.random = np.random.default_rng(torch.initial_seed())",
                    "+ DataLoader(..., worker_init_fn=seed_worker)",
                ),
            ],
        )


def _clearing(trace: Trace) -> Iterator[Finding]:
    """Gradients hold something at the first contribution of every step, and it is what the last step left."""
    seen = [s for s in trace.history.samples if s.step >= 1 and s.stale is not None and s.has_gradients]
    if len(seen) < 3 or trace.history.steps < 4:
        return
    stale = [float(s.stale) for s in seen if s.stale is not None]
    if min(stale) > 0:
        yield finding(
            "missing-zero-grad",
            "critical",
            "Gradients are never cleared: every backward pass finds those of earlier steps and adds to them.",
            evidence={
                "steps that began with old gradients": (len(stale), "0"),
                "norm of what was left": (median(stale), "0"),
            },
            cures=[
                advice(
                    "clear them before every backward pass",
                    "+ optimizer.zero_grad()",
                    "  loss.backward()",
                    "  optimizer.step()",
                )
            ],
        )


def _stepping(trace: Trace) -> Iterator[Finding]:
    history = trace.history
    samples = history.samples
    known = trace.optimizer is not None
    if history.observed >= 5 and history.steps == 0:
        moved = any(s.updates is not None and any(u > 0 for u in s.updates) for s in samples)
        had = any(s.has_gradients or s.backwards for s in samples)
        if not moved and (had or known) and samples:
            yield finding(
                "missing-step",
                "critical",
                f"{history.observed} steps were reported, and no weight has changed: optimizer.step() is never called.",
                evidence={"calls of step": (0, str(history.observed))},
                cures=[advice("apply the gradients", "  loss.backward()", "+ optimizer.step()")],
            )
        return
    late = [s for s in samples if s.step >= 1]
    empty = [s for s in samples if s.forwards and not s.has_gradients]
    if len(samples) >= 5 and len(empty) == len([s for s in samples if s.forwards]) and empty:
        arrives = any(s.backwards for s in samples)
        yield finding(
            "step-before-backward",
            "critical",
            "Whenever the optimizer steps there are no gradients: "
            + (
                "they are cleared between backward and step, or come after it."
                if arrives
                else "backward is never called, or not for this model's loss."
            ),
            evidence={"steps without gradients": (len(empty), "0")},
            cures=[
                advice(
                    "zero_grad, backward, step: in this order",
                    "+ optimizer.zero_grad()",
                    "+ loss.backward()",
                    "+ optimizer.step()",
                )
            ],
        )
        return
    # Weights that have gradients and a rate, and never change.
    live = [s for s in late if s.updates is not None and s.gradients is not None and s.rates and max(s.rates) > 0]
    if len(live) < 5:
        return
    still = []
    for i, name in enumerate(history.names):
        record = next((p for p in trace.parameters if p.name == name), None)
        if (
            record is None
            or record.kind.startswith("Embedding")
            or not record.optimized
            or i >= len(live[0].updates or ())
        ):
            continue
        if all(s.updates[i] == 0 for s in live) and any(s.gradients[i] > 1e-12 for s in live):
            still.append(name)
    if still and not learned_well(trace):
        where = dict.fromkeys(n.rpartition(".")[0] for n in still)
        everything = len(still) == len(history.names)
        yield finding(
            "unchanged-parameter",
            "critical" if everything else "warning",
            f"The weights of {named(where)} have gradients, but no step changes them.",
            where=where,
            evidence={"tensors that never change": (len(still), "0")},
            cures=[advice("look for a rate of 0, a second copy of the model, or steps that are skipped")],
        )


def _dead(trace: Trace) -> Iterator[Finding]:
    """Weights that had a gradient at first, and have had none for many steps."""
    history = trace.history
    seen = [s for s in history.samples if s.step >= 1 and s.updates is not None and s.gradients is not None]
    late = seen[len(seen) // 2 :]
    if len(late) < 5 or learned_well(trace, strict=False):
        return
    by_name = {p.name: p for p in trace.parameters}
    dead = [
        name
        for i, name in enumerate(history.names)
        if (p := by_name.get(name)) is not None
        and p.is_weight
        and p.optimized
        and (p.gradient or seen[0].gradients[i])
        and all(s.gradients[i] == 0 for s in late)
    ]
    if dead:
        where = dict.fromkeys(by_name[name].module for name in dead)
        yield finding(
            "dead-weights",
            "warning",
            f"The weights of {named(where)} have had no gradient since step {late[0].step} at the latest.",
            where=where,
            evidence={"tensors without a gradient": (len(dead), "0"), "looks in a row": (len(late), "")},
            cures=[advice("find what stands between them and the loss: dead units, a saturated output")],
        )


def _mode(trace: Trace) -> Iterator[Finding]:
    samples = [s for s in trace.history.samples if s.forwards]
    if len(samples) < 3:
        return
    off = [s for s in samples if not s.training]
    later = samples[len(samples) // 2 :]
    lately = [s for s in later if not s.training]
    if len(lately) < 0.9 * len(later) or not off:
        return
    affected = [layer for layer in trace.layers if layer.trainable and (layer.kind == "batch-norm" or layer.p > 0)]
    functional = trace.graph is not None and any(
        op.name.endswith("dropout") and op.options.get("p") not in (0, 0.0) for op in trace.graph.forward()
    )
    names = [layer.name for layer in affected if layer.kind != "recurrent" or layer.p > 0]
    norm = any(layer.kind == "batch-norm" for layer in affected)
    if not names and not functional:
        return
    flips = any(s.training for s in samples)
    yield finding(
        "eval-mode-training",
        "critical" if norm or not learned_well(trace) else "warning",
        (
            "After an evaluation the model is never set back to training mode"
            if flips
            else "The model trains in evaluation mode"
        )
        + (": batch norm keeps its old statistics" if norm else ": dropout is off")
        + ".",
        where=names,
        evidence={"training steps in evaluation mode": (len(off) / len(samples), "0")},
        cures=[train_mode()],
    )


def _batch_norm(trace: Trace) -> Iterator[Finding]:
    norms = [layer for layer in trace.layers if layer.kind == "batch-norm" and layer.trainable]
    samples = [s for s in trace.history.samples if s.rows and s.training]
    graph = trace.graph
    if not norms or len(samples) < 3 or graph is None:
        return
    size = median(s.rows for s in samples)
    # Over pictures and sequences a batch norm averages over positions too.
    calls = [op for op in graph.forward() if op.name == "batch_norm" and op.shapes]
    thin = [op for op in calls if size * _positions(op.shapes[0]) < 4]
    if size >= 4 or (calls and not thin and size > 1):
        return
    where = [layer.name for layer in norms]
    yield finding(
        "small-batch-norm",
        "warning",
        f"Batch norm at {named(where)} sees {size:g} samples at a time.",
        where=where,
        evidence={"samples of a batch": (size, "at least 16")},
        cures=[
            advice("larger batches", f"- batch_size={size:g}", "+ batch_size=32", batch_size=32),
            advice(
                "or a normalisation that doesn't depend on the batch",
                "- nn.BatchNorm1d(n)",
                "+ nn.LayerNorm(n)",
                model__normalization="layer",
            ),
        ],
    )


def _positions(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape[2:]:
        total *= n
    return total


def _growth(trace: Trace) -> Iterator[Finding]:
    held, of, span = trace.history.held, trace.history.held_of, trace.history.held_span
    if trace.history.carried:
        yield finding(
            "graph-growth",
            "critical",
            "The model is given its own output of an earlier step with the graph behind it: backward goes through all "
            "steps so far, or fails.",
            evidence={"steps looked at that carried a graph over": (trace.history.carried, "0")},
            cures=[advice("cut a carried state off its past", "+ state = state.detach()")],
        )
        return
    # What is gathered for the mean of an epoch and then let go is no leak.
    if of >= 8 and span > max(60.0, 1.5 * per_epoch(trace)):
        yield finding(
            "graph-growth",
            "warning",
            f"The graphs of {held} of {of} steps looked at, all long over, are still held in memory.",
            evidence={"graphs still alive": (held, "0"), "steps since the oldest": (span, "")},
            cures=[
                advice(
                    "keep numbers, not tensors with their history",
                    "- total = total + loss",
                    "+ total = total + loss.item()",
                ),
                advice("or cut a carried state off its past", "+ state = state.detach()"),
            ],
        )


def _schedule(trace: Trace) -> Iterator[Finding]:
    history = trace.history
    found = history.schedule
    rates = [(s.step, max(s.rates)) for s in history.samples if s.rates]
    if history.steps < 30 or len(rates) < 8:
        return
    size = per_epoch(trace)
    passes = history.steps / size if size else float(history.validation.count)
    top = max(rate for _, rate in rates)
    gone = next((step for step, rate in rates if rate < 1e-3 * top and step > 0), None)
    peak = next(step for step, rate in rates if rate == top)
    if gone is not None and gone > peak and gone < 0.6 * history.steps and not learned_well(trace, strict=False):
        yield finding(
            "scheduler-misuse",
            "warning",
            f"The learning rate fell from {top:g} to nothing within {gone} of {history.steps} steps: the schedule is "
            "stepped too often, after every batch instead of every epoch.",
            evidence={
                "step at which the rate was gone": (gone, f"near {history.steps}"),
                "passes through the data by then": (gone / size if size else 0.0, ""),
            },
            cures=[advice("step it once an epoch", "  for batch in loader: ...", "+ scheduler.step()  # after it")],
        )
    stepped, kind, period = found.get("stepped", 1), found.get("kind", ""), found.get("period", 0)
    if stepped <= 0 and passes >= 3 and len({rate for _, rate in rates}) == 1:
        yield finding(
            "scheduler-misuse",
            "hint" if learned_well(trace) else "warning",
            f"{kind} was made but not stepped in {history.steps} steps.",
            evidence={"steps of the schedule": (stepped, "one per epoch or per step")},
            cures=[advice("step it once an epoch, after the optimizer", "+ scheduler.step()")],
        )
    elif kind == "CosineAnnealingLR" and period and stepped > 4 * period and stepped > 0.8 * rates[-1][0] and size >= 4:
        yield finding(
            "scheduler-misuse",
            "hint" if learned_well(trace) else "warning",
            f"{kind} with T_max={period} is stepped after every batch: the rate went up and down "
            f"{stepped / (2 * period):.0f} times.",
            evidence={"steps of the schedule": (stepped, f"at most {period}")},
            cures=[advice("step it once an epoch, or count T_max in steps", f"+ T_max={history.steps}")],
        )
