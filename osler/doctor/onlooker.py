"""Looks on while a script trains: sees models called, backward passes and steps, and changes nothing of them."""

from __future__ import annotations

import functools
import inspect
import subprocess
import threading
import weakref
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.modules import module as modules
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from osler.doctor.elsewhere import place, process_started, program_started
from osler.doctor.patient import Patient
from osler.doctor.program import inner
from osler.doctor.tape import Call, Tape
from osler.doctor.tree import leaves, tensors

SAME = 3  # models of one line of the script that are followed
MOST = 12  # models that are followed
WAITED = 4  # steps


class Onlooker:
    """Global hooks and a few patched functions, all taken off at the end of the `with`.

    `only`: the model that is followed, as a whole or in its parts; every model otherwise.
    """

    def __init__(self, only: nn.Module | None = None) -> None:
        self.only = only
        self.patients: list[Patient] = []
        self.unseen: list[str] = []
        self._optimizers: list[weakref.ref[Optimizer]] = []
        self.steps = self.calls = self.backwards = 0
        self.tape = Tape()
        self.looking: tuple[Patient, Call] | None = None  # a call that is an evaluation, if no backward comes
        self._depth, self._thread, self._busy = 0, threading.get_ident(), False
        self._calling: Patient | None = None
        self._paused = False
        self._age = 0  # steps since the recording began
        self._ignored: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._left_out: dict[str, int] = {}
        self._scaled: tuple[weakref.ref[Tensor], Tensor] | None = None
        self._settled: weakref.WeakKeyDictionary[nn.Module, Patient] = weakref.WeakKeyDictionary()
        self._undo: list[Callable[[], Any]] = []

    def __enter__(self) -> Onlooker:
        handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, with_kwargs=True, always_call=True),
            register_optimizer_step_pre_hook(lambda *_: self._safely(self._before_step)),
            register_optimizer_step_post_hook(lambda optimizer, *_: self._safely(self._after_step, optimizer)),
        ]
        self._undo += [handle.remove for handle in handles]
        with_kwargs, number = modules._global_forward_hooks_with_kwargs, handles[1].id
        self._undo.append(lambda: with_kwargs.pop(number, None))  # which torch forgets to clear
        self._patch(Optimizer, "__init__", after=lambda _, optimizer, *__: self.know(optimizer))
        self._patch(GradScaler, "scale", after=self._scaled_loss)
        self._patch(BaseProcess, "start", before=lambda process: self.say(process_started(process)))
        self._patch(subprocess.Popen, "__init__", before=lambda *_: self.say(program_started()))
        backward = torch.autograd.backward

        @functools.wraps(backward)
        def watched(tensors: Any, *arguments: Any, **options: Any) -> None:
            with _Backward(self, tensors):
                backward(tensors, *arguments, **options)

        torch.autograd.backward = watched
        self._undo.append(lambda: setattr(torch.autograd, "backward", backward))
        return self

    def __exit__(self, *_: Any) -> None:
        self._safely(self._end_look)
        self.tape.stop()
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        for patient in self.patients:
            self._safely(patient.end)

    def _patch(
        self, owner: Any, name: str, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
    ) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def patched(*arguments: Any, **options: Any) -> Any:
            if before is not None:
                self._safely(before, *arguments)
            result = original(*arguments, **options)
            if after is not None:
                self._safely(after, result, *arguments)
            return result

        setattr(owner, name, patched)
        self._undo.append(lambda: setattr(owner, name, original))

    def _safely(self, function: Callable[..., None], *arguments: Any) -> None:
        """Whatever goes wrong here must not reach the script."""
        if self._away():
            return
        try:
            function(*arguments)
        except Exception as error:
            self.say(f"A part could not be followed: {type(error).__name__}: {str(error)[:200]}.")

    def _away(self) -> bool:
        return torch.compiler.is_compiling() or self._busy or threading.get_ident() != self._thread

    def say(self, sentence: str) -> None:
        if sentence and sentence not in self.unseen:
            self.unseen.append(sentence)

    # A module is called.

    def _enter(self, module: nn.Module, arguments: Any) -> None:
        if self._away():
            return
        self._depth += 1
        if self._depth == 1:
            self._safely(self._begin, module, arguments)

    def _leave(self, module: nn.Module, arguments: Any, *rest: Any) -> None:
        if self._away():
            return
        self._depth = max(0, self._depth - 1)
        if self._depth == 0:
            options = rest[0] if len(rest) > 1 else {}  # after an exception torch leaves them out
            self._safely(self._end, module, arguments, options, rest[-1])

    def _begin(self, module: nn.Module, arguments: Any) -> None:
        weighty = next(module.parameters(), None) is not None
        if not weighty:
            return  # an activation or a loss
        self._end_look()
        training = torch.is_grad_enabled()
        self._calling = self._patient(module, training)
        if training and self._calling is not None and self._calling.within and self._calling.listens:
            self.tape.start()
        # Without gradients torch may compute in faster ways that a mode would keep it from.
        self._paused = not training and self.tape.on
        if self._paused:
            self.tape.stop()

    def _end(self, module: nn.Module, arguments: Any, options: Any, output: Any) -> None:
        if self._paused:
            self._paused = False
            self.tape.start()
        patient, self._calling = self._calling, None
        if patient is None:
            return
        self.calls += 1
        call = Call(self.calls, _inputs(inner(module), arguments, options), output, len(self.tape.operations))
        if output is None:
            patient.called(call)
            return
        with_graph = torch.is_grad_enabled() and any(t.requires_grad for t in leaves(output))
        if with_graph and (module.training or not patient.trained):
            if patient.listens:
                patient.called(call)
                self.tape.start()
            if self.tape.on:
                self.tape.put_out(call.number, output)
        elif not any(p.open for p in self.patients):
            self.tape.clear()
            call.since = 0
            self.tape.start()
            self.tape.put_out(call.number, output)
            self.looking = patient, call

    def _end_look(self) -> None:
        """The call that was looked at had no backward: it was an evaluation."""
        if self.looking is None:
            return
        (patient, call), self.looking = self.looking, None
        self.tape.stop()
        patient.evaluated(call, self.tape)
        self.tape.clear()

    def _patient(self, module: nn.Module, training: bool) -> Patient | None:
        """The followed model that is called; a new one where weights that learn are met for the first time."""
        settled = self._settled.get(module)
        if settled is not None:
            return settled
        known = [p for p in self.patients if inner(p.model) is inner(module)]
        own = {id(p) for p in module.parameters() if p.requires_grad}
        holders = [o for o in self.optimizers if any(id(p) in own for g in o.param_groups for p in g["params"])]
        if known and (not training or all(any(o in p.optimizers for p in known) for o in holders)):
            if training:
                self._settled[module] = known[-1]
            return known[-1]
        if self.only is not None and not _related(inner(module), inner(self.only)):
            return None
        inside = any(module is m for p in self.patients for m in p.model.modules() if p.model is not module)
        taken = [o for p in self.patients for o in p.optimizers]
        if not training or not own or inside or (not holders and any(o in taken for o in self.optimizers)):
            return None
        if isinstance(module, torch.jit.ScriptModule):
            self.say(f"{module.original_name} is compiled to TorchScript, whose calls can't be watched ({place()}).")
            return None
        at = place()
        if sum(p.place == at for p in self.patients) >= SAME or len(self.patients) >= MOST:
            if module not in self._ignored:
                self._ignored.add(module)
                self._left_out[at] = self._left_out.get(at, 0) + 1
            return None
        for trial in [p for p in self.patients if not p.doctor.trace.history.steps]:
            if any(trial.model is m for m in module.modules()):
                self._forget(trial)
        known = [p for p in known if p in self.patients]
        fresh = [o for o in holders if not any(o in p.optimizers for p in known)]
        patient = Patient(module, fresh or self.optimizers, at)
        self.patients.append(patient)
        probe = patient.doctor._probe
        if probe.root is module:  # its hook came too late for the call that is under way
            probe._enter(module, (), {})
        return patient

    def _forget(self, patient: Patient) -> None:
        patient.doctor.close()
        self.patients.remove(patient)
        self._settled.clear()

    @property
    def optimizers(self) -> list[Optimizer]:
        """Those that are alive, in the order of their making."""
        return [optimizer for known in self._optimizers if (optimizer := known()) is not None]

    # Backward passes and steps.

    def _before_backward(self) -> None:
        self.tape.stop()
        for patient in self.patients:
            patient.look()

    def _after_backward(self, loss: Any) -> None:
        self.backwards += 1
        if not isinstance(loss, Tensor):
            loss = next(leaves(loss), None)
        if self._scaled is not None and self._scaled[0]() is loss:
            loss = self._scaled[1]
        for patient in self.patients:
            if loss is not None and patient.reached():
                if self.looking is not None and self.looking[0] is patient:
                    patient.open, self.looking = [self.looking[1]], None
                patient.arrived(loss, self.tape)
        self._go_on()

    def _before_step(self) -> None:
        self._end_look()
        self.tape.stop()

    def _after_step(self, optimizer: Optimizer) -> None:
        self.steps += 1
        for patient in self.patients:
            if patient.optimizers and patient.optimizers[0] is optimizer:
                patient.stepped()
        self._age += 1
        self._go_on()

    def _go_on(self) -> None:
        """Recording goes on while a call waits for its backward: for a few steps, for it may never come."""
        if self._age > WAITED:
            for patient in self.patients:
                patient.open.clear()
        if any(p.open for p in self.patients):
            self.tape.start()
        else:
            self.tape.clear()
            self._age = 0

    def know(self, optimizer: Optimizer) -> None:
        """An optimizer was made."""
        self._optimizers.append(weakref.ref(optimizer))
        self._settled.clear()
        held = {id(p) for g in optimizer.param_groups for p in g["params"]}
        for trial in [p for p in self.patients if not p.optimizers]:  # called before there was an optimizer
            if not trial.backwards or any(id(p) in held for p in trial.model.parameters()):
                self._forget(trial)

    def _scaled_loss(self, result: Any, _: Any, loss: Any, *__: Any) -> None:
        if isinstance(loss, Tensor) and loss is not result:
            self._scaled = weakref.ref(result), loss

    # The end.

    def cannot_see(self) -> list[str]:
        """What stayed hidden, as sentences; of each model it says itself."""
        found = [*self.unseen]
        for at, count in self._left_out.items():
            found.append(f"{count} more models that were called at {at} were not followed.")
        if not self.patients and not self.unseen:
            why = (
                "no module with trainable weights was called with gradients"
                if not self.backwards
                else "no torch.nn.Module with trainable weights was called before backward"
            )
            found.append(f"No model was trained: {why}.")
        return found


class _Backward:
    """Around a backward pass, inside which modules that are called again (checkpointing) are no calls of a model."""

    def __init__(self, onlooker: Onlooker, loss: Any):
        self.onlooker, self.loss = onlooker, loss

    def __enter__(self) -> None:
        self.outer = self.onlooker._busy
        self.onlooker._safely(self.onlooker._before_backward)
        self.onlooker._busy = True

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.onlooker._busy = self.outer
        if kind is None:
            self.onlooker._safely(self.onlooker._after_backward, self.loss)


def _inputs(module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What a model was given, as `program.call` takes it."""
    if not options:
        return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], Tensor) else tensors(arguments)
    if not arguments:
        return options
    signature = inspect.signature(module.forward)
    names = [n for n, p in signature.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return dict(zip(names, arguments, strict=False)) | options


def _related(one: nn.Module, other: nn.Module) -> bool:
    return any(one is m for m in other.modules()) or any(other is m for m in one.modules())
