"""The weights that an initializer gives, beside the distribution that its formula promises."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from osler.nn.activations import ACTIVATIONS
from osler.nn.initialisation import INITIALIZERS
from osler.nn.initialisers import rule_before
from osler.show.panels import Histogram, Plot

INPUTS, OUTPUTS = 400, 300
BINS, BESIDE = 65, 8  # so many of them on each side of an interval


@dataclass(frozen=True)
class Law:
    """A distribution: its name, variance and density, and where nearly all of it lies."""

    name: str
    variance: float
    density: Callable[[float], float]
    low: float
    high: float


def initializer(name: str, options: Mapping[str, Any]) -> Plot:
    """120,000 weights of a layer, and their density by the formula."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weight = INITIALIZERS.create(name, torch.empty(OUTPUTS, INPUTS, dtype=torch.float64), **options)
    layer = f"A layer of {INPUTS} inputs and {OUTPUTS} outputs, {weight.numel():,} weights"
    law = promised(name, options)
    if law is None:
        value = float(weight[0, 0])
        assert (weight == value).all(), f"no law is known for {name}"
        edges = [value + (2 * i / BINS - 1) for i in range(BINS + 1)]
        heights = torch.histc(weight, BINS, edges[0], edges[-1]) / weight.numel()
        note = f"{layer}, all of them {value:g}: their variance is 0."
        return Plot((Histogram("share of the weights", "w", edges, heights.tolist(), ()),), note)
    width = (law.high - law.low) / BINS
    edges = [law.low + width * i for i in range(BINS + 1)]
    heights = torch.histc(weight, BINS, law.low, law.high) / weight.numel() / width
    theory = [law.density(edge + width / 2) for edge in edges[:-1]]
    note = f"{layer}. Promised: {law.name}, variance {law.variance:.4g}; found: {weight.var():.4g}."
    return Plot((Histogram("density of the weights", "w", edges, heights.tolist(), theory),), note)


def promised(name: str, options: Mapping[str, Any]) -> Law | None:
    """The law of an initializer for that layer; None where all weights are equal."""
    if name == "auto":
        name = rule_before(ACTIVATIONS.create(options.get("activation", "linear")))
    family, _, shape = name.partition("_")
    variances = {"xavier": 2 / (INPUTS + OUTPUTS), "he": 2 / INPUTS, "lecun": 1 / INPUTS}
    if family in variances:
        spread = math.sqrt(variances[family])
        return _normal(0.0, spread) if shape == "normal" else _uniform(-math.sqrt(3) * spread, math.sqrt(3) * spread)
    if name == "normal":
        std = options.get("std", 0.05)
        return _normal(options.get("mean", 0.0), std) if std else None
    if name == "uniform":
        low, high = options.get("low", -0.05), options.get("high", 0.05)
        return _uniform(low, high) if low < high else None
    if name == "orthogonal":
        return _coordinate(max(INPUTS, OUTPUTS), options.get("gain", 1.0))
    return None


def _normal(mean: float, std: float) -> Law:
    def density(w: float) -> float:
        return math.exp(-(((w - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))

    return Law(f"N({mean:g}, {std**2:.4g})".replace("-", "−"), std**2, density, mean - 4 * std, mean + 4 * std)


def _uniform(low: float, high: float) -> Law:
    def density(w: float) -> float:
        return 1 / (high - low) if low <= w <= high else 0.0

    margin = (high - low) * BESIDE / (BINS - 2 * BESIDE)
    return Law(
        f"U({low:.4g}, {high:.4g})".replace("-", "−"), (high - low) ** 2 / 12, density, low - margin, high + margin
    )


def _coordinate(size: int, radius: float) -> Law:
    """Of a random point on a sphere in so many dimensions: what an entry of a rotation is distributed like."""
    scale = math.exp(math.lgamma(size / 2) - math.lgamma((size - 1) / 2)) / (math.sqrt(math.pi) * radius)
    spread = radius / math.sqrt(size)

    def density(w: float) -> float:
        return float(scale * max(0.0, 1 - (w / radius) ** 2) ** ((size - 3) / 2))

    return Law(f"a coordinate on a sphere in {size} dimensions", spread**2, density, -4 * spread, 4 * spread)
