"""The examination before training: the program traced with real data, its data looked at, and short experiments."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from osler.doctor.data import features_seen, inputs_of, split_of, table, target_of
from osler.doctor.describe import hidden_modules
from osler.doctor.experiments import curvature, difference, leak, tiled_ratio
from osler.doctor.graph import AFFINE, INPUT, NORMALISING, RECURRENT, TRANSPOSED, Graph, Op, as_layers
from osler.doctor.measure import finite, norm, units_alike
from osler.doctor.pairing import pairing, penalties
from osler.doctor.program import call, call_copy, duplicate, evaluate, quiet
from osler.doctor.reference import neighbours
from osler.doctor.trace import Trace
from osler.doctor.tracing import Tracer, named_calls
from osler.doctor.tree import change, leaves, rows, take
from osler.doctor.units import units_of
from osler.doctor.wiring import sight_of, wiring_of

BATCH = 64  # samples of a traced step
SURVEY = 512  # samples looked at for values that are not finite, and for dead units
BURST = 1e4  # times the inputs: no network needs numbers so large
GLANCE, STEP = 4, 0.2  # samples by which the first step is foretold, and seconds that it may take
PAIR = 16  # samples of experiments that compare two outputs
UNHURRIED = 0.015  # seconds that one of these may take, or fewer samples are looked at
NUMBERS = 2_000_000  # input values of a survey at most


class Examination:
    """Fills a Trace from a copy of the program; what cannot be examined is said in `trace.failures`."""

    def __init__(
        self,
        trace: Trace,
        model: nn.Module,
        loss: Any,
        train: tuple[Any, Any],
        validation: tuple[Any, Any],
        budget: float,
    ):
        self.trace = trace
        self.model, self.loss = duplicate(model, loss)
        self.train, self.validation = train, validation
        self.end = time.perf_counter() + budget
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.move: Callable[[Any], Any] = lambda tree: change(tree, lambda t: t.to(device))

    def run(self) -> None:
        x, y = self.train
        trace = self.trace
        trace.samples = trace.training_rows = rows(x)
        if not trace.samples:
            return
        self._try("the targets", lambda: setattr(trace, "target", target_of(x, y)))
        self._try("the inputs", lambda: setattr(trace, "inputs", inputs_of(x, y)))
        if trace.inputs.copies_of_target:
            self._try("the other features", self._rest)
        if self.validation[0] is not None:
            self._try("the validation part", lambda: setattr(trace, "split", split_of(self.train, self.validation)))
        self._try("the nearest neighbours", lambda: setattr(trace, "reference", neighbours(x, y)))
        draw = torch.Generator().manual_seed(0)
        order = torch.randperm(trace.samples, generator=draw)
        each = max(1, sum(t.numel() for t in leaves(x)) // trace.samples)
        self.batch = self.move(take((x, y), order[: max(2, min(BATCH, NUMBERS // each))]))
        self.survey = self.move(take(x, order[: max(2, min(SURVEY, NUMBERS // each))]))
        self._few_if_slow()
        begun = time.perf_counter()
        self._try("one training step", self._step)
        self._shorten(time.perf_counter() - begun)
        whole = each * trace.samples <= NUMBERS and rows(self.batch[0]) < trace.samples
        if trace.graph is not None and trace.graph.error_phase == "forward" and whole:
            self._whole(x, y)
        if trace.graph is None or trace.graph.error_phase != "forward":
            self._try("evaluation", self._evaluation)
        for graph in (trace.graph, trace.evaluation):
            if graph is not None:
                graph.forget_values()

    def _rest(self) -> None:
        """What the features tell beside those that determine the target."""
        x = table(self.train[0])
        if x is not None:
            keep = torch.ones(x.shape[1], dtype=torch.bool, device=x.device)
            keep[list(self.trace.inputs.copies_of_target)] = False
            told = neighbours(x[:, keep], self.train[1])
            self.trace.inputs.rest_score = None if told is None else told.score - told.chance

    def _few_if_slow(self) -> None:
        """Fewer samples for the first step of a network whose forward pass takes long."""
        start = time.perf_counter()
        with contextlib.suppress(Exception), torch.no_grad():  # what it raises comes up again in the step
            self.model.eval()
            call_copy(self.model, take(self.batch[0], slice(0, GLANCE)))
        most = int(STEP * GLANCE / (3 * (time.perf_counter() - start)))  # a step is about three forward passes
        self.batch = take(self.batch, slice(0, max(PAIR, most)))

    def _shorten(self, seconds: float) -> None:
        """Fewer samples for a slow network: a forward pass takes about a third of a step."""
        self.trace.pace = seconds / max(1, rows(self.batch[0]))
        part = min(1.0, UNHURRIED / max(seconds, 1e-6))
        count = rows(self.batch[0])
        self.batch = take(self.batch, slice(0, max(16, int(count * part))))
        self.survey = take(self.survey, slice(0, max(PAIR, int(4 * count * part))))

    def _whole(self, x: Any, y: Any) -> None:
        """A second try with all rows in their order: a model may need just these (the nodes of a graph)."""
        trace = self.trace
        first = trace.graph, trace.failures.pop()
        self.batch, self.survey = self.move((x, y)), self.move(x)
        self._try("one training step", self._step)
        if trace.graph is not None and trace.graph.error_phase == "forward":
            trace.graph, trace.failures[-1] = first
        else:
            trace.whole = True

    def _try(self, what: str, part: Callable[[], None]) -> None:
        """One part; a program that is too odd for it, or too slow for the budget, is told so and goes on."""
        if time.perf_counter() > self.end:
            self.trace.failures.append(f"{what}: not examined, for the time allowed was over")
            return
        try:
            part()
        except Exception as error:
            self.trace.failures.append(f"{what}: {type(error).__name__}: {str(error)[:200]}")

    # One training step, traced.

    def _step(self) -> None:
        x, y = self.batch
        trace = self.trace
        self.model.train()
        x = change(x, Tensor.clone)  # the model may change what it is given
        given = [t._version for t in leaves(x)]
        tracer = Tracer(self.model, x, y)
        graph = trace.graph = tracer.graph
        loss = None
        with torch.enable_grad(), named_calls(self.model) as stack, tracer:
            tracer.stack = stack
            try:
                output = call(self.model, x)
                graph.input_changed = [t._version for t in leaves(x)] != given
                graph.outputs = tuple(tracer.source(t) for t in leaves(output))
                tracer.phase = "loss"
                if self.loss is not None:
                    loss = evaluate(self.loss, output, y)
            except Exception as error:
                graph.error = f"{type(error).__name__}: {error}"
                graph.error_phase = tracer.phase
        if graph.error_phase == "forward":
            as_layers(graph)
            self._first_layer(graph)
            raise RuntimeError(f"the forward pass raised {graph.error}")
        as_layers(graph)
        self._unregistered(graph)
        self._bare_weights(graph)
        self._first_layer(graph)
        if self.loss is None:
            return
        trace.loss = pairing(graph, rows(x))
        if loss is None:
            raise RuntimeError(f"the loss raised {graph.error}")
        trace.initial_loss = float(loss)
        with contextlib.suppress(Exception):  # a loss that pairs the samples of a batch can't be given twice of them
            trace.tiled_ratio = tiled_ratio(self.loss, change(output, Tensor.detach), y)
        self._gradients(loss, graph, output)
        self._try("the wiring", lambda: wiring_of(trace, self.model, self.loss, self._copied()))

    def _copied(self) -> tuple[Any, Any]:
        """The batch, for a model that may change what it is given."""
        x, y = self.batch
        return change(x, Tensor.clone), y

    def _unregistered(self, graph: Graph) -> None:
        """Trainable tensors that the model uses and does not register, and what it keeps in plain containers."""
        for op in graph.forward():
            if "leaf" in op.inputs and op.name != "__setitem__":
                self.trace.unregistered.append((op.module, op.line))

    def _bare_weights(self, graph: Graph) -> None:
        """Weights that belong to no layer module, used by functions: their units are known from how they are used."""
        records = {p.name: p for p in self.trace.parameters}
        tensors = dict(self.model.named_parameters())
        for op in graph.forward():
            if op.name != "linear" or len(op.inputs) < 2 or len(op.shapes) < 2 or len(op.shapes[1]) != 2:
                continue
            source = op.inputs[1]
            record = records.get(str(source).removeprefix("parameter:"))
            if record is None or record.fan_in or len(record.shape) != 2:
                continue
            record.fan_in = op.shapes[1][1]
            record.flipped = record.shape != op.shapes[1]
            weight = tensors[record.name].detach().float()
            record.alike = units_alike(weight.t() if record.flipped else weight)

    def _first_layer(self, graph: Graph) -> None:
        """The numbers that the first layer with weights sees: whatever the program does to scale its input is done."""
        depends: dict[int, bool] = {}
        found = self.trace.inputs
        for op in graph.ops:
            from_input = any(s == INPUT or (isinstance(s, int) and depends.get(s)) for s in op.inputs)
            depends[op.index] = from_input and op.name not in ("embedding", "embedding_bag", "one_hot")
            if depends[op.index] and op.name in NORMALISING:
                found.normalised = True
            if depends[op.index] and op.name in AFFINE | RECURRENT | TRANSPOSED and op.operands:
                seen = op.operands[0]
                if seen.is_floating_point() and finite(seen):
                    features_seen(found, seen)
                    found.first_layer = op.module
                later = [o for o in graph.ops if op.index in o.inputs]
                found.normalised |= any(o.name in NORMALISING for o in later)
                return

    def _gradients(self, loss: Tensor, graph: Graph, output: Any) -> None:
        trace = self.trace
        named = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        if not loss.requires_grad or not named:
            trace.zero_gradients = trace.backward = bool(named)
            return
        inside = list(named.items())
        wanted = [p for _, p in inside]
        terms = [op for op in penalties(graph) if op.value is not None and op.value.requires_grad]
        found = torch.autograd.grad(loss, wanted, allow_unused=True, retain_graph=bool(terms))
        trace.backward = True
        records = {p.name: p for p in trace.parameters}
        gradients: list[Tensor] = []
        for (name, _), gradient in zip(inside, found, strict=True):
            record = records.get(name)
            if record is None or gradient is None:
                continue
            gradients.append(gradient)
            record.gradient = norm(gradient)
            if record.is_weight and record.alike > 0.5:
                record.gradient_alike = units_alike(gradient.t() if record.flipped else gradient, 1e-4)
        trace.zero_gradients = all(not norm(g) for g in gradients)
        if terms:
            pull = torch.autograd.grad(
                sum(op.value for op in terms if op.value is not None),  # type: ignore[arg-type]
                [p for _, p in inside],
                allow_unused=True,
            )
            penalty = math.sqrt(sum(norm(g) ** 2 for g in pull if g is not None))
            rest = math.sqrt(
                sum(
                    norm(f - (g if g is not None else 0)) ** 2
                    for f, g in zip(found, pull, strict=True)
                    if f is not None
                )
            )
            trace.penalty_ratio = penalty / max(rest, 1e-12)

    # Evaluation mode.

    def _evaluation(self) -> None:
        trace = self.trace
        self.model.eval()
        survey = change(self.survey, Tensor.clone)
        tracer = Tracer(self.model, survey)
        trace.evaluation = tracer.graph
        with torch.no_grad(), named_calls(self.model) as stack, tracer:
            tracer.stack = stack
            output = call(self.model, survey)
            tracer.graph.outputs = tuple(tracer.source(t) for t in leaves(output))
        self._find_bad(tracer.graph)
        self._find_burst(tracer.graph)
        trace.units = units_of(tracer.graph)
        pair = self.survey if trace.whole else take(self.survey, slice(0, PAIR))
        with torch.no_grad():
            first = call_copy(self.model, pair)
            trace.eval_difference = difference(first, call_copy(self.model, pair))
        if not trace.eval_difference and not trace.whole:
            trace.leak = leak(self.model, pair, first)
        self._try("what the model sees of its targets", lambda: sight_of(trace, self.model, self.batch))
        normalised = any(op.name == "batch_norm" for op in tracer.graph.ops)  # steps change its curvature at once
        if trace.optimizer is not None and not trace.optimizer.adaptive and not normalised:
            self._try("the curvature", self._curvature)

    def _find_bad(self, graph: Graph) -> None:
        """The first operation that makes something that isn't a finite number out of finite ones."""
        for op in graph.ops:
            if (
                op.value is None
                or not op.value.is_floating_point()
                or op.name.startswith(("masked_fill", "full", "triu"))
            ):
                continue
            if math.isfinite(float(op.value.detach().sum())):
                continue
            bad = ~torch.isfinite(op.value)
            fresh = all(bool(torch.isfinite(t).all()) for t in op.operands if t.is_floating_point())
            if bool(bad.any()) and fresh and self._reaches_output(graph, op):
                self.trace.first_bad = op
                self.trace.bad_share = float(bad.reshape(len(bad), -1).any(1).float().mean()) if bad.dim() else 1.0
                return

    def _find_burst(self, graph: Graph) -> None:
        """The first operation whose numbers are of another order than those of the inputs."""
        floating = (t.float() for t in leaves(self.batch[0]) if t.is_floating_point())
        given = max((float(t.square().mean()) for t in floating), default=1.0)
        for op in graph.forward():
            if op.value is not None and op.value.is_floating_point() and op.value.numel() > 1:
                power = float(op.value.detach().float().square().mean())
                if BURST**2 * max(1.0, given) < power < math.inf:
                    self.trace.burst, self.trace.burst_size = op, math.sqrt(power / max(1.0, given))
                    return

    def _reaches_output(self, graph: Graph, op: Op) -> bool:
        """Whether what comes out of the model isn't finite either (a mask of −inf before a softmax is in order)."""
        made = [graph.ops[s].value for s in graph.outputs if isinstance(s, int)]
        return any(value is not None and not bool(torch.isfinite(value).all()) for value in made)

    def _curvature(self) -> None:
        if self.trace.initial_loss is None or self.trace.loss is None:
            return
        x, y = self.batch
        weights = [p for p in self.model.parameters() if p.requires_grad]

        def objective() -> Tensor:
            return evaluate(self.loss, call_copy(self.model, x), y)

        with torch.enable_grad():
            first = torch.autograd.grad(objective(), weights, allow_unused=True)
            used = [(p, g) for p, g in zip(weights, first, strict=True) if g is not None]
            if used:
                self.trace.curvature = curvature(objective, [p for p, _ in used], [g for _, g in used])


def examine(
    trace: Trace, model: nn.Module, loss: Any, train: tuple[Any, Any], validation: tuple[Any, Any], budget: float
) -> None:
    """Fills the trace with what can be known before training; nothing of the user's is changed."""
    with quiet():
        trace.hidden = hidden_modules(model)
        if train[0] is None:
            return
        try:
            examination = Examination(trace, model, loss, train, validation, budget)
        except Exception as error:
            trace.failures.append(
                f"the program: no copy of it can be made ({type(error).__name__}: {str(error)[:200]})"
            )
            return
        examination.run()
