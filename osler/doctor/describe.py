"""Model and optimizer in numbers, before anything is computed."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from osler.doctor.measure import units_alike
from osler.doctor.trace import Layer, Optimizer, Parameter

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)
DROPOUTS = (nn.modules.dropout._DropoutNd,)


def fan_in(module: nn.Module, name: str, tensor: Tensor) -> int:
    """How many inputs a unit of this weight adds up; 0 where the word has no meaning."""
    if tensor.dim() < 2 or isinstance(module, nn.Embedding | nn.EmbeddingBag) or not tensor.is_floating_point():
        return 0
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return tensor.shape[0] * tensor[0, 0].numel() // math.prod(module.stride)
    if isinstance(module, nn.Linear | nn.modules.conv._ConvNd | nn.RNNBase | nn.RNNCellBase | nn.MultiheadAttention):
        return tensor[0].numel()
    return 0


def parameters_of(model: nn.Module, held: set[int] | None) -> list[Parameter]:
    """One record for each tensor of weights; `held`: identities of what the optimizer holds."""
    modules = dict(model.named_modules())
    found = []
    for name, tensor in model.named_parameters():
        if is_lazy(tensor):
            continue
        owner, _, last = name.rpartition(".")
        module = modules.get(owner, model)
        if ".parametrizations." in f".{owner}.":
            owner = owner.partition(".parametrizations.")[0]
            module = modules.get(owner, model)
        record = Parameter(
            name,
            owner,
            type(module).__name__,
            tuple(tensor.shape),
            tensor.requires_grad,
            held is None or id(tensor) in held,
            fan_in(module, last, tensor),
        )
        record.half = tensor.dtype == torch.float16
        if tensor.numel() and tensor.is_floating_point():
            detached = tensor.detach().float()
            if tensor.numel() > 1:
                std, mean = torch.std_mean(detached, correction=0)
                record.std, record.mean = float(std), float(mean)
            else:
                record.mean = float(detached)
            if record.fan_in:
                record.alike = units_alike(detached)
            if isinstance(module, nn.RNNBase) and last.startswith("weight_hh") and tensor.shape[0] == tensor.shape[1]:
                record.spectral = float(torch.linalg.matrix_norm(detached, 2))
        found.append(record)
    return found


def layers_of(model: nn.Module) -> list[Layer]:
    """The modules that behave differently in training."""
    found = []
    for name, module in model.named_modules():
        trainable = any(p.requires_grad for p in module.parameters(recurse=False))
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            found.append(Layer(name, "batch-norm", trainable=trainable or not module.affine, momentum=module.momentum))
        elif isinstance(module, DROPOUTS):
            found.append(Layer(name, "dropout", p=float(module.p)))
        elif isinstance(module, nn.RNNBase):
            found.append(Layer(name, "recurrent", p=float(module.dropout), width=module.hidden_size))
    return found


def hidden_modules(model: nn.Module) -> list[str]:
    """Modules whose plain lists or dicts hold other modules or trainable tensors, which are then not registered."""
    known = {id(m) for m in model.modules()} | {id(p) for p in model.parameters()}
    found = []
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if key.startswith("_") and key in ("_modules", "_parameters", "_buffers"):
                continue
            members = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            for member in members:
                missing = isinstance(member, nn.Module) and any(
                    id(p) not in known and p.requires_grad for p in member.parameters()
                )
                loose = (
                    isinstance(member, Tensor) and member.requires_grad and member.is_leaf and id(member) not in known
                )
                if missing or loose:
                    found.append(name)
                    break
    return list(dict.fromkeys(found))


def optimizer_of(model: nn.Module, optimizer: Any) -> Optimizer | None:
    """The hyperparameters; of several optimizers their union."""
    if optimizer is None:
        return None
    groups = optimizer.param_groups
    known = {id(p) for p in model.parameters()}
    tensors = [p for group in groups for p in group["params"]]
    first = groups[0] if groups else {}
    rates = tuple(float(group["lr"]) for group in groups if "lr" in group)
    return Optimizer(
        type(optimizer).__name__,
        rates,
        float(first.get("momentum", 0.0) or 0.0),
        max((float(group.get("weight_decay", 0.0) or 0.0) for group in groups), default=0.0),
        float(first["eps"]) if "eps" in first else None,
        sum(id(p) not in known for p in tensors),
        len(tensors),
    )
