import math

import pytest

from osler.show.panels import Curve, Histogram
from osler.show.terminal import Canvas, beside, draw, number


def test_dots_of_a_letter():
    canvas = Canvas(2, 1, (0, 3, 0, 3))
    canvas.line([0, 3], [0, 3])  # from the lower left to the upper right, through 4 × 4 dots
    assert canvas.lines() == ["⡠⠊"]


def test_a_gap_where_there_is_no_number():
    canvas = Canvas(3, 1, (0, 5, 0, 3))
    canvas.line([0, 1, 2, 3, 4, 5], [0, 0, math.nan, math.inf, 0, 0])
    assert canvas.lines() == ["⣀ ⣀"]


def test_what_lies_outside_is_not_drawn():
    canvas = Canvas(3, 2, (0, 1, 0, 1))
    canvas.line([-5, 9], [8, 8])
    canvas.letter(7, 0, "x")
    canvas.letter(0, -1, "x")
    assert canvas.lines() == ["", ""]


def test_a_letter_lies_under_the_dots_or_over_them():
    canvas = Canvas(2, 1, (0, 3, 0, 3))
    canvas.line([0, 3], [0, 0])
    canvas.letter(0, 0, "·")
    canvas.letter(0, 1, "●", over=True)
    assert canvas.lines() == ["⣀●"]


def test_curve_has_its_title_its_ends_and_a_line_at_zero():
    lines = draw(Curve("f(x)", "time", [-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]), 38)
    assert lines[0].strip() == "f(x)"
    assert [line.split()[0] for line in (lines[1], lines[6], lines[11])] == ["2", "0", "−2"]
    assert "┈" in lines[6]
    assert lines[-2].split() == ["−1", "0", "1"]
    assert lines[-1].strip() == "time"


def test_histogram_has_columns_and_the_theorys_dots():
    lines = draw(Histogram("density", "w", [0.0, 1.0, 2.0, 3.0], [0.5, 1.0, 0.0], [0.5, 1.0, 0.0]), 40)
    assert "by the formula" in lines[0]
    assert lines[1].strip() == "●"  # the highest column
    assert lines[10].strip() == "██"
    assert draw(Histogram("share", "w", [0.0, 1.0], [1.0], []), 40)[0].strip() == "share"


def test_blocks_stand_side_by_side():
    assert beside([["ab", "c"], ["d"]], columns=3, gap=1) == ["ab  d", "c"]


@pytest.mark.parametrize(("value", "text"), [(-0.0, "0"), (-1.5, "−1.5"), (0.12345, "0.123"), (1e-9, "1e−09")])
def test_numbers_are_short(value, text):
    assert number(value) == text
