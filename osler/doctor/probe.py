"""Watches a training loop from outside, by hooks on the model and on the optimizer's step.

Most steps cost a few function calls. Now and then a step is sampled: only then are there hooks on modules and
parameters.
"""

from __future__ import annotations

import math
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from osler.doctor.autopsy import first_bad
from osler.doctor.describe import DROPOUTS
from osler.doctor.history import Bad, History, Sample
from osler.doctor.order import Order
from osler.doctor.program import inner, is_compiled
from osler.doctor.schedules import ScheduleWatch
from osler.doctor.tracing import canonical
from osler.doctor.tree import leaves

DENSE = 6  # steps sampled one after the other at the start
GROWTH, SPARSE = 1.2, 2.0  # ratio of the steps of later samples, and where they cost much
WATCHED = 256  # entries of a tensor that updates are measured on
SHARE, START = 0.015, 0.02  # of the time that samples may take, after so many seconds of them
DISPATCH = 4e-6  # seconds that a mode costs an operation, beside what it does
RECENT = 10  # samples over which a unit must be silent to count as dead
MOST = 300  # samples kept
QUIET, QUICK = 1000, 2.5e-3  # steps after which a loop of so short steps (in seconds) has hooks in sampled ones only


class Token:
    """Put into the graph of an output, to see whether it is held many steps later, or comes back as an input."""

    __slots__ = ("__weakref__", "owner", "step")

    def __init__(self, owner: int, step: int):
        self.owner, self.step = owner, step


class Watch(TorchFunctionMode):
    """Looks at the activations of one forward pass, whether they are called as modules or as functions."""

    def __init__(self, probe: Probe, sample: Sample):
        super().__init__()
        self.probe, self.sample = probe, sample
        self.stack = [""]
        self.channels = False
        self.counts: dict[str, int] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        start = time.perf_counter() - DISPATCH
        name = canonical(func)
        if name.startswith("conv"):
            self.channels = True
        elif name in ("linear", "addmm", "matmul"):
            self.channels = False
        elif name in ("relu", "sigmoid", "tanh") and isinstance(result, Tensor) and result.dim() > 1:
            self._look(name, result.detach())
        self.probe.spent += time.perf_counter() - start
        return result

    def _look(self, name: str, value: Tensor) -> None:
        module = self.stack[-1]
        number = self.counts[module] = self.counts.get(module, -1) + 1
        key = f"{module}|{name}|{number}"
        history = self.probe.history
        if name == "relu":
            axis = 1 if value.dim() > 2 and self.channels else value.dim() - 1
            largest = value.amax([d for d in range(value.dim()) if d != axis])
            recent = history.alive.setdefault(key, [])
            if recent and recent[-1].shape != largest.shape:
                recent.clear()
            recent.append(largest)
            del recent[:-RECENT]
        else:
            far = (2 * value - 1).abs() if name == "sigmoid" else value.abs()
            self.sample.saturated[key] = (far > 0.99).float().mean()
        history.alive_where[key] = module


class Probe:
    """Fills a History; `close` takes every hook off.

    `told`: every step is reported by `observed`, so that between the sampled ones no hook is needed at all.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer | None, history: History, told: bool = False):
        self.model, self.history, self.told = model, history, told
        self.order: Order | None = None
        self.optimizer = optimizer
        core = inner(model)
        self.core = core
        self.named = [(n, p) for n, p in core.named_parameters() if p.requires_grad and not is_lazy(p)]
        history.names = tuple(n for n, _ in self.named)
        history.watched = optimizer is not None
        self.modal = [
            (n, m)
            for n, m in core.named_modules()
            if (isinstance(m, DROPOUTS) and m.p > 0) or isinstance(m, nn.modules.batchnorm._BatchNorm)
        ]
        held = {id(p) for g in optimizer.param_groups for p in g["params"]} if optimizer is not None else None
        small = [p for _, p in self.named if p.is_floating_point() and (held is None or id(p) in held)]
        self.canary = min(small[:3], key=Tensor.numel, default=None)
        # The gradient of a last bias may be nothing at all: of differences, say.
        self.heard = next((p for p in reversed(small) if p.dim() > 1), small[-1] if small else None)
        self.on_cpu = self.canary is not None and self.canary.device.type == "cpu"
        self.pointers: list[int] = []
        self.views: list[Tensor | None] = []
        self.sizes = [min(WATCHED, p.numel()) for _, p in self.named]
        self.sample: Sample | None = None
        self.batch: Any = None
        self.forwards = 0
        self.next = 0
        self.started: float | None = None
        self.spent = 0.0
        self.lasting: list[Any] = []
        self.passing: list[Any] = []
        self.watch: Any = None
        self.hooked: nn.Module | None = None
        self.before: Tensor | None = None
        self.tokens: deque[tuple[int, weakref.ref[Token]]] = deque(maxlen=64)
        self.stepped = True
        self.schedule = ScheduleWatch(optimizer) if optimizer is not None else None
        if self.schedule is not None:
            self.schedule.note()
        if not told:
            self.lasting += self._hooks()
            self._arm()

    @property
    def compiled(self) -> bool:
        """Hooks inside compiled code would have it compiled again: there only its outside is watched, if it has one."""
        return is_compiled(self.model)

    @property
    def root(self) -> nn.Module | None:
        return self.core if not self.compiled else self.model if self.model is not self.core else None

    @property
    def activations(self) -> bool:
        """Whether the inside of the model may be looked at."""
        return not self.compiled and not isinstance(self.model, nn.DataParallel)

    def _hooks(self) -> list[Any]:
        """On the model's call and on the optimizer's step."""
        me, root = weakref.ref(self), self.root
        self.hooked = root  # kept, for finding it takes longer than all else in a call
        hooks = [] if root is None else [root.register_forward_pre_hook(_calling(me, "_enter"), with_kwargs=True)]
        if self.optimizer is not None:
            hooks.append(self.optimizer.register_step_pre_hook(_calling(me, "_before_step")))
            hooks.append(self.optimizer.register_step_post_hook(_calling(me, "_after_step")))
        return hooks

    def close(self) -> None:
        self._disarm()
        for handle in self.lasting:
            handle.remove()
        self.lasting.clear()
        self.batch = None

    # A sampled step begins and ends.

    def _arm(self) -> None:
        start = time.perf_counter()
        self.sample = Sample(self.history.steps)
        self.before = self._entries()  # now, so that the steps of other optimizers count too
        me, root = weakref.ref(self), self.root
        if self.told:
            self.passing += self._hooks()
        if self.heard is not None and not self.compiled:
            hook: Any = self.heard.register_hook
            self.passing.append(hook(_arrival(me, weakref.ref(self.heard))))
        if root is not None:
            self.passing.append(root.register_forward_hook(_calling(me, "_leave"), always_call=True))
        if self.activations:
            for name, module in self.core.named_modules():
                if name and not isinstance(module, torch.jit.ScriptModule):
                    self.passing.append(module.register_forward_pre_hook(_entering(me, name)))
                    self.passing.append(module.register_forward_hook(_leaving(me), always_call=True))
        self.spent += time.perf_counter() - start

    def _disarm(self) -> None:
        self._unwatch()
        for handle in self.passing:
            handle.remove()
        self.passing.clear()
        self.sample = self.before = None

    # The model is called.

    def _enter(self, module: nn.Module, arguments: Any, options: Any) -> None:
        if module is not self.hooked or not torch.is_grad_enabled():  # a copy of the model has copies of the hooks
            return
        self.forwards += 1
        self.batch = (arguments, options)
        sample = self.sample
        if sample is None or torch.compiler.is_compiling():
            return
        start = time.perf_counter()
        first = next(leaves([*arguments, options]), None)
        sample.forwards += 1
        for tensor in leaves([*arguments, options]):
            node: Any = tensor.grad_fn
            token = node.metadata.get("osler") if node is not None else None
            if token is not None and token.owner == id(self) and token.step < self.history.steps:
                self.history.carried += 1  # an output of an earlier step, its graph with it
        if first is not None and first.dim():
            sample.rows = len(first)
        sample.training = module.training
        sample.frozen_modes = tuple(n for n, m in self.modal if not m.training)
        if self.order is not None and sample.forwards == 1:
            self.order.see(arguments[0] if arguments else options)
        if self.activations and self.watch is None and sample.forwards == 1:
            self.watch = Watch(self, sample)
            self.watch.__enter__()
        self.spent += time.perf_counter() - start

    def _leave(self, module: nn.Module, arguments: Any, output: Any) -> None:
        if module is not self.hooked:
            return
        self._unwatch()
        if self.sample is None:
            return
        token = Token(id(self), self.history.steps)
        nodes: list[Any] = [t.grad_fn for t in leaves(output) if t.grad_fn is not None]
        for node in nodes:
            node.metadata["osler"] = token
        if nodes:
            self.tokens.append((self.history.steps, weakref.ref(token)))

    def _unwatch(self) -> None:
        if self.watch is not None:
            watch, self.watch = self.watch, None
            watch.__exit__(None, None, None)

    # The optimizer steps.

    def _before_step(self, optimizer: Optimizer, *_: Any) -> None:
        if optimizer is not self.optimizer:
            return
        self._unwatch()
        sample = self.sample
        if self.on_cpu and self.canary is not None and self.history.bad is None:
            gradient = self.canary.grad
            if gradient is not None and not gradient.is_sparse and not math.isfinite(gradient.sum().item()):
                self._autopsy()
        if sample is None:
            return
        start = time.perf_counter()
        sample.rates = tuple(float(g["lr"]) for g in self.optimizer.param_groups if "lr" in g) if self.optimizer else ()
        if sample.step == 0:  # what was loaded or drawn anew since the doctor came is no step
            self.before = self._entries()
        self.spent += time.perf_counter() - start

    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        if optimizer is not self.optimizer:
            return
        self.stepped = True
        if not self.told:
            self.history.steps += 1
        self._note_gradients()
        self._boundary(self.sample)

    def _note_gradients(self) -> None:
        """After the step, for a closure computes them within it."""
        sample = self.sample
        if sample is None:
            return
        start = time.perf_counter()
        gradients = [p.grad for _, p in self.named]
        sample.has_gradients = any(g is not None for g in gradients)
        if sample.has_gradients:
            zero = torch.zeros((), device=self.named[0][1].device)
            present = [g.coalesce().values() if g.is_sparse else g for g in gradients if g is not None]
            norms = iter(torch._foreach_norm(present))
            sample.gradients = torch.stack(
                [zero if g is None else next(norms).to(zero.device).float() for g in gradients]
            )
        self.spent += time.perf_counter() - start

    def _boundary(self, sample: Sample | None) -> None:
        self.batch = None
        now = time.perf_counter()
        if self.started is None:
            self.started = now
        history = self.history
        if sample is not None:
            if self.before is not None:
                after = self._entries()
                sample.weights = torch.stack(torch._foreach_norm(list(torch.split(self.before, self.sizes))))
                sample.updates = torch.stack(torch._foreach_norm(list(torch.split(after - self.before, self.sizes))))
            history.samples.append(sample)
            if len(history.samples) > MOST:
                del history.samples[DENSE : DENSE + (MOST - DENSE) // 2 : 1]
            self._disarm()
            self._count_held()
            if self.schedule is not None:
                self.schedule.note()
                history.schedule = self.schedule.noted
            taken = time.perf_counter()
            self.spent += taken - now
            step, elapsed = history.steps, taken - self.started
            dear = self.spent > SHARE * elapsed + START
            self.next = step if step < DENSE else step + max(2, int(step * ((SPARSE if dear else GROWTH) - 1)))
        if not self.told:
            self._rearm()

    def _rearm(self) -> None:
        if self.history.steps >= self.next and self.sample is None:
            self._arm()

    def _entries(self) -> Tensor:
        """A few entries of every tensor of weights, in one copy."""
        pointers = [p.data_ptr() for _, p in self.named]
        if pointers != self.pointers:
            self.pointers, self.views = pointers, [_few(p) for _, p in self.named]
        fresh = [
            view if view is not None else p.detach().reshape(-1)[:WATCHED]
            for view, (_, p) in zip(self.views, self.named, strict=True)
        ]
        if any(t.dtype != torch.float32 for t in fresh):
            fresh = [t.float() for t in fresh]
        return torch.cat(fresh) if fresh else torch.zeros(0)

    def observed(self) -> None:
        """The user says that a step is over; the optimizer may never have stepped."""
        history = self.history
        history.observed += 1
        if self.told:
            history.steps += 1
            self._rearm()
            return
        if self.stepped:
            self.stepped = False
            if history.steps == history.observed == QUIET:
                self._trust()
            return
        # Nothing stepped since the last time: look at the weights here.
        if self.sample is not None:
            self.sample.has_gradients = any(p.grad is not None for _, p in self.named)
            self._boundary_without_step()

    def _trust(self) -> None:
        """Every step was reported: where steps are short, what hooks cost is no longer paid in each of them."""
        if self.started is None or time.perf_counter() - self.started > QUIET * QUICK:
            return
        for handle in self.lasting:
            handle.remove()
        self.lasting.clear()
        self.told = True
        if self.sample is not None:
            self.passing += self._hooks()

    def _boundary_without_step(self) -> None:
        sample, history = self.sample, self.history
        assert sample is not None
        assert self.before is not None
        after = self._entries()
        sample.weights = (
            torch.stack(torch._foreach_norm(list(torch.split(self.before, self.sizes)))) if self.sizes else None
        )
        sample.updates = (
            torch.stack(torch._foreach_norm(list(torch.split(after - self.before, self.sizes)))) if self.sizes else None
        )
        if len(history.samples) < DENSE * 2:
            history.samples.append(sample)
        self._disarm()
        if history.observed < DENSE * 2:
            self._arm()

    # The first value that is not finite.

    def _autopsy(self) -> None:
        """Computes the forward pass of this batch again on a copy, to name the first operation that went wrong."""
        self.history.bad = Bad(self.history.steps, "backward")
        if self.batch is not None:
            found = first_bad(self.core, *self.batch)
            if found is not None:
                self.history.bad = Bad(self.history.steps, "forward", found.module, found.name, found.line)
                return
        for name, p in reversed(self.named):
            if p.grad is not None and not math.isfinite(float(p.grad.sum())):
                self.history.bad.module = name.rpartition(".")[0]
                break

    def _count_held(self) -> None:
        """How many graphs of sampled steps, at least 20 steps old, are still alive."""
        history = self.history
        old = [(step, token()) for step, token in self.tokens if 1 <= step < history.steps - 20]
        alive = [step for step, token in old if token is not None]
        if len(old) >= 8 and len(alive) >= 0.9 * len(old):
            span = history.steps - min(alive)
            if span > history.held_span:
                history.held, history.held_of, history.held_span = len(alive), len(old), span


def _few(p: Tensor) -> Tensor | None:
    """A view of entries spread over a tensor, its rows and columns visited alike; None where its memory has gaps."""
    if not (p.is_contiguous() or (p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last))):
        return None
    stride = max(1, p.numel() // WATCHED)
    while stride > 1 and math.gcd(stride, p.shape[-1]) > 1:
        stride -= 1
    return p.detach().as_strided((min(WATCHED, p.numel()),), (stride,))


def _calling(probe: weakref.ref[Probe], name: str) -> Callable[..., None]:
    """A hook that keeps nothing alive."""

    def hook(*arguments: Any) -> None:
        alive = probe()
        if alive is not None:
            getattr(alive, name)(*arguments)

    return hook


def _entering(probe: weakref.ref[Probe], name: str) -> Callable[..., None]:
    def hook(*_: Any) -> None:
        alive = probe()
        if alive is not None and alive.watch is not None:
            alive.watch.stack.append(name)

    return hook


def _leaving(probe: weakref.ref[Probe]) -> Callable[..., None]:
    def hook(*_: Any) -> None:
        alive = probe()
        if alive is not None and alive.watch is not None and len(alive.watch.stack) > 1:
            alive.watch.stack.pop()

    return hook


def _arrival(probe: weakref.ref[Probe], parameter: weakref.ref[Tensor]) -> Callable[[Tensor], None]:
    """Notes what a parameter's gradient held when a new contribution came."""

    def hook(gradient: Tensor) -> None:
        alive, p = probe(), parameter()
        if alive is None or p is None or alive.sample is None:
            return
        sample = alive.sample
        sample.backwards += 1
        held = p.grad
        if held is not None and held.is_sparse:
            held = held.coalesce().values()
        norm = torch.zeros((), device=p.device) if held is None else held.detach().float().norm()
        sample.stale = norm if sample.stale is None else torch.minimum(sample.stale, norm)

    return hook
