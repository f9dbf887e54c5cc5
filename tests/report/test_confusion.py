from xml.etree import ElementTree

import numpy as np
import pytest

from osler.report.confusion import heat_map, most_confused

SVG = "{http://www.w3.org/2000/svg}"


def test_counts_recall_and_names_are_shown() -> None:
    root = ElementTree.fromstring(heat_map(["cat", "dog"], [[3, 1], [0, 4]]))
    said = [t.text for t in root.iter(f"{SVG}text")]
    assert {"cat", "dog", "3", "1", "4", "75\u202f%", "100\u202f%"} <= set(said)
    assert "0" not in said
    hints = [t.text for t in root.iter(f"{SVG}title")]
    assert "cat taken for dog: 1 of 4" in hints
    assert root.attrib["aria-label"] == "Confusion matrix of 2 classes: 7 of 8 right"


def test_shade_is_the_share_of_the_row() -> None:
    root = ElementTree.fromstring(heat_map(["a", "b"], [[3, 1], [0, 4]]))
    cells = {c.find(f"{SVG}text").text: c for c in root.iter(f"{SVG}g") if c.attrib["class"].startswith("cell")}  # type: ignore[union-attr]
    shade = {text: float(c.find(f"{SVG}rect").attrib["fill-opacity"]) for text, c in cells.items()}  # type: ignore[union-attr]
    assert shade == {"3": 0.78, "1": 0.34, "4": 1.0}
    assert {text: c.attrib["class"] for text, c in cells.items()} == {
        "3": "cell right strong",
        "1": "cell wrong",
        "4": "cell right strong",
    }


@pytest.mark.parametrize("n", [2, 12, 30, 100])
def test_everything_is_on_the_sheet(n: int) -> None:
    names = [f"a class with a long name {i}" for i in range(n)]
    root = ElementTree.fromstring(heat_map(names, np.full((n, n), 12345).tolist()))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    squares = [
        {k: float(v) for k, v in r.attrib.items() if k in ("x", "y", "width", "height")}
        for r in root.iter(f"{SVG}rect")
    ]
    assert len(squares) == n * n + 1
    assert all(s["x"] + s["width"] <= width and s["y"] + s["height"] <= height for s in squares)


def test_hostile_names_and_empty_rows() -> None:
    svg = heat_map(["<script>alert(1)</script>", "b"], [[0, 0], [1, 0]])
    assert "<script" not in svg
    titles = [t.text for t in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert "b taken for <script>alert(1)</script>: 1 of 1" in titles


def test_most_confused_come_first() -> None:
    counts = [[9, 1, 5], [2, 9, 0], [0, 7, 9]]
    assert most_confused(["a", "b", "c"], counts, most=3) == [("c", "b", 7), ("a", "c", 5), ("b", "a", 2)]
