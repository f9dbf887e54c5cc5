"""The gradient of one turn: of the whole batch at once, or part by part where memory is short."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from osler.errors import InputError
from osler.objectives.objective import Outcome, Turn
from osler.records import Batch
from osler.training.engine import Engine
from osler.training.processes import Processes


class Gradients:
    """Fills the gradients of a turn's parameters; the result does not depend on the number of `parts`.

    A batch worked on in parts (gradient accumulation) gives the loss and the gradient of the whole, since each part
    counts as its samples do. When memory runs out, the number of parts doubles and the step begins again.
    """

    def __init__(self, processes: Processes, engine: Engine, notes: list[str]):
        self.processes = processes
        self.engine = engine
        self.parts = engine.micro_batches
        self.notes = notes

    def __call__(self, turn: Turn, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Outcome:
        while True:
            try:
                return self._fill(turn, model, optimizer, batch)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                problem = " ".join(str(error).split())
            # Outside of the except clause, whose traceback holds on to the memory of the step.
            self._take_more_parts(problem, model, batch)
            optimizer.zero_grad()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _fill(self, turn: Turn, model: nn.Module, optimizer: Optimizer, batch: Batch) -> Outcome:
        if self.parts == 1 and self.processes.count == 1:
            outcome = self._loss(turn, model, batch)
            clear(optimizer)
            outcome.loss.backward()  # type: ignore[no-untyped-call]
            return outcome
        parts = split(batch, self.parts, least=2 if any(map(is_batch_norm, model.modules())) else 1)
        outputs: list[Any] = []
        loss = total = torch.zeros((), device=self.processes.device)
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            with contextlib.nullcontext() if last else self.processes.alone(model):
                outcome = self._loss(turn, model, part)
                count = len(part) if turn.count is None else turn.count(outcome.outputs, part)
                if number == 1:
                    clear(optimizer)
                share = _counted(outcome, count)
                share.backward()  # type: ignore[no-untyped-call]
            loss = loss + share.detach()
            total = total + count
            outputs.append(_detached(outcome.outputs))
        # The engine of several processes has averaged their gradients: together they are of the mean over all samples.
        loss, everyone = self.processes.sum(loss, total)
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_mul_(gradients, self.processes.count / everyone)
        return Outcome(loss / everyone, _joined(outputs))

    def _loss(self, turn: Turn, model: nn.Module, batch: Batch) -> Outcome:
        if self.engine.precision != "bfloat16":
            return turn.loss(model, batch)
        with self.engine.autocast(self.processes.device):
            return turn.loss(model, batch)

    def _take_more_parts(self, problem: str, model: nn.Module, batch: Batch) -> None:
        if self.processes.count > 1:
            raise InputError(
                f"out of memory with {len(batch)} samples on each of {self.processes.count} processes "
                f"({problem[:120]}): raise engine.micro_batches, or lower batch_size"
            )
        if self.parts >= len(batch):
            raise InputError(f"out of memory with a single sample at a time ({problem[:120]}): take a smaller network")
        normalised = any(map(is_batch_norm, model.modules()))
        samples = -(-len(batch) // self.parts)
        self.parts = min(self.parts * 2, len(batch))
        self.notes.append(
            f"out of memory with {samples} samples at once: each batch is now worked on in {self.parts} parts, "
            "which changes neither loss nor gradient"
            + (", but batch normalisation now sees smaller batches" if normalised else "")
        )


def clear(optimizer: Optimizer) -> None:
    """Clears the gradients, what the turns of others left on these parameters too.

    As `zero_grad` does, without its bookkeeping for profilers, which a small network feels.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None


def split(batch: Batch, parts: int, least: int = 1) -> list[Batch]:
    """The batch in at most so many nearly equal parts, none of fewer than `least` samples where it has as many."""
    count = max(min(parts, len(batch) // least), 1)
    bounds = pairwise(len(batch) * number // count for number in range(count + 1))
    return [Batch(_rows(batch.inputs, a, b), _rows(batch.targets, a, b), _rows(batch.weights, a, b)) for a, b in bounds]


def _rows(value: Any, start: int, end: int) -> Any:
    if isinstance(value, dict):
        return {key: _rows(part, start, end) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_rows(part, start, end) for part in value)
    return None if value is None else value[start:end]


def _counted(outcome: Outcome, count: float | Tensor) -> Tensor:
    """The loss times what it counts for; where that is 0 (nothing but targets to ignore) it is 0, and so its gradient.

    The mean over nothing is no number. Nobody waits for the device to know whether it is.
    """
    if not isinstance(count, Tensor):
        return outcome.loss * count
    counts = count > 0
    for output in _tensors(outcome.outputs):
        if output.requires_grad:
            output.register_hook(lambda gradient: gradient.where(counts, 0))  # type: ignore[no-untyped-call]
    return (outcome.loss * count).where(counts, 0)


def _tensors(outputs: Any) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _detached(outputs: Any) -> Any:
    if isinstance(outputs, dict):
        return {key: _detached(value) for key, value in outputs.items()}
    if isinstance(outputs, tuple | list):
        return tuple(_detached(value) for value in outputs)
    return outputs.detach() if isinstance(outputs, Tensor) else outputs


def _joined(parts: list[Any]) -> Any:
    """The outputs of all parts as those of one batch."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple):
        return tuple(_joined(list(values)) for values in zip(*parts, strict=True))
    return torch.cat(parts) if isinstance(first, Tensor) and first.ndim else first


def is_batch_norm(module: nn.Module) -> bool:
    """Whether what the module does to a sample depends on the others in its batch."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def out_of_memory(error: BaseException) -> bool:
    """Whether this is torch's or Python's way to say that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: " in str(error) and "memory" in str(error)
