"""Several processes by torch.distributed: joining those that torchrun started, and what they do together."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from osler.errors import InputError, ProcessLost
from osler.training.checkpoint import copied
from osler.training.processes import Processes
from osler.training.sharded import is_sharded

T = TypeVar("T")
GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "gloo", "Gloo")  # as torch says it


@contextlib.contextmanager
def joined(alone_too: bool = False) -> Iterator[None]:
    """Within it this process is one of those that torchrun describes in the environment; without torchrun it is alone.

    They talk by gloo between processors and by NCCL between GPUs, of which each process has its own.
    `alone_too`: one process makes a group of its own, which sharding needs.
    """
    started = "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not (started or alone_too) or not dist.is_available() or dist.is_initialized():
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    try:
        if started:
            store, rank, count = next(rendezvous("env://"))
            dist.init_process_group(backend, store=_of_this_start(store, rank, count), rank=rank, world_size=count)
        else:
            nobody = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(backend, store=nobody, rank=0, world_size=1)
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or any(words in str(error) for words in GONE):
            raise ProcessLost(" ".join(str(error).split())) from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _of_this_start(store: Store, rank: int, count: int) -> Store:
    """The part of torchrun's store that is for this start of the job.

    When torchrun starts the processes anew, the addresses of those that died are still in its store. So each says hello
    by a name that nobody had before, and the first one, which alone knows its own, answers until all have heard.
    """
    name = secrets.token_hex(8)
    if rank > 0:
        store.set(f"osler/hello/{rank}", name)
        start = store.get(f"osler/answer/{name}").decode()
        store.set(f"osler/heard/{start}/{rank}", "")
        return PrefixStore(start, store)
    deaf = set(range(1, count))
    while deaf:
        for other in deaf:
            store.set(f"osler/answer/{store.get(f'osler/hello/{other}').decode()}", name)
        deaf = {other for other in deaf if not store.check([f"osler/heard/{name}/{other}"])}
        time.sleep(0.01)
    return PrefixStore(name, store)


def local_rank() -> int:
    """Which of this machine's processes this is."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_count() -> int:
    """How many processes share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def restarted() -> bool:
    """Whether torchrun has started this job anew, after one of its processes died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def processes_on(device: torch.device) -> Processes:
    """The processes of the group that this one has joined; this one alone where it has joined none."""
    return Several(device) if dist.is_available() and dist.is_initialized() else Processes(device)


class Several(Processes):
    """The processes of torch's default group, which train copies of one network (DistributedDataParallel).

    A network that `shard` has spread over them shares its gradients by itself (FSDP2).
    """

    def __init__(self, device: torch.device):
        super().__init__(device)
        self.rank = dist.get_rank()
        self.count = dist.get_world_size()
        self.wrapped: DistributedDataParallel | None = None
        self.learning: list[bool] = []
        if device.type == "cuda" and local_count() > torch.cuda.device_count():
            raise InputError(
                f"{local_count()} processes on this machine, but it has {torch.cuda.device_count()} GPUs: "
                "start one process for each GPU"
            )

    def wrap(self, model: nn.Module) -> nn.Module:
        if is_sharded(model) or self.count == 1:
            return model
        learning = [p.requires_grad for p in model.parameters()]  # what is freed later, it has to be told of
        if self.wrapped is None or self.wrapped.module is not model or self.learning != learning:
            self.wrapped, self.learning = DistributedDataParallel(model), learning
        return self.wrapped

    def alone(self, model: nn.Module) -> AbstractContextManager[Any]:
        # A sharded gradient that is shared at each part is the smaller one to keep.
        return model.no_sync() if isinstance(model, DistributedDataParallel) else contextlib.nullcontext()

    def align(self, model: nn.Module) -> None:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)

    def sum(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        together = torch.cat([tensor.detach().double().reshape(-1) for tensor in tensors])
        dist.all_reduce(together)
        sums = torch.split(together, [tensor.numel() for tensor in tensors])
        return tuple(s.reshape(t.shape).to(t.dtype) for s, t in zip(sums, tensors, strict=True))

    def largest(self, here: float) -> float:
        numbers = torch.tensor(float(here))
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return numbers.item()

    def news(self) -> Callable[[float], float]:
        return _News()

    def first(self, value: T) -> T:
        values = [value]
        dist.broadcast_object_list(values, 0, device=torch.device("cpu"))
        return values[0]

    def gather(self, value: T) -> list[T]:
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, copied(value))
        return values


class _News:
    """The largest number of the call before, which has come while this process worked."""

    def __init__(self) -> None:
        self.number = torch.tensor(0.0)
        self.coming: dist.Work | None = None

    def __call__(self, here: float) -> float:
        if self.coming is not None:
            self.coming.wait()
        heard = self.number.item()
        self.number = torch.tensor(float(here))
        self.coming = dist.all_reduce(self.number, dist.ReduceOp.MAX, async_op=True)
        return heard
