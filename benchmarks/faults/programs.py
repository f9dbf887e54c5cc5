"""Ten healthy programs of different kinds; each trains in about a second or less on one thread."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any

import torch
from sklearn import datasets
from torch import Tensor, nn

from benchmarks.faults import networks
from benchmarks.faults.program import Build, Data, Part, Program


def split(x: Tensor, y: Tensor, seed: int, train: int, validation: int) -> Data:
    """Shuffled first; what is left is for the test."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    parts = [Part(x[rows], y[rows]) for rows in order.tensor_split([train, train + validation])]
    return Data(*parts)


@lru_cache
def bundled(name: str) -> tuple[Tensor, Tensor]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def standardised(data: Data, targets: bool) -> Data:
    """By the statistics of the training rows."""
    x, y = data.train
    mean, std = x.mean(0), x.std(0)
    scaled = Data(*(Part((part.x - mean) / std, part.y) for part in data))
    return Data(*(Part(part.x, (part.y - y.mean(0)) / y.std(0)) for part in scaled)) if targets else scaled


def digits(seed: int, picture: bool = False) -> Data:
    """Handwritten digits (8 × 8), from 0 to 1."""
    x, y = bundled("digits")
    return split(x.reshape(-1, 1, 8, 8) / 16 if picture else x / 16, y, seed, 1000, 300)


def digits_alone(seed: int) -> Data:
    """To be given back."""
    return Data(*(Part(part.x, part.x) for part in digits(seed)))


def tumours(seed: int) -> Data:
    x, y = bundled("breast_cancer")
    return standardised(split(x, y.float().unsqueeze(1), seed, 300, 100), targets=False)


def friedman(seed: int, noise: float = 0.5, train: int = 1200) -> Data:
    """Friedman's first problem (1991): five of ten columns count, not all of them linearly."""
    x, y = datasets.make_friedman1(3000, noise=noise, random_state=seed)
    table = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32).unsqueeze(1)
    return standardised(split(*table, seed, train, 400), targets=True)


def rhythms(seed: int, classes: int = 4, length: int = 24) -> Data:
    """Recordings (N, T, 3), in each class of another pace and strength."""
    chance = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (1600,), generator=chance)
    pace = torch.tensor([1.5, 2.5, 3.5, 5.0])[y].view(-1, 1, 1) * torch.tensor([1.0, 1.3, 0.7])
    phase = torch.rand(len(y), 1, 3, generator=chance)
    clean = 1.3 * torch.sin(2 * math.pi * (pace * torch.linspace(0, 1, length).view(1, -1, 1) + phase))
    return split(clean + 0.3 * torch.randn(clean.shape, generator=chance), y, seed, 800, 300)


def sentences(seed: int, classes: int = 4, words: int = 60, length: int = 12) -> Data:
    """Texts of words (N, T), four in ten from the vocabulary of their topic."""
    chance = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (1800,), generator=chance)
    anything = torch.randint(words, (len(y), length), generator=chance)
    own = 8 * y.unsqueeze(1) + torch.randint(8, anything.shape, generator=chance)
    told = torch.rand(anything.shape, generator=chance) < 0.4
    return split(torch.where(told, own, anything), y, seed, 900, 300)


def spirals(seed: int, arms: int = 3) -> Data:
    chance = torch.Generator().manual_seed(seed)
    y = torch.randint(arms, (2400,), generator=chance)
    radius = 0.1 + torch.rand(len(y), generator=chance)
    angle = 2 * math.pi * y / arms + 4.5 * radius + 0.12 * torch.randn(len(y), generator=chance)
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    return standardised(split(x, y, seed, 900, 400), targets=False)


def waves(seed: int, length: int = 12) -> Data:
    """Noisy oscillations (N, T, 1), and their next value."""
    chance = torch.Generator().manual_seed(seed)
    start = 2 * math.pi * torch.rand(1600, 1, generator=chance)
    pace = 0.3 + 0.7 * torch.rand(1600, 1, generator=chance)
    series = 1.4 * torch.sin(start + pace * torch.arange(length + 1))
    series = series + 0.1 * torch.randn(series.shape, generator=chance)
    return split(series[:, :-1].unsqueeze(2), series[:, -1:], seed, 800, 300)


def ratings(seed: int, users: int = 40, things: int = 60) -> Data:
    """Who liked what how much: levels of users and things, and two tastes that must meet."""
    chance = torch.Generator().manual_seed(seed)
    tastes, traits = torch.randn(users, 2, generator=chance), torch.randn(things, 2, generator=chance)
    levels = torch.randn(users, 1, generator=chance) + torch.randn(1, things, generator=chance)
    table = levels + tastes @ traits.t() + 0.3 * torch.randn(users, things, generator=chance)
    pairs = torch.cartesian_prod(torch.arange(users), torch.arange(things))
    data = split(pairs, table.reshape(-1, 1), seed, 1600, 300)
    mean, std = data.train.y.mean(), data.train.y.std()
    return Data(*(Part(part.x, (part.y - mean) / std) for part in data))


def program(name: str, task: Any, data: Any, network: Any, build: Build, **settings: Any) -> Program:
    return Program(name, task, data, network, build, **settings)


PROGRAMS = {
    p.name: p
    for p in (
        program(
            "digits-mlp", "classes", digits, partial(networks.mlp, 64, 10), Build(width=64),
            lr=2e-3, epochs=10, floor=0.9,
        ),
        program(
            "digits-cnn", "classes", partial(digits, picture=True), partial(networks.cnn, 10),
            Build(width=8, dropout=0.2), optimizer="momentum", lr=0.05, epochs=8, floor=0.9,
        ),
        program(
            "friedman-batch-norm", "numbers", friedman, partial(networks.normalised, 10, 1),
            Build(width=64, bias=False), loss="mse", lr=5e-3, decay=1e-4, batch=64, epochs=15,
        ),
        program(
            "rhythms-lstm", "classes", rhythms, partial(networks.Recurrent, nn.LSTM, 3, 4), Build(width=32),
            lr=5e-3, batch=50, epochs=10, clip=1.0, floor=0.9,
        ),
        program(
            "words-transformer", "classes", sentences, partial(networks.Transformer, 60, 12, 4),
            Build("gelu", width=32, dropout=0.1), optimizer="adamw", lr=2e-3, decay=0.01, batch=50, epochs=6,
        ),
        program(
            "digits-autoencoder", "numbers", digits_alone, partial(networks.autoencoder, 64, 20),
            Build(width=64, output="sigmoid"), loss="mse", lr=5e-3, batch=50, epochs=24,
        ),
        program(
            "tumours-logistic", "binary", tumours, partial(networks.logistic, 30, 1), Build(),
            loss="bce-with-logits", optimizer="sgd", lr=0.1, decay=1e-3, batch=16, epochs=25, floor=0.92,
        ),
        program(
            "spirals-residual", "classes", spirals, partial(networks.residual, 2, 3, 4), Build(width=32),
            optimizer="adamw", lr=5e-3, decay=0.01, batch=64, epochs=15, floor=0.9,
        ),
        program(
            "waves-gru", "numbers", waves, partial(networks.Recurrent, nn.GRU, 1, 1), Build("tanh", width=24),
            loss="mse", lr=1e-2, batch=50, epochs=10, clip=1.0, floor=0.9,
        ),
        program(
            "ratings-embedding", "numbers", ratings, partial(networks.Recommender, 40, 60, 8), Build(width=48),
            loss="mse", lr=1e-2, batch=80, epochs=30, patience=5, decay=1e-5,
        ),
        program(
            "noise-early-stop", "numbers", partial(friedman, noise=1.5, train=400), partial(networks.mlp, 10, 1),
            Build(width=128), loss="mse", lr=4e-3, batch=25, epochs=50, patience=3, floor=0.75,
        ),
    )
}  # fmt: skip
