import re
from xml.etree import ElementTree

import pytest

from osler.show.figures import svg
from osler.show.panels import Curve, Plot

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = [
    ("activation", "relu"),
    ("activation", "binary_step"),
    ("loss", "huber"),
    ("optimizer", "adam"),
    ("schedule", "one_cycle"),
    ("initializer", "he_normal"),
    ("initializer", "zeros"),
]


@pytest.mark.parametrize(("kind", "name"), PICTURES)
def test_picture_is_one_file_in_the_readers_colours(kind, name, plots):
    plot = plots[kind, name]
    drawing = svg(name, kind, plot)
    root = ElementTree.fromstring(drawing)
    texts = {"".join(t.itertext()) for t in root.iter(f"{SVG}text")}
    assert {name, kind} <= texts
    for panel in plot.panels:
        assert any(text.startswith(panel.title) for text in texts)
    body = drawing[drawing.index("</style>") :]
    colours = set(re.findall(r"(?:stroke|fill): ?([^;\"]+)", body))
    assert all(colour.startswith("var(") or colour == "none" for colour in colours), colours
    assert "#0102" not in drawing
    identifiers = re.findall(r'\bid="([^"]*)"', drawing)
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]*)', drawing)) <= set(identifiers)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", drawing)


def test_the_same_plot_gives_the_same_bytes(plots):
    first, second = (svg("gelu", "activation", plots["activation", "gelu"]) for _ in range(2))
    assert first == second


def test_words_of_strangers_are_escaped():
    title = "gelu (approximate = <script>)"
    drawing = svg(title, "activation", Plot((Curve("f", "x", [0, 1], [0, 1]),), "a & b"))
    texts = ["".join(t.itertext()) for t in ElementTree.fromstring(drawing).iter(f"{SVG}text")]
    assert title in texts
    assert "a & b" in texts
