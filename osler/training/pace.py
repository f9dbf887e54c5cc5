"""How fast steps go: the choices of the engine that were left open, made by measuring a copy of the program."""

from __future__ import annotations

import copy
import importlib.util
import math
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from osler.objectives.objective import Turn
from osler.records import Batch
from osler.training.engine import Engine
from osler.training.gradients import Gradients
from osler.training.processes import Processes
from osler.training.randomness import random_state, set_random_state

WORTH = 10.0  # seconds of training left, below which nothing is measured: short runs repeat to the last bit
SHARE = 0.05  # of the time left that measuring may take
GAIN = 1.02  # less may be chance
DISTURBED = 2.0  # times as fast with one thread: nothing but other programs does that
GLANCE, STEPS = 3, 10  # steps of a first look, and of a measurement; the first two warm up
SMALLEST_PICTURE = 16  # pixels a side, from which bfloat16 is worth its conversions
COMPILING = 60.0  # seconds that compiling may take
OFF = 0.05  # share of the loss by which the curve of lower precision may be off


@dataclass(frozen=True)
class Measured:
    """What was tried: milliseconds a step without it and with it, and what came of it."""

    what: str
    before: float
    after: float
    taken: bool
    why: str = ""

    def __str__(self) -> str:
        if math.isnan(self.after):
            return f"{self.what}: does not run here ({self.why})"
        times = f"{self.before:.3g} → {self.after:.3g} ms a step ({self.before / self.after:.2f} x)"
        return f"{self.what}: {times}, {'taken' if self.taken else 'left'}{self.why and f': {self.why}'}"


def choose(
    engine: Engine,
    model: nn.Module,
    turns: Sequence[Turn],
    optimizers: Sequence[Optimizer],
    batch: Batch,
    steps: int,
    processes: Processes,
) -> tuple[Engine, list[Measured]]:
    """The engine with every open choice made, and what was measured for it.

    A copy of model and optimizers takes a few steps on `batch` in each way, where the `steps` still to be done repay
    it; random numbers and the program itself stay as they are. Short training goes by rule: convolutions over pictures
    with channels last and in bfloat16 where the device is fast at it, all else in the plain way. So do several
    processes, which might choose differently, and several players.
    """
    plain = _filled(engine, pictures=False)
    ruled = _filled(engine, _convolves_over_pictures(model, batch) and bfloat16_is_fast(processes.device))
    if processes.count > 1 or len(turns) > 1 or steps == 0:
        return ruled, []
    bench = _Bench(model, turns, optimizers, batch, processes)
    try:
        if not list(_candidates(engine, bench)):
            return ruled, []
        seconds = bench.run(ruled, GLANCE)[0]
        if steps * seconds >= WORTH:
            return _try_all(plain, engine, bench, steps)
        return _unless_disturbed(ruled, engine, bench, seconds)
    except Exception as error:  # a program that cannot be copied; its own errors come up in the step itself
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        return plain, [Measured("a copy of the program", math.nan, math.nan, False, why)]


def _unless_disturbed(ruled: Engine, asked: Engine, bench: _Bench, seconds: float) -> tuple[Engine, list[Measured]]:
    """One thread if others keep the processor busy: threads that wait for each other are then many times as slow."""
    if asked.threads is not None or torch.get_num_threads() == 1:
        return ruled, []
    alone = replace(ruled, threads=1)
    measured = Measured("1 thread", 1000 * seconds, 1000 * bench.run(alone, GLANCE)[0], True, "the processor is busy")
    return (alone, [measured]) if measured.before / measured.after >= DISTURBED else (ruled, [])


def _filled(engine: Engine, pictures: bool) -> Engine:
    """The engine without open choices."""
    return replace(
        engine,
        precision=engine.precision or ("bfloat16" if pictures else "float32"),
        channels_last=pictures if engine.channels_last is None else engine.channels_last,
        compile=bool(engine.compile),
    )


def _convolves_over_pictures(model: nn.Module, batch: Batch) -> bool:
    pictures = getattr(batch.inputs, "ndim", 0) == 4 and min(batch.inputs.shape[2:]) >= SMALLEST_PICTURE
    return pictures and any(isinstance(module, nn.Conv2d) for module in model.modules())


def _try_all(plain: Engine, asked: Engine, bench: _Bench, steps: int) -> tuple[Engine, list[Measured]]:
    measured: list[Measured] = []
    best, (fastest, losses) = plain, bench.run(plain)
    for what, change in _candidates(asked, bench):
        cost = COMPILING if "compile" in change else STEPS * fastest
        tried = replace(best, **change)
        if tried == best or bench.seconds + cost > SHARE * steps * fastest:
            continue
        try:
            seconds, other = bench.run(tried)
        except Exception as error:  # whatever a compiler or a kernel may raise: this way is not open
            measured.append(Measured(what, 1000 * fastest, math.nan, False, " ".join(str(error).split())[:120]))
            continue
        taken, why = fastest / seconds >= GAIN, ""
        if taken and tried.precision != best.precision and not _alike(losses, other):
            taken, why = False, f"the loss goes another way ({losses[-1]:.3g}, then {other[-1]:.3g})"
        measured.append(Measured(what, 1000 * fastest, 1000 * seconds, taken, why))
        if taken:
            best, fastest = tried, seconds
    return best, measured


def _candidates(asked: Engine, bench: _Bench) -> Iterator[tuple[str, dict[str, Any]]]:
    """What to try, the surest gain first; only what was left open."""
    cores = os.cpu_count() or 1
    now = torch.get_num_threads()
    if asked.threads is None and cores > 1 and bench.device.type == "cpu":
        other = cores if now == 1 else 1
        yield f"{other} thread{'s' if other > 1 else ''}", {"threads": other}
    if asked.channels_last is None and bench.convolves:
        yield "channels last", {"channels_last": True}
    if asked.precision is None and bfloat16_is_fast(bench.device):
        yield "bfloat16", {"precision": "bfloat16"}
    if asked.compile is None and can_compile(bench.device):
        yield "compile", {"compile": True}


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether the processor or GPU computes in bfloat16 rather than imitating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    can: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def can_compile(device: torch.device) -> bool:
    """Whether compiling is worth a trial: on a GPU where torch.compile finds Triton.

    On processors it took up to a minute and gave next to nothing over bfloat16 and channels last: there it is for those
    who ask.
    """
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def _alike(losses: list[float], others: list[float]) -> bool:
    """Whether two loss curves from the same weights on the same batch tell the same story."""
    scale = max(map(abs, losses))
    return all(math.isfinite(b) and abs(a - b) <= OFF * scale for a, b in zip(losses, others, strict=True))


class _Bench:
    """A copy of the program that takes steps on one batch."""

    def __init__(
        self,
        model: nn.Module,
        turns: Sequence[Turn],
        optimizers: Sequence[Optimizer],
        batch: Batch,
        processes: Processes,
    ):
        self.program = (model, list(optimizers))
        self.turns = turns
        self.batch = batch
        self.processes = processes
        self.device = processes.device
        self.convolves = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in model.modules())
        self.seconds = 0.0  # spent so far

    def run(self, engine: Engine, steps: int = STEPS) -> tuple[float, list[float]]:
        """Seconds a step in this way, and the losses of the steps."""
        began = time.perf_counter()
        chance = random_state()  # Python's and NumPy's, too
        try:
            model, optimizers = copy.deepcopy(self.program)
            gradients = Gradients(self.processes, engine, [])
            losses, times = [], []
            with engine.running(model):
                batch = replace(self.batch, inputs=engine.laid_out(self.batch.inputs))
                for _ in range(steps):
                    start = self._now()
                    for turn, optimizer in zip(self.turns, optimizers, strict=True):
                        outcome = gradients(turn, model, optimizer, batch)
                        optimizer.step()
                    times.append(self._now() - start)
                    losses.append(outcome.loss.item())
        finally:
            set_random_state(chance)
        self.seconds += time.perf_counter() - began
        return statistics.median(times[2:]), losses

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
