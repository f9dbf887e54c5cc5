import math

import pytest

from osler.errors import InputError
from osler.nn.options import dropped, finite, fraction, nonnegative, positive, whole


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (finite, [0, -2.5, 1e30], [math.nan, math.inf, "1", None, True]),
        (positive, [1e-9, 3], [0, -1, math.inf]),
        (nonnegative, [0, 2.5], [-1e-9, math.nan]),
        (fraction, [0, 0.5, 1], [-0.1, 1.1, math.nan]),
        (dropped, [0, 0.5, 0.99], [-0.1, 1, math.nan]),
        (whole, [1, 7], [0, -1, 1.5, True, "3"]),
    ],
)
def test_values_pass_unchanged_or_are_named_in_the_error(check, good, bad):
    assert [check("rate", value) for value in good] == good
    for value in bad:
        with pytest.raises(InputError, match="rate must") as caught:
            check("rate", value)
        assert repr(value) in str(caught.value)
