"""Numbers about tensors."""

import math

import torch
from torch import Tensor

from osler.doctor.trace import Values


def finite(tensor: Tensor) -> bool:
    """Whether every entry is a finite number, by one sum."""
    return math.isfinite(float(tensor.detach().sum(dtype=torch.float32)))


def values(tensor: Tensor) -> Values:
    """Range, mean and deviation of what is finite in a tensor."""
    flat = tensor.detach().reshape(-1)
    if not flat.is_floating_point():
        flat = flat.float() if not flat.is_complex() else flat.abs()
    flat = flat if finite(flat) else flat[torch.isfinite(flat)]
    if not len(flat):
        return Values(tuple(tensor.shape), math.nan, math.nan, math.nan, math.nan)
    std, mean = torch.std_mean(flat.float(), correction=0)
    low, high = flat.aminmax()
    return Values(tuple(tensor.shape), *torch.stack([low.float(), high.float(), mean, std]).tolist())


def norm(tensor: Tensor) -> float:
    tensor = tensor.detach()
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    return float(tensor.float().norm())


def units_alike(weight: Tensor, tolerance: float = 1e-6) -> float:
    """Share of the rows (units) of a weight that equal another row: 1 when all units compute the same."""
    rows = weight.detach().reshape(len(weight), -1).float()
    if len(rows) < 2:
        return 0.0
    # A random projection of equal rows is equal; of others it is not.
    draw = torch.Generator().manual_seed(0)
    direction = torch.randn(rows.shape[1], generator=draw).to(rows.device)
    shadow = (rows @ direction).sort().values
    scale = float(rows.norm(dim=1).max()) * math.sqrt(1.0)
    if scale == 0:
        return 1.0
    close = (shadow[1:] - shadow[:-1]) <= tolerance * scale
    member = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    member[1:] |= close
    member[:-1] |= close
    return float(member.float().mean())


def entropy(counts: Tensor) -> float:
    """Of the shares, in nats."""
    share = counts.float() / counts.sum().clamp_min(1)
    return float(-(share * share.clamp_min(1e-12).log()).sum())
