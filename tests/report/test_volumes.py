import re

from hypothesis import given
from hypothesis import strategies as st

from osler.report.volumes import Scale


def test_sizes_follow_the_largest() -> None:
    scale = Scale([(3, 64, 64), (16, 32, 32), (64, 1, 1)])
    widths = [scale.width(s) for s in [(3, 64, 64), (3, 32, 32), (3, 1, 1)]]
    assert widths == sorted(widths, reverse=True)
    assert scale.width((64, 32, 32)) > scale.width((3, 32, 32))  # deeper


def test_few_units_are_drawn_one_by_one() -> None:
    scale = Scale([(4,), (4000,)])
    assert scale.picture((4,), 0, 0).count('class="unit"') == 4
    assert scale.picture((4000,), 0, 0).count('class="unit"') == 5  # two ends, three dots


@given(st.lists(st.lists(st.integers(0, 10**6), max_size=5).map(tuple), min_size=1, max_size=5))
def test_pictures_stay_within_their_place(shapes: list[tuple[int, ...]]) -> None:
    scale = Scale(shapes)
    for shape in shapes:
        picture = scale.picture(shape, 0, 0)
        for name, value in re.findall(r'\b(x|y|cx|cy)="(-?[\d.]+)"', picture):
            assert abs(float(value)) <= (scale.width(shape) / 2 + 0.1 if name.endswith("x") else 62)
        assert scale.width(shape) <= 100
