"""A model that trains in somebody's script: what goes through it, the loss it is trained by, and its diagnosis."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from osler.doctor.diagnosis import Diagnosis
from osler.doctor.doctor import Doctor
from osler.doctor.evaluation import Evaluation
from osler.doctor.follow import follow
from osler.doctor.gathering import Gathering, form, joined
from osler.doctor.program import inner, is_compiled, quiet
from osler.doctor.replay import Replay
from osler.doctor.tape import Call, Made, Tape, terms
from osler.doctor.tree import change

TRIES = 4  # steps after which a loss that can't be recorded is given up
CHECKED = 3  # steps in which a recorded loss must give what the script computed
STEPS = 64  # steps whose backward passes are counted
BUDGET = 5.0  # seconds for the examination: the script is over, nobody waits for the next step
OPEN = 64  # calls whose backward is waited for


class Patient:
    """Follows one model from just before its first step, of which it keeps a copy."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], place: str):
        self.model, self.optimizers, self.place = model, tuple(optimizers), place
        self.missing: list[str] = []  # what could not be seen, and why
        with quiet():
            try:
                self.before: nn.Module | None = copy.deepcopy(inner(model))
            except Exception as error:
                self.before = None
                self._miss(f"no copy of it can be made ({type(error).__name__}: {str(error)[:200]}), so it was "
                           "examined as it was at the end")  # fmt: skip
            self.doctor = Doctor(model, optimizers)
        self.train, self.evaluation = Gathering(), Evaluation()
        self.replay: Replay | None = None
        self.within = False  # whether the model computes its loss itself
        self.agreed = self.failed = 0  # recordings that gave the script's own loss, and steps without a recording
        self.open: list[Call] = []
        self.trained = False  # whether a backward pass in training mode came
        self.pending: list[tuple[Any, Any]] = []
        self.losses: list[Tensor] = []  # of the backward passes since gradients were cleared
        self.unstepped: list[Tensor] = []
        self.counts: list[int] = []  # backward passes of each step
        self.backwards = 0
        weights = [p for p in model.parameters() if p.requires_grad]
        self.canaries = list({id(p): p for p in (*weights[:2], *weights[-2:])}.values())
        self.seen: list[tuple[Tensor, int] | None] = []
        self.clear = True

    @property
    def name(self) -> str:
        by = " and ".join(dict.fromkeys(type(o).__name__ for o in self.optimizers))
        return f"{type(inner(self.model)).__name__}{f' trained by {by}' if by else ''} ({self.place})"

    @property
    def trains(self) -> bool:
        return bool(self.backwards or self.doctor.trace.history.steps)

    @property
    def listens(self) -> bool:
        """Whether the way from the output to the loss is still to be recorded."""
        return self.failed < TRIES and not (self.train.full or self.train.over)

    def _miss(self, what: str) -> None:
        if what not in self.missing:
            self.missing.append(what)

    # Training.

    def called(self, call: Call) -> None:
        self.open.append(call)
        del self.open[:-OPEN]

    def look(self) -> None:
        """Notes a few gradients, to see whether a backward pass reaches them, and whether they were clear before."""
        self.seen = [(p.grad, p.grad._version) if p.grad is not None else None for p in self.canaries]
        held = [p.grad for p in self.canaries if p.grad is not None]
        self.clear = not held
        if held and (held[0].device.type == "cpu" or len(self.counts) < STEPS):
            smallest = min(held, key=Tensor.numel)
            self.clear = not smallest.is_sparse and not bool(smallest.any())

    def reached(self) -> bool:
        return any(
            p.grad is not None and (old is None or p.grad is not old[0] or p.grad._version != old[1])
            for p, old in zip(self.canaries, self.seen, strict=True)
        )

    def arrived(self, loss: Tensor, tape: Tape) -> None:
        """A backward pass reached the weights."""
        self._close_evaluation()
        self.backwards += 1
        self.trained = self.trained or self.model.training
        if self.clear:
            self.losses.clear()
            self.pending.clear()
        self.losses.append(loss.detach())
        if not self.doctor.trace.history.steps and len(self.unstepped) < 2048:
            self.unstepped.append(loss.detach())
        if self.open:
            self.pending += self._recorded(loss, tape)
            del self.pending[:-OPEN]

    def _recorded(self, loss: Tensor, tape: Tape) -> list[tuple[Any, Any]]:
        """The batches that this loss was computed from; the loss is learned on the way, or checked."""
        calls = {call.number: call for call in self.open}
        end = tape.reference(loss)
        parts = terms(tape, end, set(calls)) if end is not None else {}
        self.open = [call for call in self.open if parts is not None and parts and call.number not in parts]
        if not parts:
            self._fail(
                "its loss depends on several calls of the model at once"
                if parts is None
                else "the way from its output to its loss could not be followed"
            )
            return []
        core = inner(self.model)
        found = {n: follow(tape, part, n, calls[n].inputs, core, self.within) for n, part in parts.items()}
        if self.within and not all(one.predicts for one in found.values()):  # it puts out nothing but its loss
            found = {n: follow(tape, part, n, calls[n].inputs, core) for n, part in parts.items()}
        first = next(iter(found))
        if all(one.signature == found[first].signature for one in found.values()):
            self._learn(found[first], calls[first], parts[first], tape)
        else:
            self._fail("its loss has parts of several kinds")
        return [(calls[n].inputs, one.wanted(one.targets)) for n, one in found.items()]

    def _fail(self, why: str) -> None:
        self.failed += 1
        if self.replay is None:
            self._miss(f"{why}, so the loss was not computed again")

    def _learn(self, found: Replay, call: Call, end: Any, tape: Tape) -> None:
        if self.within and self.replay is not None and self.replay.scalar and not found.scalar:
            self.replay, self.train = None, Gathering()  # from now on with what it is computed from
        known = self.replay
        if known is None:
            if not self.failed:  # else it may be another loss that reaches these weights too
                self.replay, self.within = found, self.within or found.scalar
            return
        if self.agreed >= CHECKED:
            return
        if known.random:
            self.agreed += 1
            return
        try:
            wrong = "" if known.signature == found.signature else "is computed in another way each time"
            wrong = wrong or self._differs(known, found, call, end, tape)
        except Exception as error:
            wrong = f"can't be computed again ({type(error).__name__}: {str(error)[:100]})"
        if wrong:
            self.replay, self.failed = None, TRIES
            self._miss(f"its loss {wrong}, so experiments with it were left out")
        else:
            self.agreed += 1

    def _differs(self, known: Replay, found: Replay, call: Call, end: Any, tape: Tape) -> str:
        """What is wrong with the loss as it was recorded first, in the light of this step; "" when nothing is."""
        made = tape.operations[end.index].made[end.leaf] if isinstance(end, Made) else end.tensor
        value = float(made.detach().float().mean())
        pair = change((call.output, found.wanted(found.targets)), lambda t: t.detach().clone())
        with quiet(), torch.no_grad():
            again = float(known(*pair).float().mean())
            if known.sized:
                half = slice(0, max(1, found.count // 2))
                try:
                    known(*change(pair, lambda t: t[half].clone() if t.dim() and len(t) == found.count else t))
                except Exception:
                    return "depends on the number of samples in a way that can't be followed"
        close = 2e-2 if made.dtype in (torch.float16, torch.bfloat16) else 1e-4
        alike = math.isclose(value, again, rel_tol=close, abs_tol=1e-6) or not math.isfinite(value)
        return "" if alike else "is computed in another way each time"

    def stepped(self) -> None:
        """The optimizer has moved the weights."""
        self.unstepped.clear()
        self._close_evaluation()
        if not self.backwards and self.open:
            self.train.add(self.open[-1].inputs, None)
        self._gather()
        if self.losses:
            if len(self.counts) < STEPS:
                self.counts.append(len(self.losses))
            self.doctor.observe(self.losses[0] if len(self.losses) == 1 else self._of_step())
        self.losses.clear()
        self.open.clear()

    def _gather(self) -> None:
        """What a step learned from, as one batch: of several parts each may have a target of its own."""
        if len({str(form(batch)) for batch in self.pending}) == 1:
            self.train.add(*joined(self.pending))
        else:
            for inputs, targets in self.pending:
                self.train.add(inputs, targets)
        self.pending.clear()

    def _of_step(self) -> Tensor:
        """The loss of a step of several backward passes: the mean, or their sum where each was divided already."""
        total, count = torch.stack([loss.float().mean() for loss in self.losses]).sum(), len(self.losses)
        shared = self.replay is not None and math.isclose(self.replay.scaled_by() * count, 1, rel_tol=1e-6)
        return total if shared else total / count

    def evaluated(self, call: Call, tape: Tape) -> None:
        """The model was called without being trained by it."""
        if self.replay is not None and self.trained:
            self.evaluation.see(self.replay, call, tape, self.train)

    def _close_evaluation(self) -> None:
        value = self.evaluation.close()
        if value is not None:
            self.doctor.validate(value)

    # The end.

    def end(self) -> None:
        """The script is over: nothing is watched any more."""
        self._close_evaluation()
        for loss in self.unstepped if not self.doctor.trace.history.steps else ():
            self.doctor.observe(loss)
        self.doctor.close()

    def diagnose(self, raised: Tape | None = None) -> Diagnosis:
        """Examines the copy from before the first step, and judges all; `raised`: the script broke off here."""
        doctor, trace = self.doctor, self.doctor.trace
        trace.history.settle()
        usual = median(self.counts) if self.counts else 1
        if usual > 1 and sum(count == usual for count in self.counts) >= 0.9 * len(self.counts):
            doctor.accumulation = trace.accumulation = int(usual)
            if self.replay is not None and math.isclose(self.replay.scaled_by() * usual, 1, rel_tol=1e-6):
                self.replay.unscaled()
        self._last_words(raised)
        train = joined(self.train.batches)
        heldout = joined(self.evaluation.heldout.batches) if self.train.whole else (None, None)
        core, before = inner(self.model), self.before
        if self.replay is not None:
            now = dict(core.named_parameters()) | dict(core.named_buffers())
            then = dict(before.named_parameters()) | dict(before.named_buffers()) if before is not None else now
            doctor.loss = self.replay.bound({id(t): then[name] for name, t in now.items() if name in then})
        doctor.examine(train, heldout if heldout[0] is not None else None, budget=BUDGET, model=before or core)
        if self.train.over:
            trace.training_rows = self.train.count
        order = doctor._probe.order
        if order is not None:
            for inputs, _ in self.train.batches:
                order.see(inputs)
        if self.replay is not None:
            doctor.loss = self.replay.bound()
        return doctor.diagnose()

    def _last_words(self, raised: Tape | None) -> None:
        """Where the script broke off before its first step, the data and the loss up to there are all there is."""
        if not self.train.batches:
            self._gather()
        if self.train.batches or not self.open:
            return
        call = self.open[-1]
        if raised is not None and raised.broken is not None and self.replay is None and call.output is not None:
            self.replay = follow(raised, raised.fail(), call.number, call.inputs, inner(self.model))
            self.train.add(call.inputs, self.replay.wanted(self.replay.targets))
        else:
            self.train.add(call.inputs, None)

    def cannot_see(self, broken: bool = False) -> list[str]:
        """What stayed hidden, as sentences."""
        found = [f"{self.name}: {what}." for what in self.missing]
        if is_compiled(self.model):
            found.append(f"{self.name}: it is compiled, so its steps were watched from outside only.")
        if any(isinstance(m, torch.jit.ScriptModule) for m in self.model.modules()):
            found.append(f"{self.name}: what its TorchScript modules compute inside was not seen.")
        if not self.backwards and not broken:
            found.append(f"{self.name}: it was called with gradients, but no backward pass reached its weights.")
        return found
