"""Batches are recognised among the training rows, also rows of tokens whose padding was cut off."""

import torch

from osler.doctor.order import Order


def seen(order: torch.Tensor) -> float | None:
    """The verdict on batches of two classes of token rows, 0 being padding, in this order."""
    draw = torch.Generator().manual_seed(0)
    rows = torch.randint(1, 1000, (400, 12), generator=draw)
    rows[torch.arange(12) >= torch.randint(1, 9, (400, 1), generator=draw)] = 0
    found = Order(rows, torch.arange(400) // 200)
    for batch in rows[order].split(20):
        found.see(batch[:, : int((batch != 0).any(0).sum())])
    return found.verdict()[0]


def test_rows_without_their_padding_are_the_same_rows() -> None:
    inside = seen(torch.arange(400))
    assert inside is not None
    assert inside < 0.1
    inside = seen(torch.randperm(400, generator=torch.Generator().manual_seed(1)))
    assert inside is not None
    assert inside > 0.9
