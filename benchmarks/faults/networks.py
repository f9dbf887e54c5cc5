"""The networks of the healthy programs; a `Build` says what may be changed in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.faults.program import Build

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "softmax": lambda: nn.Softmax(dim=-1),
}


def activations(names: str) -> list[nn.Module]:
    """The modules of one name, or of several joined by "+"."""
    return [ACTIVATIONS[name]() for name in names.split("+") if name != "none"]


def normal(std: float) -> Callable[[Tensor], Tensor]:
    return partial(nn.init.normal_, std=std)


INITIALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
    "normal-1": normal(1.0),
    "normal-5": normal(5.0),
    "normal-0.0001": normal(1e-4),
}


def initialised(model: nn.Module, b: Build) -> nn.Module:
    """With the weights of all its layers, but not of its embeddings and norms, drawn as told."""
    if b.init != "default":
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.RNNBase | nn.MultiheadAttention):
                for p in module.parameters(recurse=False):
                    if p.dim() > 1:
                        INITIALISATIONS[b.init](p.data)
    return model


def hidden(layer: nn.Module, b: Build) -> list[nn.Module]:
    """A hidden layer with its activation and dropout."""
    return [layer, *activations(b.activation), *([nn.Dropout(b.dropout)] if b.dropout else [])]


def logistic(inputs: int, outputs: int, b: Build) -> nn.Module:
    return initialised(nn.Sequential(nn.Linear(inputs, outputs), *activations(b.output)), b)


def mlp(inputs: int, outputs: int, b: Build) -> nn.Module:
    """Two hidden layers."""
    return initialised(
        nn.Sequential(
            *hidden(nn.Linear(inputs, b.width, bias=b.bias), b),
            *hidden(nn.Linear(b.width, b.width, bias=b.bias), b),
            nn.Linear(b.width, outputs),
            *activations(b.output),
        ),
        b,
    )


def normalised(inputs: int, outputs: int, b: Build) -> nn.Module:
    """Two hidden layers with batch normalisation."""
    layers: list[nn.Module] = []
    for size in (inputs, b.width):
        layer = nn.Linear(size, b.width, bias=b.bias)
        layers += hidden(nn.Sequential(layer, nn.BatchNorm1d(b.width)), b)
    return initialised(nn.Sequential(*layers, nn.Linear(b.width, outputs), *activations(b.output)), b)


def cnn(outputs: int, b: Build) -> nn.Module:
    """Two convolutions, for pictures (1, 8, 8)."""
    return initialised(
        nn.Sequential(
            nn.Conv2d(1, b.width, 3, padding=1, bias=b.bias), *activations(b.activation), nn.MaxPool2d(2),
            nn.Conv2d(b.width, 2 * b.width, 3, padding=1, bias=b.bias), *activations(b.activation), nn.MaxPool2d(2),
            nn.Flatten(), *([nn.Dropout(b.dropout)] if b.dropout else []),
            nn.Linear(8 * b.width, outputs), *activations(b.output),
        ),
        b,
    )  # fmt: skip


def autoencoder(inputs: int, code: int, b: Build) -> nn.Module:
    return initialised(
        nn.Sequential(
            *hidden(nn.Linear(inputs, b.width, bias=b.bias), b),
            nn.Linear(b.width, code),
            *hidden(nn.Linear(code, b.width, bias=b.bias), b),
            nn.Linear(b.width, inputs),
            *activations(b.output),
        ),
        b,
    )


class Recurrent(nn.Module):
    """The state after the last step of a sequence (N, T, F), and a small perceptron that reads it."""

    def __init__(self, kind: type[nn.RNNBase], inputs: int, outputs: int, b: Build):
        super().__init__()
        self.recurrent = kind(inputs, b.width, batch_first=True, bias=b.bias)
        head = hidden(nn.Linear(b.width, b.width, bias=b.bias), b)
        self.head = nn.Sequential(*head, nn.Linear(b.width, outputs), *activations(b.output))
        initialised(self, b)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.recurrent(x)[0][:, -1])
        return scores


class Block(nn.Module):
    """Self-attention and a perceptron, each normalised first and added to what came in."""

    def __init__(self, b: Build):
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(b.width), nn.LayerNorm(b.width)
        self.attention = nn.MultiheadAttention(b.width, 4, bias=b.bias, batch_first=True)
        first = hidden(nn.Linear(b.width, 2 * b.width, bias=b.bias), b)
        self.mlp = nn.Sequential(*first, nn.Linear(2 * b.width, b.width, bias=b.bias))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.attention_norm(x)
        x = x + self.attention(seen, seen, seen, need_weights=False)[0]
        x = x + self.mlp(self.mlp_norm(x))
        return x


class Transformer(nn.Module):
    """Two encoder blocks over words (N, T), and the mean of what they say."""

    def __init__(self, words: int, length: int, outputs: int, b: Build):
        super().__init__()
        self.words = nn.Embedding(words, b.width)
        self.places = nn.Parameter(0.02 * torch.randn(length, b.width))
        self.blocks = nn.Sequential(Block(b), Block(b))
        self.norm = nn.LayerNorm(b.width)
        self.head = nn.Sequential(nn.Linear(b.width, outputs), *activations(b.output))
        initialised(self, b)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.blocks(self.words(x) + self.places))
        scores: Tensor = self.head(x.mean(dim=1))
        return scores


class Shortcut(nn.Module):
    """Two layers, normalised first, added to what came in."""

    def __init__(self, b: Build):
        super().__init__()
        self.norm = nn.LayerNorm(b.width)
        first = hidden(nn.Linear(b.width, b.width, bias=b.bias), b)
        self.layers = nn.Sequential(*first, nn.Linear(b.width, b.width, bias=b.bias))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(self.norm(x))
        return y


def residual(inputs: int, outputs: int, blocks: int, b: Build) -> nn.Module:
    return initialised(
        nn.Sequential(
            nn.Linear(inputs, b.width), *(Shortcut(b) for _ in range(blocks)), nn.LayerNorm(b.width),
            nn.Linear(b.width, outputs), *activations(b.output),
        ),
        b,
    )  # fmt: skip


class Recommender(nn.Module):
    """What a user would rate a thing (N, 2): a vector for each, and a perceptron that reads both."""

    def __init__(self, users: int, things: int, size: int, b: Build):
        super().__init__()
        self.users, self.things = nn.Embedding(users, size), nn.Embedding(things, size)
        first = hidden(nn.Linear(2 * size, b.width, bias=b.bias), b)
        self.head = nn.Sequential(*first, nn.Linear(b.width, 1), *activations(b.output))
        initialised(self, b)

    def forward(self, pairs: Tensor) -> Tensor:
        rating: Tensor = self.head(torch.cat([self.users(pairs[:, 0]), self.things(pairs[:, 1])], dim=1))
        return rating
