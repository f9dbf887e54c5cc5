"""The doctor: watches any training loop from outside and says what is wrong with it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from osler.doctor.checks.table import judge
from osler.doctor.describe import layers_of, optimizer_of, parameters_of
from osler.doctor.diagnosis import Diagnosis
from osler.doctor.examination import examine
from osler.doctor.history import Series
from osler.doctor.loaders import pair, workers_alike
from osler.doctor.order import Order
from osler.doctor.outcome import outcome_of
from osler.doctor.probe import Probe
from osler.doctor.program import inner
from osler.doctor.trace import Trace
from osler.doctor.tree import leaves, rows, take
from osler.errors import InputError

LATER = 400  # samples of each part that a later diagnosis is measured on
SECONDS = 0.1  # that such a pass may take, or fewer samples are
NUMBERS = 1_000_000


class Doctor:
    """Finds what is wrong with a training program, proves it with numbers, and proposes cures.

    `model`: any `nn.Module`. `optimizer`: the torch Optimizer (or several) that trains it. `loss`: the function
    (prediction, target) → scalar of the loop. `accumulation`: how many backward passes are gathered for one step.
    `told`: the loop promises to call `observe` after every step, and only sampled steps carry hooks.
    The loop stays as it is; all it may call is `observe`, once after each optimizer step, and `validate`. Two networks
    that are trained against each other have a doctor each. Nothing of the model, the optimizer or the random state is
    changed.

    Hooks come off with `close()`, at the end of a `with`, or when the doctor is dropped.

        >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(dim=1))
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> x = torch.randn(90, 4, generator=torch.manual_seed(0))
        >>> y = (x[:, 0] > 0).long() + (x[:, 1] > 0)
        >>> with osler.Doctor(model, optimizer, nn.CrossEntropyLoss()) as doctor:
        ...     diagnosis = doctor.examine(train=(x, y))
        >>> diagnosis[0].ailment, diagnosis[0].severity, diagnosis[0].where
        ('double-softmax', 'critical', ('3', '2'))
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Iterable[Optimizer] | None = None,
        loss: Callable[..., Any] | None = None,
        accumulation: int = 1,
        *,
        told: bool = False,
    ):
        if not isinstance(model, nn.Module):
            raise InputError(f"model is a {type(model).__name__}; the doctor examines a torch.nn.Module")
        optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer or ())
        for one in optimizers:
            if not isinstance(one, Optimizer):
                raise InputError(
                    f"optimizer is a {type(one).__name__}; give a torch.optim.Optimizer, a list of them or None"
                )
        if loss is not None and not callable(loss):
            raise InputError(f"loss is a {type(loss).__name__}; give a function of (prediction, target)")
        if accumulation < 1:
            raise InputError(
                f"accumulation is {accumulation}; it counts the backward passes of a step and is at least 1"
            )
        self.model, self.loss, self.accumulation = model, loss, accumulation
        self.optimizers = optimizers
        self.trace = Trace(accumulation=accumulation, has_loss=loss is not None)
        self._train: tuple[Any, Any] = (None, None)
        self._validation: tuple[Any, Any] = (None, None)
        self._begun = time.perf_counter()
        self._describe()
        self._probe = Probe(model, optimizers[0] if optimizers else None, self.trace.history, told)
        self._finalizer = weakref.finalize(self, Probe.close, self._probe)

    def __enter__(self) -> Doctor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Takes every hook off; a diagnosis can still be asked for."""
        self._finalizer()

    def examine(
        self, train: Any = None, validation: Any = None, budget: float = 2.0, model: nn.Module | None = None
    ) -> Diagnosis:
        """What can be known before training.

        `train`, `validation`: (inputs, targets) as tensors or arrays (inputs may be a tuple or dict of them, as the
        model takes them), or a loader of such batches; they are held on to, for what is measured at the end.
        `budget`: seconds after which no further experiment is begun.
        `model`: a copy of the model as it was when the doctor came, for an examination after the training has begun.
        The model, its buffers and modes, the optimizer and the random states are the same afterwards, bit for bit.
        """
        self.trace.workers_alike = workers_alike(train)
        inputs, targets = pair(train, "train")
        held, known = pair(validation, "validation")
        if model is None:
            self._describe()
        self.trace.has_loss = self.loss is not None
        examine(self.trace, inner(model or self.model), self.loss, (inputs, targets), (held, known), budget)
        self._train = inputs, targets
        self._validation = (None, None) if self.trace.whole else (held, known)
        if targets is not None and (self.trace.target.sorted_runs > 0.3 or _uneven(self.trace.target.counts)):
            try:
                self._probe.order = Order(inputs, targets)
            except Exception as error:
                self.trace.failures.append(f"the order of the rows: {type(error).__name__}: {error}")
        return self._judge()

    def observe(self, loss: Any) -> None:
        """Call after each optimizer step with the loss of that step (a tensor or a number)."""
        if isinstance(loss, Tensor):
            loss = loss.detach()
            if loss.dim():
                loss = loss.mean()
            if loss.device.type == "cpu":  # nothing to wait for; and a mean may hold the memory of all that it is of
                loss = loss.item()
        self.trace.history.losses.add(loss)
        self._probe.observed()

    def validate(self, loss: Any = None, **metrics: Any) -> None:
        """Call after an epoch with the loss, and any other measures, on rows that aren't learned from."""
        history = self.trace.history
        if loss is not None:
            history.validation.add(float(loss))
            if len(history.validation_steps) < 4096:
                history.validation_steps.append(max(history.steps, history.observed))
        for name, value in metrics.items():
            history.metrics.setdefault(name, Series(512)).add(float(value))

    def diagnose(self) -> Diagnosis:
        """All that was found so far, the causes first."""
        history = self.trace.history
        history.settle()
        history.seconds = time.perf_counter() - self._begun
        if self._probe.order is not None:
            history.label_entropy, history.batch_counts = self._probe.order.verdict()
        learned = history.steps or history.observed
        self.trace.outcome = None
        if learned and self._train[0] is not None:
            parts = [part if self.trace.whole else self._some(*part) for part in (self._train, self._validation)]
            self.trace.outcome = outcome_of(self.trace, inner(self.model), self.loss, *parts)
        return self._judge()

    def _describe(self) -> None:
        core = inner(self.model)
        held = (
            {id(p) for o in self.optimizers for g in o.param_groups for p in g["params"]} if self.optimizers else None
        )
        self.trace.parameters = parameters_of(core, held)
        self.trace.layers = layers_of(core)
        first = [optimizer_of(core, o) for o in self.optimizers]
        self.trace.optimizer = first[0] if first else None
        if len(first) > 1 and self.trace.optimizer is not None:
            rest = [o for o in first[1:] if o is not None]
            self.trace.optimizer.rates += tuple(r for o in rest for r in o.rates)
            self.trace.optimizer.tensors += sum(o.tensors for o in rest)
            self.trace.optimizer.strangers += sum(o.strangers for o in rest)

    def _some(self, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """Some samples of a part; few, where they are large or the network is slow."""
        count = rows(inputs)
        if not count:
            return None, None
        each = max(1, sum(t.numel() for t in leaves(inputs)) // count)
        in_time = int(SECONDS / max(self.trace.pace / 3, 1e-9))  # a forward pass takes about a third of a step
        answers = max(1, next((t.numel() for t in leaves(targets)), count) // count)  # of a sample: a token each, say
        most = max(2, min(LATER, NUMBERS // each, max(8, 64 // answers, in_time)))
        order = torch.randperm(count, generator=torch.Generator().manual_seed(3))[:most]
        return take(inputs, order), take(targets, order)

    def _judge(self) -> Diagnosis:
        self.trace.history.settle()
        return Diagnosis(judge(self.trace), self.trace)


def _uneven(counts: tuple[int, ...]) -> bool:
    present = [c for c in counts if c]
    return len(present) > 1 and max(present) > 5 * min(present)
