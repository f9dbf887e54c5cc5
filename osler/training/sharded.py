"""Networks that don't fit into one process: parameters spread over all of them (FSDP2), saved and read in shards.

Source: Zhao et al., "PyTorch FSDP: experiences on scaling fully sharded data parallel", 2023.
"""

from __future__ import annotations

import errno
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from osler.errors import InputError

SHARD = "osler.shard"  # stands in a state where a sharded tensor was


def shard(model: nn.Module, device: torch.device) -> None:
    """Spreads the parameters of each repeated block, and of what is left, over the processes; in place.

    All processes get what the first one has. Of the whole model, one block at a time is put together to compute with.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for tensor in (*model.parameters(), *model.buffers()):
        dist.broadcast(tensor.detach(), 0)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for block in blocks(model):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def is_sharded(model: nn.Module) -> bool:
    """Whether the model's parameters are spread over processes."""
    if "torch.distributed.fsdp" not in sys.modules:  # then nobody has sharded anything
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def blocks(model: nn.Module) -> list[nn.Module]:
    """The outermost modules of kinds that occur more than once and hold a matrix; none whose weights others use too."""
    uses = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    holds = {
        module: any(p.ndim > 1 for p in module.parameters()) and all(uses[id(p)] == 1 for p in module.parameters())
        for module in model.modules()
    }
    kinds = Counter(type(module) for module, does in holds.items() if does and module is not model)

    def outermost(parent: nn.Module) -> Iterator[nn.Module]:
        for child in parent.children():
            # A container has no forward of its own to put its parameters together for.
            if kinds[type(child)] > 1 and holds[child] and not isinstance(child, nn.ModuleList | nn.ModuleDict):
                yield child
            else:
                yield from outermost(child)

    return list(outermost(model))


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers put together, in the memory of the first process (the others get nothing)."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: dict[str, Any] = get_model_state_dict(model, options=options)
    return weights


def without_shards(state: Any) -> tuple[Any, dict[str, Tensor]]:
    """The state with a mark in place of each sharded tensor, and these tensors by the name in their marks."""
    from torch.distributed.tensor import DTensor

    shards: dict[str, Tensor] = {}

    def marked(value: Any, name: str) -> Any:
        if isinstance(value, DTensor):
            shards[name] = value.detach()
            return {SHARD: name, "shape": list(value.shape), "dtype": value.dtype}
        if isinstance(value, dict):
            return {key: marked(part, f"{name}/{key}") for key, part in value.items()}
        if isinstance(value, tuple | list):
            parts = [marked(part, f"{name}/{number}") for number, part in enumerate(value)]
            return parts if isinstance(value, list) else tuple(parts)
        return value

    return marked(state, ""), shards


class ShardWriter:
    """Writes the shards of all processes into a folder while training goes on (torch.distributed.checkpoint)."""

    def __init__(self) -> None:
        self.group = dist.new_group(backend="gloo")  # of its own: training talks at the same time
        self.last: Future[Any] | None = None

    def save(self, shards: dict[str, Tensor], place: Path) -> Callable[[], None]:
        """Begins to write, and gives what waits until all processes have written."""
        from torch.distributed.checkpoint.state_dict_saver import async_save

        self.wait()
        place.parent.mkdir(parents=True, exist_ok=True)
        saving = async_save(shards, checkpoint_id=place, process_group=self.group)
        assert isinstance(saving, Future)
        self.last = saving

        def written() -> None:
            try:
                saving.result()
            except Exception as error:
                raise OSError(errno.EIO, " ".join(str(error).split())[:200]) from None

        return written

    def wait(self) -> None:
        """Until what was begun is over, written or not."""
        if self.last is not None:
            futures.wait([self.last])


def with_shards(state: Any, place: Path, device: torch.device) -> Any:
    """The state with each sharded tensor in the place of its mark: this process's part of it.

    Written by however many processes. Only for checkpoints of one's own: their table of contents is a pickle.
    """
    marks: dict[str, Tensor] = {}
    restored = _unmarked(state, marks, device)
    if marks:
        from torch.distributed.checkpoint.state_dict_loader import load

        try:
            load(marks, checkpoint_id=place)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"the shards in {place} cannot be read ({reason}): take them away to use others") from None
    return restored


def _unmarked(value: Any, found: dict[str, Tensor], device: torch.device) -> Any:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard
    from torch.distributed.tensor import zeros as sharded_zeros

    if isinstance(value, dict) and SHARD in value:
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        empty = sharded_zeros(*value["shape"], dtype=value["dtype"], device_mesh=mesh, placements=[Shard(0)])
        return found.setdefault(value[SHARD], empty)
    if isinstance(value, dict):
        return {key: _unmarked(part, found, device) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [_unmarked(part, found, device) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value
