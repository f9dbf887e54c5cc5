"""What the pictures train: small data, small networks, and one plain loop."""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

Loss = Callable[[Any, Any], Tensor]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(
    count: int = 600, classes: int = 4, width: int = 8, spread: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """One cloud of points for each class."""
    draw = seeded(seed)
    centre = 2.5 * torch.randn(classes, width, generator=seeded(99))
    y = torch.randint(0, classes, (count,), generator=draw)
    return (centre[y] + spread * torch.randn(count, width, generator=draw)) / 2.5, y


def ring(count: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points inside (0) and outside (1) of a circle: no straight line parts them."""
    x = torch.randn(count, 2, generator=seeded(seed))
    return x, (x.norm(dim=1) > 1.15).long()


def wave(count: int = 200, noise: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A sine of one feature, as a column."""
    draw = seeded(seed)
    x = 4 * torch.rand(count, 1, generator=draw) - 2
    return x, torch.sin(2 * x) + noise * torch.randn(count, 1, generator=draw)


def squares(count: int = 400, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pictures of 8×8 grey values: the class says which quarter is bright."""
    draw = seeded(seed)
    y = torch.randint(0, 4, (count,), generator=draw)
    x = 0.3 * torch.randn(count, 1, 8, 8, generator=draw)
    for i, c in enumerate(y.tolist()):
        x[i, 0, 4 * (c // 2) : 4 * (c // 2) + 4, 4 * (c % 2) : 4 * (c % 2) + 4] += 1.0
    return x, y


def dense(*widths: int, act: Callable[[], nn.Module] = nn.ReLU, end: Iterable[nn.Module] = (), seed: int = 0) -> Any:
    """Dense layers with an activation between them; the same weights for the same seed."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1], *end)


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Loss = F.cross_entropy,
    optimizer: Optimizer | None = None,
    epochs: int = 20,
    batch: int = 32,
    each: Callable[[], None] = lambda: None,
    epoch: Callable[[], None] = lambda: None,
    shuffle: bool = True,
) -> list[float]:
    """The loss of every step; `each` is called when gradients are there, `epoch` after every pass over the data."""
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=3e-3)
    draw, course = seeded(), []
    torch.manual_seed(0)
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(y), generator=draw) if shuffle else torch.arange(len(y))
        for rows in order.split(batch):
            optimizer.zero_grad()
            value = loss(model(x[rows]), y[rows])
            value.backward()
            each()
            optimizer.step()
            course.append(value.item())
        epoch()
    return course


def by_epoch(course: list[float], epochs: int) -> list[float]:
    """The mean of each pass."""
    size = len(course) // epochs
    return [sum(course[i * size : (i + 1) * size]) / size for i in range(epochs)]


def adam(model: nn.Module, lr: float = 3e-3, **options: Any) -> Optimizer:
    return torch.optim.Adam(model.parameters(), lr=lr, **options)


def sgd(model: nn.Module, lr: float = 0.1, **options: Any) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, **options)


@torch.no_grad()
def scores(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says in evaluation mode; its mode is left as it was."""
    was = model.training
    model.eval()
    found = model(x)
    model.train(was)
    return found


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((scores(model, x).argmax(1) == y).float().mean())


def recalls(guess: Tensor, y: Tensor, classes: int) -> list[float]:
    """The share of each class that is recognised."""
    return [float((guess[y == c] == c).float().mean()) for c in range(classes)]


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the weight matrices by the name of their layer."""
    named = model.named_parameters()
    return {n.removesuffix(".weight"): p.detach().clone() for n, p in named if p.dim() > 1}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> list[float]:
    """How far each weight matrix has moved, relative to its size."""
    return [float((after[n] - w).norm() / w.norm()) for n, w in before.items()]


def gradients(model: nn.Module) -> list[float]:
    """The typical size of a gradient in each weight matrix."""
    return [
        0.0 if p.grad is None else float(p.grad.norm()) / math.sqrt(p.numel())
        for p in model.parameters()
        if p.dim() > 1
    ]


def norm(model: nn.Module) -> float:
    """Of the whole gradient."""
    return math.sqrt(sum(float(p.grad.norm()) ** 2 for p in model.parameters() if p.grad is not None))
