import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.records import Layer, Window
from osler.report.layers import receptive_field, text_table, window

LAYERS = [
    Layer(
        "c1",
        "Conv2d",
        (1, 32, 32),
        (6, 28, 28),
        156,
        "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28",
        Window((5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
        117_600,
        (5, 5),
        (1.0, 1.0),
    ),
    Layer("flatten", "Flatten", (6, 28, 28), (4704,), 0, "6·28·28 = 4704", None, 0, (5, 5), (1.0, 1.0)),
    Layer(
        *("output", "Linear", (4704,), (10,), 47_050, "4704·10 + 10 = 47 050 parameters"),
        *(None, 47_040, (None, None), (0.0, 0.0)),
    ),
]
LEGEND = [
    "",
    "window         kernel/stride, p: padding, d: dilation, g: groups",
    "field          pixels of the input that one place depends on, per axis",
    "jump           pixels of the input from one place to the next",
    "multiply-adds  of matrix products and convolutions, for one sample",
]


def test_the_table_is_aligned_and_adds_up() -> None:
    assert text_table(LAYERS, "small", (1, 32, 32), 130).split("\n") == [
        "small, input 1×32×32",
        "",
        "layer    kind     window       in     out      field  jump  parameters  multiply-adds  arithmetic",
        "─" * 114,
        "c1       Conv2d   5×5     1×32×32  →  6×28×28      5     1         156        117 600  "
        "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28",
        "flatten  Flatten          6×28×28  →  4704         5     1           0                 6·28·28 = 4704",
        "output   Linear              4704  →  10         all            47 050         47 040  4704·10 + 10",
        "─" * 114,
        "total                                                           47 206        164 640",
        *LEGEND,
    ]


def test_what_is_left_out_when_there_is_less_room() -> None:
    wide, medium, narrow = (text_table(LAYERS, "small", (1, 32, 32), width) for width in (114, 113, 80))
    assert "  in  " in wide
    assert "  in  " not in medium
    assert "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28" in medium
    assert "⌊" not in narrow
    assert "of the sizes: there is room for it in 88 columns" in narrow
    assert text_table(LAYERS, "small", (1, 32, 32), 88).count("⌊") == 1
    assert "⌊" not in text_table(LAYERS, "small", (1, 32, 32), 87)


def test_a_network_without_windows_has_no_columns_for_them() -> None:
    table = text_table(LAYERS[2:], "dense", (4704,))
    assert table.split("\n")[2].split() == ["layer", "kind", "in", "out", "parameters", "multiply-adds", "arithmetic"]


def test_what_is_not_counted_is_told() -> None:
    unknown = Layer("f", "Fourier", (8,), (5,), 0, multiply_adds=None)
    table = text_table([*LAYERS, unknown], "small", (1, 32, 32))
    assert "?              cannot be counted, and is not in the total" in table
    assert table.count("?") == 2
    assert "164 640" in table


@pytest.mark.parametrize(
    ("slid", "said"),
    [
        (Window((3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)), "3×3"),
        (Window((11, 11), (4, 4), ((2, 2), (2, 2)), (1, 1)), "11×11/4 p2"),
        (Window((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 96), "3×3 p1 g96"),
        (Window((4,), (2,), ((1, 2),), (2,), border="reflect"), "4/2 p1+2 reflect d2"),
        (Window((1, 7), (1, 2), ((0, 0), (3, 3)), (1, 1)), "1×7/1×2 p0×3"),
        (None, ""),
    ],
)
def test_windows_are_said_in_few_letters(slid: Window | None, said: str) -> None:
    assert window(slid) == said


def test_fields_are_sides_or_shapes() -> None:
    assert [
        receptive_field(Layer("", "", (), (), 0, receptive_field=f)) for f in ((7, 7), (7, 1), (None, None), ())
    ] == [
        *("7", "7×1", "all", ""),
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(LAYERS), max_size=8), st.integers(1, 300))
def test_any_width(layers: list[Layer], width: int) -> None:
    table = text_table(layers, "many", (1, 32, 32), width)
    body = [*itertools.dropwhile(lambda line: not line.startswith("─"), table.split("\n"))]
    assert sum(line.startswith(("c1", "flatten", "output")) for line in body) == len(layers)
    if width > 80:
        assert max(map(len, table.split("\n"))) <= width
