import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from osler.errors import InputError
from osler.nn.positions import Positions, rotate, sinusoidal


def test_sinusoidal_is_the_papers_formula():
    table = sinusoidal(50, 6, start=3)
    for p in (0, 7, 49):
        for i in range(3):
            angle = (p + 3) / 10_000 ** (2 * i / 6)
            assert table[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


@given(first=st.integers(0, 5000), distance=st.integers(0, 50), elsewhere=st.integers(0, 5000))
def test_rotary_products_depend_on_the_distance_alone(first, distance, elsewhere):
    draw = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 8, dtype=torch.float64, generator=draw)

    def product(at):
        return (rotate(q, start=at + distance) @ rotate(k, start=at).T).item()

    assert product(first) == pytest.approx(product(elsewhere), abs=1e-9)
    assert rotate(q, start=first).norm().item() == pytest.approx(q.norm().item())
    if distance == 0:
        assert product(first) == pytest.approx((q @ k.T).item())


def test_rotary_turns_each_place_by_its_own_angle():
    x = torch.tensor([[1.0, 0.0]] * 3)
    expected = [[math.cos(p), math.sin(p)] for p in range(3)]
    torch.testing.assert_close(rotate(x), torch.tensor(expected))


def test_learned_positions_end():
    positions = Positions("learned", 4, longest=3)
    x = torch.zeros(2, 2, 4)
    assert torch.equal(positions(x, start=1)[0], positions.table[1:])
    with pytest.raises(InputError, match="has 3 positions, but the sequence has 4"):
        positions(x, start=2)
    assert Positions("sinusoidal", 4, longest=3)(torch.zeros(1, 5, 4)).shape == (1, 5, 4)
    assert torch.equal(Positions("rotary", 4, longest=1)(x), x)


@pytest.mark.parametrize(
    ("kind", "width", "message"), [("rotray", 4, "did you mean 'rotary'"), ("sinusoidal", 5, "must be even, but got 5")]
)
def test_refusals(kind, width, message):
    with pytest.raises(InputError, match=message):
        Positions(kind, width, longest=3)
