"""What is trained in the benchmarks: six networks, each with its data, loss and optimizer settings.

The data are made from a seed, can be learned, and are held as tensors: pictures as uint8, text as indices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Data = tuple[Tensor, Tensor | None]  # inputs and targets; None: the inputs themselves


@dataclass(frozen=True)
class Workload:
    """An epoch is `samples / batch_size` equal steps of Adam with rate `lr`."""

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[int, torch.Generator], Data]
    loss: Callable[[], nn.Module]
    samples: int
    batch_size: int = 64
    lr: float = 1e-3

    @property
    def steps(self) -> int:
        return self.samples // self.batch_size

    def made_data(self) -> Data:
        return self.data(self.samples, torch.Generator().manual_seed(0))

    def made_model(self) -> nn.Module:
        """With the same first weights every time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.model()


def scaled(inputs: Tensor) -> Tensor:
    """What the network takes: pictures from 0 to 1, all else as it is."""
    return inputs.float().div_(255) if inputs.dtype == torch.uint8 else inputs


class LastStep(nn.Module):
    """An LSTM that judges a sequence (N, T, F) by its state after the last step."""

    def __init__(self, features: int, units: int, classes: int):
        super().__init__()
        self.lstm = nn.LSTM(features, units, batch_first=True)
        self.head = nn.Linear(units, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.lstm(x)[0][:, -1])
        return logits


class Residual(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        projection = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*([] if same else projection))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class Block(nn.Module):
    """Causal self-attention and a perceptron, each normalised first and added to what came in."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        parts = self.qkv(self.attention_norm(x)).view(n, t, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # each (N, heads, T, head size)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mix(seen.transpose(1, 2).reshape(n, t, width))
        x = x + self.mlp(self.mlp_norm(x))
        return x


class GPT(nn.Module):
    """The next character's logits at every place, (N, classes, T) as the loss takes them."""

    def __init__(self, vocabulary: int, tokens: int, width: int, layers: int, heads: int):
        super().__init__()
        self.characters = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(tokens, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)
        for table in (self.characters, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.characters(x) + self.places.weight  # (N, T, width)
        logits: Tensor = self.head(self.norm(self.blocks(x)))
        return logits.transpose(1, 2)


def mlp(inputs: int) -> nn.Module:
    sizes = (nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(nn.Flatten(), *sizes)


def lenet5() -> nn.Module:
    """LeCun et al. (1998), for 28×28 pictures."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def resnet20() -> nn.Module:
    """He et al. (2016), section 4.2, with projections where the size changes."""
    stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
    blocks = [Residual(a if i == 0 else b, b, stride if i == 0 else 1) for a, b, stride in stages for i in range(3)]
    stem = (nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def autoencoder() -> nn.Module:
    """28×28 to 32 numbers and back."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(1568, 32), nn.Linear(32, 1568), nn.ReLU(), nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1), nn.Sigmoid(),
    )  # fmt: skip


def mislabelled(labels: Tensor, chance: torch.Generator) -> Tensor:
    """One label in ten is drawn anew, so that no loss falls to nothing."""
    others = torch.randint(10, labels.shape, generator=chance)
    return torch.where(torch.rand(labels.shape, generator=chance) < 0.1, others, labels)


def pictures(channels: int, size: int) -> Callable[[int, torch.Generator], Data]:
    """Ten blurred patterns under much noise."""

    def make(count: int, chance: torch.Generator) -> Data:
        patterns = F.interpolate(torch.rand(10, channels, 4, 4, generator=chance), size=size, mode="bilinear")
        labels = torch.randint(10, (count,), generator=chance)
        noise = torch.rand(count, channels, size, size, generator=chance)
        return (255 * (0.5 * patterns[labels] + 0.5 * noise)).to(torch.uint8), mislabelled(labels, chance)

    return make


def blots(count: int, chance: torch.Generator) -> Data:
    """Pictures (N, 1, 28, 28) of three round blots, to be given back."""
    x, y = torch.rand(2, count, 3, 1, 1, generator=chance)
    across = torch.linspace(0, 1, 28)
    blot = torch.exp(-((x - across) ** 2 + (y - across.unsqueeze(1)) ** 2) / 0.02)
    return (255 * blot.amax(dim=1, keepdim=True)).to(torch.uint8), None


def waves(count: int, chance: torch.Generator) -> Data:
    """Noisy waves (N, 100, 8), in each of ten classes of another strength and level in every feature."""
    strengths, levels = torch.rand(10, 1, 8, generator=chance), torch.randn(10, 1, 8, generator=chance)
    labels = torch.randint(10, (count,), generator=chance)
    phases = torch.rand(count, 1, 8, generator=chance)
    times = torch.arange(100.0).view(1, 100, 1) / 100
    clean = strengths[labels] * torch.sin(2 * torch.pi * (3 * times + phases)) + 0.5 * levels[labels]
    return clean + 0.3 * torch.randn(count, 100, 8, generator=chance), mislabelled(labels, chance)


def text(count: int, chance: torch.Generator) -> Data:
    """Windows of 128 characters of 65 and what follows each: every character has four likely successors."""
    successors = torch.randint(65, (65, 4), generator=chance)
    choices = torch.randint(4, (count, 128), generator=chance)
    letters = [torch.randint(65, (count,), generator=chance)]
    for i in range(128):
        letters.append(successors[letters[-1], choices[:, i]])
    windows = torch.stack(letters, dim=1)
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()


WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp", lambda: mlp(784), pictures(1, 28), nn.CrossEntropyLoss, samples=25_600),
        Workload("mlp-digits", lambda: mlp(64), pictures(1, 8), nn.CrossEntropyLoss, samples=25_600),
        Workload("lenet5", lenet5, pictures(1, 28), nn.CrossEntropyLoss, samples=6_400),
        Workload("resnet20", resnet20, pictures(3, 32), nn.CrossEntropyLoss, samples=2_560),
        Workload("lstm", lambda: LastStep(8, 128, 10), waves, nn.CrossEntropyLoss, samples=2_560),
        Workload("gpt", lambda: GPT(65, 128, 128, 4, 4), text, nn.CrossEntropyLoss, samples=640, batch_size=16),
        Workload("autoencoder", autoencoder, blots, nn.MSELoss, samples=3_200),
    )
}
