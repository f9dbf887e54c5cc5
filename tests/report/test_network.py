import itertools
import re
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.records import Layer, Window
from osler.report.network import svg

SVG = "{http://www.w3.org/2000/svg}"
LAYERS = [
    Layer(
        *("c1", "Conv2d", (1, 32, 32), (6, 28, 28), 156, "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28"),
        *(Window((5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)), 117_600, (5, 5), (1.0, 1.0)),
    ),
    Layer("pool", "AvgPool2d", (6, 28, 28), (6, 14, 14), 0, "⌊(28 + 2·0 − 2)/2⌋ + 1 = 14"),
    Layer("flatten", "Flatten", (6, 14, 14), (1176,), 0, "6·14·14 = 1176"),
    Layer("output", "Linear", (1176,), (10,), 11770, "1176·10 + 10 = 11 770 parameters"),
]


def texts(drawing: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(drawing).iter(f"{SVG}text"))


def test_the_drawing_says_what_the_layers_are() -> None:
    drawing = svg(LAYERS, "small", (1, 32, 32))
    said = [t.text for t in texts(drawing)]
    for word in (
        "small",
        "Input",
        "Conv2d",
        "6×28×28",
        "⌊(32 + 2·0 − 5)/1⌋ + 1 = 28",
        "156 parameters",
        "117 600 multiply-adds",
        "sees 5×5",
        "1176",
    ):
        assert word in said
    assert "4 layers, 11 926 parameters, 117 600 multiply-adds" in ElementTree.fromstring(drawing).attrib["aria-label"]
    assert "prefers-color-scheme:dark" in drawing
    assert drawing == svg(LAYERS, "small", (1, 32, 32))


def test_a_larger_volume_is_drawn_larger() -> None:
    sides = [float(w) for w in re.findall(r'class="face"[^>]*? width="([\d.]+)"', svg(LAYERS, "small", (1, 32, 32)))]
    assert sides[0] > sides[1] > sides[2]  # 32, 28, 14


def test_a_branch_is_not_drawn_as_a_chain() -> None:
    chain = svg(LAYERS, "small", (1, 32, 32))
    branch = svg([LAYERS[0], *LAYERS], "small", (1, 32, 32))
    assert 'class="flow broken"' not in chain
    assert branch.count('class="flow broken"') == 1
    assert "dashed" in branch


shapes = st.lists(st.integers(1, 2048), max_size=4).map(tuple)
names = st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S"]), max_size=60)
titles = st.text("abcdefghijklmnopqrstuvwxyz0123456789 _", max_size=120)
kinds = st.sampled_from(["Conv2d", "ReLU", "LSTM", "Linear", "NonDynamicallyQuantizableLinear", "Sonstiges"])
sums = st.sampled_from(
    [
        "",
        "⌊(224 + 2·3 − 7)/2⌋ + 1 = 112",
        "H: ⌊(1024 + 2·3 − 7)/2⌋ + 1 = 512, W: ⌊(160 + 2·3 − 7)/2⌋ + 1 = 80",
        "25088·4096 + 4096 = 102 764 544 parameters",
    ]
)
FACES = {  # the widest typefaces that the drawing asks for
    "title": ("DejaVuSans-Bold", 19),
    "kind": ("DejaVuSans-Bold", 13),
    "name": ("DejaVuSansMono", 10),
    "shape": ("DejaVuSansMono", 12),
    "arithmetic": ("DejaVuSansMono", 10),
    "muted": ("DejaVuSans", 11),
}


@cache
def face(style: str) -> Any:
    import matplotlib
    from PIL import ImageFont

    name, size = FACES[style]
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), size)


windows = st.sampled_from([None, Window((5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1))])
fields = st.sampled_from([(), (1451, 1451), (None, None)])
rows = st.builds(
    Layer, names, kinds, shapes, shapes, st.integers(0, 10**9), sums, windows, st.integers(0, 10**11), fields
)


@settings(max_examples=40, deadline=None)
@given(st.lists(rows, min_size=1, max_size=60), titles, shapes)
def test_no_words_overlap_or_leave_the_sheet(layers: list[Layer], title: str, inputs: tuple[int, ...]) -> None:
    drawing = svg(layers, title, inputs)
    root = ElementTree.fromstring(drawing)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = []
    for text in texts(drawing):
        style = text.attrib["class"]
        half, size = face(style).getlength(text.text or "") / 2, FACES[style][1]
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        x = x if text.attrib.get("text-anchor") == "middle" else x + half
        boxes.append((x - half, y - 0.8 * size, x + half, y + 0.2 * size))
    for box in boxes:
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= width + 1
        assert box[3] <= height
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] + 1 or b[2] <= a[0] + 1 or a[3] <= b[1] or b[3] <= a[1], (a, b)


@pytest.mark.parametrize("count", [0, 1, 5, 60])
def test_any_number_of_layers_is_drawn(count: int) -> None:
    root = ElementTree.fromstring(svg([LAYERS[0]] * count, "many", (1, 32, 32)))
    assert len(list(root.iter(f"{SVG}title"))) == count + 1
