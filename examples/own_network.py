"""One's own network in one's own terms: a plain module, torch's DataLoader, an objective, and the loop.

Two interlocking half circles; the network is told nothing but the points.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import osler
from osler.training import EarlyStopping


def half_circles(count: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    side = torch.arange(count) % 2
    angle = torch.rand(count, generator=generator) * torch.pi
    x = torch.stack([angle.cos() + side, angle.sin() * (1 - 2 * side) + side / 2], dim=1)
    return TensorDataset(x + 0.1 * torch.randn(count, 2, generator=generator), side)


def main() -> float:
    torch.manual_seed(0)
    train = DataLoader(half_circles(600, seed=0), batch_size=32, shuffle=True)
    validation = DataLoader(half_circles(200, seed=1), batch_size=200)

    network = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = osler.optimizer("adam", network.parameters(), lr=0.01)

    def tell(trainer: osler.Trainer) -> None:
        if trainer.epoch % 10 == 0:
            print(trainer.epoch, {name: round(value, 3) for name, value in trainer.history[-1].items()})

    trainer = osler.Trainer(
        network, osler.Classification.multiclass(2), optimizer=optimizer, callbacks=[tell, EarlyStopping(patience=15)]
    )
    history = trainer.fit(train, validation, epochs=60)
    best = history.best("accuracy/val", lower=False)
    assert best is not None
    return float(best["accuracy/val"])


if __name__ == "__main__":
    print(main())
