"""Networks and pictures whose answers are known: by hand, or because they were taught to look at one thing."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE, SQUARE = 20, 5


class Conv(nn.Module):
    """A network whose nonlinearities are functions, which no hook on modules sees."""

    def __init__(self, channels: int = 1, classes: int = 3):
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.output = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.first(x)), 2)  # (N, 8, H / 2, W / 2)
        x = F.relu(self.second(x))
        logits: Tensor = self.output(x.amax((2, 3)))
        return logits


class Two(nn.Module):
    """A network of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.output = nn.Linear(4, 8), nn.Linear(3, 8), nn.Linear(8, 3)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        scores: Tensor = self.output(torch.relu(self.left(a) + self.right(b)))
        return scores


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))


@dataclass
class Located:
    """A network that knows whether there is a bright square, pictures with one, and its upper left corners."""

    network: nn.Module
    pictures: Tensor  # (N, 1, 20, 20)
    corners: list[tuple[int, int]]

    def inside(self, maps: Tensor) -> float:
        """The share of maps (N, 1, H, W) whose largest value lies in the square."""
        found = 0
        for places, (top, left) in zip(maps[:, 0], self.corners, strict=True):
            y, x = divmod(int(places.argmax()), SIDE)
            found += top <= y < top + SQUARE and left <= x < left + SQUARE
        return found / len(maps)


def squares(count: int, draw: torch.Generator) -> tuple[Tensor, list[tuple[int, int]]]:
    pictures = 0.3 * torch.randn(count, 1, SIDE, SIDE, generator=draw)
    corners = [tuple(c) for c in torch.randint(0, SIDE - SQUARE + 1, (count, 2), generator=draw).tolist()]
    for picture, (top, left) in zip(pictures, corners, strict=True):
        picture[0, top : top + SQUARE, left : left + SQUARE] += 1
    return pictures, corners
