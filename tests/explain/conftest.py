"""A network that was taught to look at one thing."""

import pytest
import torch
from torch.nn import functional as F

from tests.explain.networks import SIDE, Conv, Located, squares


@pytest.fixture(scope="session")
def located() -> Located:
    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Conv(classes=2)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(200):
        x = torch.cat([squares(32, draw)[0], 0.3 * torch.randn(32, 1, SIDE, SIDE, generator=draw)])
        loss = F.cross_entropy(network(x), torch.arange(64) // 32 * -1 + 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pictures, corners = squares(100, draw)
    assert (network(pictures).argmax(1) == 1).float().mean() > 0.98
    return Located(network, pictures, corners)
