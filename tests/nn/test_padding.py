import numpy as np
import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.nn.padding import PADDINGS

MODES = {"zero": "constant", "nearest": "edge", "reflect": "reflect"}  # as NumPy calls them


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_what_is_put_around_is_what_numpy_puts(name: str, axes: int) -> None:
    x = torch.randn(2, 3, *(5, 4, 6)[:axes], generator=torch.Generator().manual_seed(0))
    around = [(0, 0), (0, 0), *[(2, 2)] * axes]
    expected = np.pad(x.numpy(), around, mode=MODES[name])
    np.testing.assert_array_equal(PADDINGS.create(name, padding=2, axes=axes)(x), expected)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_same_is_what_torch_calls_same(kernel: int) -> None:
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    inside = nn.Conv2d(1, 1, kernel)
    torch.manual_seed(0)
    around = nn.Conv2d(1, 1, kernel, padding=(kernel - 1) // 2)
    y = inside(PADDINGS.create("same", kernel=kernel)(x))
    assert y.shape == x.shape
    if kernel % 2:
        torch.testing.assert_close(y, around(x))


def test_valid_puts_nothing_around() -> None:
    x = torch.randn(1, 1, 3, 3)
    assert PADDINGS.create("valid")(x) is x


@pytest.mark.parametrize(
    ("name", "options"), [("zero", {"padding": -1}), ("same", {"kernel": 0}), ("reflect", {"axes": 0})]
)
def test_impossible_paddings_are_refused(name: str, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        PADDINGS.create(name, **options)
