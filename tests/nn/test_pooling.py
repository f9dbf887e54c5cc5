import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F

from osler.errors import InputError
from osler.nn.pooling import POOLINGS, max_pool
from osler.nn.trace import layers

PICTURE = torch.tensor([[0.1, 0, 1, 0.4], [0, 0.5, 0.4, 1.6], [0.3, 0.2, 1.7, 1.1], [0.2, 0.4, 1.1, 1.7]])
WINDOWED = ["max_pool", "average_pool", "min_pool", "sum_pool"]


def test_max_pool_of_the_notes() -> None:
    assert torch.equal(max_pool()(PICTURE[None, None])[0, 0], torch.tensor([[0.5, 1.6], [0.4, 1.7]]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("min_pool", [[0.0, 0.4], [0.2, 1.1]]),
        ("sum_pool", [[0.6, 3.4], [1.1, 5.6]]),
        ("average_pool", [[0.15, 0.85], [0.275, 1.4]]),
    ],
)
def test_the_others_by_hand(name: str, expected: list[list[float]]) -> None:
    torch.testing.assert_close(POOLINGS.create(name)(PICTURE[None, None])[0, 0], torch.tensor(expected))


@pytest.mark.parametrize("name", WINDOWED)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_every_window_as_scipy_sees_it(name: str, axes: int) -> None:
    x = torch.randn(2, 3, *(9, 8, 7)[:axes], generator=torch.Generator().manual_seed(axes)).double()
    found = POOLINGS.create(name, kernel=3, stride=2, axes=axes)(x)
    filters = {
        "max_pool": ndimage.maximum_filter,
        "min_pool": ndimage.minimum_filter,
        "average_pool": ndimage.uniform_filter,
        "sum_pool": lambda a, size: ndimage.uniform_filter(a, size) * 3**axes,
    }
    inside = (slice(1, -1, 2),) * axes  # the windows that lie inside
    expected = torch.from_numpy(filters[name](x.numpy(), size=(1, 1, *(3,) * axes)))[:, :, *inside]
    torch.testing.assert_close(found, expected)


def test_padding_never_wins_and_adds_nothing() -> None:
    x = torch.ones(1, 1, 4, 4)
    assert POOLINGS.create("min_pool", kernel=3, padding=1)(x).eq(1).all()
    assert POOLINGS.create("max_pool", kernel=3, padding=1)(-x).eq(-1).all()
    assert POOLINGS.create("sum_pool", kernel=3, stride=3, padding=1)(x)[0, 0, 0, 0] == 4


def test_global_pools_take_any_size() -> None:
    for shape in [(2, 3, 5), (2, 3, 5, 4), (2, 3, 5, 4, 6)]:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(POOLINGS.create("global_average_pool")(x), x.flatten(2).mean(2))
        torch.testing.assert_close(
            POOLINGS.create("global_max_pool")(x), F.adaptive_max_pool1d(x.flatten(2), 1)[..., 0]
        )


@pytest.mark.parametrize("name", WINDOWED)
def test_their_sizes_are_worked_out(name: str) -> None:
    [row] = layers(POOLINGS.create(name, kernel=3, stride=2), torch.zeros(1, 1, 9, 9))
    assert row.arithmetic == "⌊(9 + 2·0 − 3)/2⌋ + 1 = 4"
    assert (row.receptive_field, row.jump) == ((3, 3), (2.0, 2.0))


@pytest.mark.parametrize("options", [{"kernel": 0}, {"kernel": 2.5}, {"stride": 0}, {"padding": 2}, {"axes": 4}])
def test_impossible_windows_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        POOLINGS.create("min_pool", **options)
