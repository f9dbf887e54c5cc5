"""A learner without training, to compare a network with: the nearest neighbours, each sample judged by the others."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from osler.doctor.data import labels, table
from osler.doctor.trace import Reference
from osler.doctor.tree import leaves

ROWS = 400
FEATURES = 256
NEIGHBOURS = 8


def neighbours(inputs: Any, target: Any) -> Reference | None:
    """What 8 neighbours (of at most 400 samples, on standardised features) tell; None for inputs without distances."""
    x = table(inputs)
    if x is None or not x.is_floating_point() or len(x) < 40:
        return None
    draw = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(x), generator=draw)[:ROWS].to(x.device)
    if x.shape[1] > FEATURES:
        x = x[:, torch.randperm(x.shape[1], generator=draw)[:FEATURES].to(x.device)]
    x = x[rows].float()
    std = x.std(0)
    # One unit for all features of a picture; a scale of its own for each column of a table.
    pictures = next(leaves(inputs)).dim() > 2 or float(std.max()) < 5
    x = (x - x.mean(0)) / (std.pow(2).mean().sqrt() if pictures else std).clamp_min(1e-6)
    if not bool(torch.isfinite(x).all()):
        return None
    distance = torch.cdist(x, x)
    distance.fill_diagonal_(math.inf)
    near = distance.topk(NEIGHBOURS, largest=False).indices  # (N, 8)
    known = labels(target)
    if known is not None and int(known.min()) >= 0 and len(torch.unique(known)) <= 100:
        _, known = torch.unique(known, return_inverse=True)
        return _votes(known[rows], near)
    y = next(leaves(target), None)
    if y is None or not y.is_floating_point() or y.dim() > 2:
        return None
    y = y.reshape(len(y), -1)[rows].float()
    if y.shape[1] > 64 or not bool(torch.isfinite(y).all()):
        return None
    guess = y[near].mean(1)
    total = (y - y.mean(0)).pow(2).sum()
    score = 1 - float((y - guess).pow(2).sum() / total.clamp_min(1e-12)) if float(total) > 0 else 0.0
    return Reference(score, 0.0, 2 / math.sqrt(len(rows)))


def _votes(y: Tensor, near: Tensor) -> Reference:
    classes = int(y.max()) + 1
    votes = torch.nn.functional.one_hot(y[near], classes).sum(1).float() / NEIGHBOURS  # (N, C)
    top, winner = votes.max(1)
    score = float((winner == y).float().mean())
    share = torch.bincount(y, minlength=classes).float() / len(y)
    chance = float(share.max())
    against = (top >= 0.5) & (winner != y)
    firm = top >= 0.75
    contradicted = float((winner != y)[firm].float().mean()) if int(firm.sum()) >= 20 else 0.0
    mixing = 0.0
    if classes > 2 and int(against.sum()) >= 5:
        # Do the contradicting labels go to every other class (noise), or to a neighbouring one (hard classes)?
        shift = (y[against] - winner[against]) % classes
        counts = torch.bincount(shift, minlength=classes)[1:].float()
        confusion = torch.zeros(classes, classes, device=y.device)
        confusion.index_put_((winner[against], y[against]), torch.ones((), device=y.device), accumulate=True)
        pairs = float((confusion > 0).sum())
        possible = min(float(against.sum()), classes * (classes - 1))
        even = counts / counts.sum()
        spread = float(-(even * even.clamp_min(1e-9).log()).sum()) / math.log(classes - 1)
        mixing = min(spread, pairs / (possible * 0.8))
    return Reference(
        score,
        chance,
        math.sqrt(chance * (1 - chance) / len(y)),
        float((top == 1).float().mean()),
        mixing,
        contradicted,
    )
