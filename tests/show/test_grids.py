"""Pages of pooling and padding: the numbers that they show are those of the notes."""

import pytest

from osler.errors import InputError
from osler.show.catalogue import asked
from osler.show.grids import padding, pooling
from osler.show.page import page
from osler.show.plot import picture, plot
from osler.show.terminal import draw


def test_max_pool_shows_the_notes():
    before, after = pooling("max_pool", {}).panels
    assert before.rows[1] == (0.0, 0.5, 0.4, 1.6)
    assert after.rows == ((0.5, 1.6), (0.4, 1.7))


def test_options_change_what_is_shown():
    assert pooling("sum_pool", {"stride": 1}).panels[1].rows[0] == (0.6, 1.9, 3.4)
    assert padding("zero", {"padding": 1}).panels[1].rows[0] == (0, 0, 0, 0, 0)
    with pytest.raises(InputError, match="axes=3"):
        pooling("max_pool", {"axes": 3})


def test_a_frame_is_around_the_picture_itself():
    _, after = padding("reflect", {"padding": 1}).panels
    assert draw(after, 38) == [
        "  after",
        "  5  4 5 6  5",
        "    ┌─────┐",
        "  2 │1 2 3│ 2",
        "  5 │4 5 6│ 5",
        "  8 │7 8 9│ 8",
        "    └─────┘",
        "  5  4 5 6  5",
    ]


def test_a_convolution_is_shown_by_its_layers():
    [entry] = asked(["depthwise_separable"])
    text = page(entry, plot(entry, {"kernel": 5}), {"kernel": 5}).plain
    assert "5×5 p2 g8" in text
    assert "multiply-adds" in text
    assert picture(entry, None, {}).startswith("<svg")
