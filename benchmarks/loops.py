"""Two loops in plain PyTorch: the one of the tutorials, and the fastest that we can write."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.worker import Contest, Trained, judged
from benchmarks.workloads import Block, Workload, scaled


def tutorial(contest: Contest) -> Trained:
    torch.manual_seed(0)
    model, criterion = contest.model, contest.workload.loss()
    x = scaled(contest.inputs)
    y = x if contest.targets is None else contest.targets
    loader = DataLoader(TensorDataset(x, y), batch_size=contest.workload.batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=contest.workload.lr)
    for _ in range(contest.epochs):
        running_loss = 0.0
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        contest.pace()
    return judged(contest)


class Way(NamedTuple):
    """How a step is computed."""

    bfloat16: bool = False
    channels_last: bool = False
    float32_attention: bool = False


class Step:
    """A step of Adam in one kernel, without the bookkeeping of `Optimizer.step`."""

    def __init__(self, workload: Workload, model: nn.Module, way: Way):
        self.way = way
        self.model = model.to(memory_format=torch.channels_last) if way.channels_last else model
        self.criterion = workload.loss()
        self.parameters = list(model.parameters())
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.counts = [torch.zeros(()) for _ in self.parameters]
        self.settings = {"lr": workload.lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
        self.settings |= {"amsgrad": False, "maximize": False}

    def __call__(self, inputs: Tensor, targets: Tensor | None) -> Tensor:
        x = scaled(inputs)
        y = x if targets is None else targets
        if self.way.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.way.bfloat16:
            with torch.autocast("cpu", torch.bfloat16), attention(self.way.float32_attention):
                outputs = self.model(x).float()
        else:
            outputs = self.model(x)
        loss: Tensor = self.criterion(outputs, y)
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            torch._foreach_add_(self.counts, 1)
            torch._fused_adam_(
                self.parameters, gradients, self.means, self.squares, [], self.counts, **self.settings
            )  # fmt: skip
        return loss.detach()


@contextlib.contextmanager
def attention(in_float32: bool) -> Iterator[None]:
    """Within, attention can be in float32: its backward pass in bfloat16 is three times slower without AMX."""
    torchs = F.scaled_dot_product_attention

    def upcast(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return torchs(q.float(), k.float(), v.float(), **options).to(q.dtype)

    if in_float32:
        F.scaled_dot_product_attention = upcast
    try:
        yield
    finally:
        F.scaled_dot_product_attention = torchs


def handwritten(contest: Contest) -> Trained:
    """Resident data and a gather a batch, one kernel for Adam, memory kept, and the fastest way to compute.

    Not compiled: on the processors at hand torch.compile costs 3 to 45 s and gives 4 % at most.
    """
    torch.manual_seed(0)
    keep_memory()
    inputs, targets, size = contest.inputs, contest.targets, contest.workload.batch_size
    way = fastest(contest)
    step = Step(contest.workload, contest.model, way)
    for _ in range(contest.epochs):
        total = torch.zeros(())
        for rows in torch.randperm(len(inputs)).split(size):
            total += step(inputs.index_select(0, rows), None if targets is None else targets.index_select(0, rows))
        total.item()
        contest.pace()
    return judged(contest, ", ".join(name for name, taken in way._asdict().items() if taken) or "float32")


def keep_memory() -> None:
    """What glibc frees stays with the process: else large blocks are given back and cleared anew at every step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_top_pad, m_mmap_threshold = -1, -2, -3
        mallopt(m_mmap_threshold, 2**30)
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_top_pad, 2**26)


def fastest(contest: Contest, seconds: float = 0.1, rounds: int = 5) -> Way:
    """By trying all of them in turn on copies of the model."""
    inputs, targets, size = contest.inputs, contest.targets, contest.workload.batch_size
    modules = list(contest.model.modules())
    convolves = any(isinstance(m, nn.Conv2d) for m in modules)
    attends = any(isinstance(m, Block) for m in modules)
    ways = [
        Way(*way)
        for way in itertools.product((False, True), (False, True), (False, True))
        if convolves >= way[1] and attends >= way[2] and way[0] >= way[2]
    ]
    x, y = inputs[:size], None if targets is None else targets[:size]
    steps = {way: Step(contest.workload, copy.deepcopy(contest.model), way) for way in ways}
    times: dict[Way, list[float]] = {way: [] for way in ways}
    for step in steps.values():
        step(x, y)
    for _ in range(rounds):
        for way, step in steps.items():
            began, taken = time.perf_counter(), 0
            while taken < 2 or time.perf_counter() - began < seconds:
                step(x, y)
                taken += 1
            times[way].append((time.perf_counter() - began) / taken)
    return min(ways, key=lambda way: statistics.median(times[way]))
