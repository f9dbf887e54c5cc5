"""What the data say by themselves: targets, features, and how the two parts relate."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from osler.doctor.measure import entropy, finite, values
from osler.doctor.trace import Inputs, Split, Target
from osler.doctor.tree import leaves

MOST = 4096  # rows that statistics need
MOST_CLASSES = 1000
WIDE = 2048  # more features than a table has
SOME = 256  # features that are looked at in wide inputs
GAP = 0.05  # in deviations: values drawn from one distribution and cut in two lie closer at the cut
EXACT = 2e-3  # how far "exactly standardised" may be off


def labels(target: Any) -> Tensor | None:
    """The class of each sample as (N,) integers, for single-label targets; None for others."""
    y = next(leaves(target), None)
    if y is None or not y.dim() or not len(y):
        return None
    if y.dim() == 2 and y.shape[1] > 1:
        flat = y.float()
        hot = bool(((flat == 0) | (flat == 1)).all()) and bool((flat.sum(1) == 1).all())
        return flat.argmax(1) if hot else None
    if y.dim() > 2 or (y.dim() == 2 and y.shape[1] != 1):
        return None
    y = y.reshape(-1)
    if not y.is_floating_point():
        return y.long()
    if bool(torch.isfinite(y).all()) and bool((y == y.round()).all()):
        few = torch.unique(y)
        if len(few) <= max(2, min(50, len(y) // 5)) and float(few[0]) >= 0:
            return y.long()
    return None


def target_of(inputs: Any, target: Any) -> Target:
    """The kind of a target, and its numbers."""
    y = next(leaves(target), None)
    if y is None or not y.dim() or not len(y):
        return Target("none")
    shape = tuple(y.shape)
    found = Target("real", shape, floating=y.is_floating_point())
    x = next(leaves(inputs), None)
    if y.is_floating_point():
        found.finite = bool(torch.isfinite(y).all())
    v = values(y[:MOST])
    found.low, found.high, found.mean, found.std = v.low, v.high, v.mean, v.std
    found.whole = not y.is_floating_point() or bool((y[:MOST] == y[:MOST].round()).all())
    found.constant = bool((y == y.reshape(-1)[0]).all()) if found.finite else False
    if y is x or (x is not None and x.shape == y.shape and y.is_floating_point() and bool(torch.equal(x[:64], y[:64]))):
        found.kind = "reconstruction"
        return found
    known = labels(target)
    if known is not None and int(known.min()) >= 0 and int(known.max()) < MOST_CLASSES * 10:
        counts = torch.bincount(known)
        found.classes = int((counts > 0).sum())
        if found.classes <= MOST_CLASSES:
            found.counts = tuple(counts.tolist())
            found.entropy = entropy(counts)
            found.kind = "one-hot" if y.dim() == 2 and y.shape[1] > 1 else "classes"
            found.sorted_runs = _sortedness(known, found.entropy)
            return found
    if known is not None:
        found.classes = len(torch.unique(known))
        found.kind = "classes"
    elif not y.is_floating_point():
        found.kind = "tokens"
    elif y.dim() == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all()):
        found.kind = "multilabel"
    return found


def _sortedness(known: Tensor, whole: float, window: int = 16) -> float:
    """Share of the label entropy that windows of neighbours lack: near 0 when shuffled, 1 when sorted by class."""
    parts = len(known) // window
    if parts < 4 or whole <= 0:
        return 0.0
    some = known[: parts * window].reshape(parts, window)
    inside = sum(entropy(torch.bincount(row)) for row in some[:: max(1, parts // 32)]) / len(
        some[:: max(1, parts // 32)]
    )
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))
    mixed = known[order.to(known.device)][: parts * window].reshape(parts, window)[:: max(1, parts // 32)]
    expected = sum(entropy(torch.bincount(row)) for row in mixed) / len(mixed)
    return 1 - inside / expected if expected > 0 else 0.0


def table(inputs: Any) -> Tensor | None:
    """The features as (N, F) numbers, where the input is one tensor of them."""
    found = [t for t in leaves(inputs) if t.dim() >= 1]
    if len(found) != 1:
        return None
    x = found[0]
    if x.is_complex():
        return None
    return x.reshape(len(x), -1)


def inputs_of(inputs: Any, target: Any) -> Inputs:
    """What the inputs hold before any layer sees them."""
    first = next((t for t in leaves(inputs) if t.dim()), None)
    if first is None:
        return Inputs()
    found = Inputs(tuple(first.shape), len(list(leaves(inputs))), any(t.is_floating_point() for t in leaves(inputs)))
    for tensor in leaves(inputs):
        if tensor.is_floating_point():
            bad = int((~torch.isfinite(tensor)).sum()) if not math.isfinite(float(tensor.sum())) else 0
            found.bad_values += bad
    found.finite = found.bad_values == 0
    x = table(inputs)
    if x is None or first.dim() > 2 or not first.is_floating_point() or len(x) < 8 or not found.finite:
        return found
    if x.shape[1] > WIDE:
        return found  # no table of features with a meaning each
    x = x[:MOST].float()
    std, mean = torch.std_mean(x, 0, correction=0)
    varies = std > 1e-6 * mean.abs()  # beyond rounding
    found.features = x.shape[1]
    found.constant = int((~varies).sum())
    y = next(leaves(target), None)
    if y is not None and x.shape[1] >= 3 and len(x) >= 40 and y is not next(leaves(inputs), None):
        _find_copies(found, x, std, varies, target)
    return found


def features_seen(found: Inputs, x: Tensor) -> None:
    """How the features that reach the first layer are scaled."""
    found.first = values(x)
    if x.dim() != 2 or x.shape[1] < 1 or len(x) < 8:
        return
    std, mean = torch.std_mean(x.detach().float(), 0, correction=0)
    varies = std > 1e-6 * mean.abs()  # beyond rounding
    if not bool(varies.any()):
        return
    std, mean = std[varies], mean[varies].abs()
    found.shifted = float(((mean > 3 * std) & (mean > 0.5)).float().mean())
    top = float(std.max())
    found.spread = top / max(float(std.median()), 1e-9) if top > 10 else 1.0


def _find_copies(found: Inputs, x: Tensor, std: Tensor, varies: Tensor, target: Any) -> None:
    """Features that alone determine the target: constant within each class though not overall, or a line of it."""
    known = labels(target)
    z = (x - x.mean(0)) / std.clamp_min(1e-12)
    if known is not None:
        known = known[: len(x)]
        if int(known.min()) < 0 or int(known.max()) >= 50 or len(torch.unique(known)) < 2:
            return
        hot = torch.nn.functional.one_hot(known).float()
        counts = hot.sum(0)
        hot, counts = hot[:, counts > 1], counts[counts > 1]
        means = (hot.T @ z) / counts[:, None]
        between = (counts[:, None] * means**2).sum(0) / counts.sum()
        explained, limit = between, 0.995
        if hot.shape[1] == 2 and len(z) >= 200:
            explained = torch.where(_apart(z, hot[:, 0] > 0), 1.0, explained)
    else:
        y = next(leaves(target))
        if y.reshape(len(y), -1).shape[1] != 1 or not y.is_floating_point():
            return
        y = y.reshape(-1)[: len(x)].float()
        y = (y - y.mean()) / y.std(correction=0).clamp_min(1e-12)
        explained, limit = ((z * y[:, None]).mean(0)) ** 2, 0.999
        found.exact = _exact(z, y, explained * varies)
    explained = torch.where(varies, explained, 0.0)
    hits = (explained > limit).nonzero().reshape(-1)
    # Where most features tell the target, the problem is easy, not leaking.
    if 0 < len(hits) <= max(1, x.shape[1] // 4):
        found.copies_of_target = tuple(hits.tolist())
        found.copy_strength = float(explained.max())


def _apart(z: Tensor, first: Tensor) -> Tensor:
    """Of each standardised feature, whether its values of the two classes lie apart with a gap between them."""
    a, b = z[first], z[~first]
    gap = torch.maximum(b.amin(0) - a.amax(0), a.amin(0) - b.amax(0))
    return gap > GAP


def _exact(z: Tensor, y: Tensor, explained: Tensor) -> tuple[int, float]:
    """(feature, share): the feature that gives the target exactly, by one straight line, for the largest share of rows.

    A category replaced by the mean of its targets does so for every category of a single row.
    """
    best = (-1, 0.0)
    draw = torch.Generator().manual_seed(0)
    for at in (explained > 0.25).nonzero().reshape(-1).tolist()[:16]:
        x = z[:, at]
        one, two = torch.randint(len(x), (2, 256), generator=draw).to(x.device)
        apart = (x[one] - x[two]).abs() > 0.1
        slope = (y[one] - y[two])[apart] / (x[one] - x[two])[apart]
        height = y[one][apart] - slope * x[one][apart]
        sloping = slope.abs() > 0.05
        slope, height = slope[sloping], height[sloping]
        if not len(slope) or len(torch.unique(x)) < 0.2 * len(x):
            continue
        hits = ((slope[:, None] * x + height[:, None] - y).abs() < 1e-4).float().mean(1)  # (lines,)
        if float(hits.max()) > best[1]:
            best = at, float(hits.max())
    return best


def split_of(train: tuple[Any, Any], validation: tuple[Any, Any]) -> Split:
    """How the validation part relates to the training part."""
    found = Split()
    known, other = labels(train[1]), labels(validation[1])
    if known is not None and other is not None and len(torch.unique(known)) <= 200:
        classes, seen = torch.unique(other, return_counts=True)
        missing = ~torch.isin(classes, torch.unique(known))
        large = seen >= max(1, 0.005 * len(other))
        found.unseen_classes = tuple(classes[missing & large].tolist())
    x, v = table(train[0]), table(validation[0])
    if x is None or v is None or x.shape[1] != v.shape[1]:
        return found
    if len(v) >= 20:
        found.overlap, found.natural_overlap = _overlap(x, v)
    if x.is_floating_point() and len(x) >= 20 and len(v) >= 5 and finite(x):
        some = slice(None, None, max(1, x.shape[1] // SOME))
        _joint(found, x[:, some].float(), v[:, some].float())
    return found


def _overlap(x: Tensor, v: Tensor) -> tuple[float, float]:
    """Share of validation rows that are training rows, and of training rows that have a copy among themselves."""
    some = slice(None, None, max(1, x.shape[1] // SOME))
    marks, asked = x[:, some].double(), v[:, some].double()
    direction = torch.randn(marks.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(
        x.device
    )
    marks, asked = marks @ direction, asked @ direction
    _, counts = torch.unique(marks, return_counts=True)
    repeated = float((counts[counts > 1] - 1).sum()) / max(len(x), 1)
    order = marks.sort()
    at = torch.searchsorted(order.values, asked - 1e-12 * (1 + asked.abs())).clamp_max(len(x) - 1)
    same = (x[order.indices[at]] == v).all(1)
    if x.is_floating_point():
        columns = x[:, :: max(1, x.shape[1] // 8)].T
        different = torch.tensor([float(len(column.unique())) for column in columns]).median()
        if float(different) > 0.5 * len(counts):
            repeated = 0.0  # numbers of many digits do not repeat by chance: rows were copied
    return float(same.float().mean()), repeated


def _joint(found: Split, x: Tensor, v: Tensor) -> None:
    """Whether one scaler saw both parts: together exactly standardised (or 0..1), the training part alone not."""
    std, mean = torch.std_mean(x, 0)
    varies = std > 1e-6
    if not bool(varies.any()) or x.shape[1] > 20000:
        return
    both = torch.cat([x, v])[:, varies]
    alone_mean, alone_std = mean[varies], std[varies]
    joint_std, joint_mean = torch.std_mean(both, 0)
    kinds = torch.tensor([len(torch.unique(column[:256])) for column in both.T[:64]])
    _compare(found, x[:, varies][:MOST], v[:, varies][:MOST])
    slack = EXACT + 1 / len(both)
    if bool((joint_mean.abs() < EXACT).all()) and bool(((joint_std - 1).abs() < slack).all()):
        gap = torch.maximum(alone_mean.abs(), (alone_std - 1).abs())
        if float(gap.max()) > 5 * slack:
            found.joint_scaling, found.joint_gap = "standardised", float(gap.max())
    elif float((kinds > 2).float().mean()) > 0.5 and both.shape[1] <= 64:
        several = both[:, kinds > 2]
        low, high = several.amin(0), several.amax(0)
        part = x[:, varies][:, kinds > 2]
        exact = bool((low == 0).all()) and bool(((high - 1).abs() < 1e-6).all())
        gap = torch.maximum(part.amin(0), 1 - part.amax(0))
        if exact and float(gap.max()) > 1e-3:
            found.joint_scaling, found.joint_gap = "scaled to 0..1", float(gap.max())


def _compare(found: Split, x: Tensor, v: Tensor) -> None:
    """How far features lie apart and differ in spread: by quartiles, which a few outliers don't move."""
    some = slice(None, None, max(1, x.shape[1] // 64))
    marks = torch.tensor([0.25, 0.5, 0.75], device=x.device)
    own, other = x[:, some].quantile(marks, dim=0), v[:, some].quantile(marks, dim=0)
    width = own[2] - own[0]
    real = width > 1e-6
    if int(real.sum()) * 2 >= len(width) and len(v) >= 20:
        found.shift = float(((other[1] - own[1]).abs() / width)[real].median())
        found.stretch = float(((other[2] - other[0]) / width)[real].median())
