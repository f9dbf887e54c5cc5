import re
from xml.etree import ElementTree

import pytest

from osler.report import figures

EPOCHS = [1, 2, 3, 4, 5]
TRAINING = [2.0, 1.5, 1.1, 0.9, 0.8]
VALIDATION = [2.1, None, 1.3, 1.25, 1.4]


def texts(svg: str) -> list[str]:
    return ["".join(t.itertext()) for t in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_curves_take_their_colours_from_the_page() -> None:
    svg = figures.curves("a", "loss", EPOCHS, TRAINING, VALIDATION, 4)
    colours = set(re.findall(r"(?:stroke|fill): ?([^;\"]+)", svg))
    assert {"var(--series-1)", "var(--series-2)", "var(--muted)", "var(--line)"} <= colours
    assert all(c.startswith("var(") or c == "none" for c in colours), colours
    assert "#0" not in svg
    assert {"training", "validation", "epoch"} <= set(texts(svg))


def test_the_same_figure_gives_the_same_bytes_without_date() -> None:
    first, second = (figures.curves("a", "loss", EPOCHS, TRAINING, VALIDATION, 4) for _ in range(2))
    assert first == second
    assert "metadata" not in first
    assert "dc:date" not in first


def test_figures_on_one_page_share_no_identifier() -> None:
    pages = [figures.curves(key, "loss", EPOCHS, TRAINING, VALIDATION) for key in ("a", "b")]
    first, second = (set(re.findall(r'\bid="([^"]*)"', svg)) for svg in pages)
    assert first
    assert not first & second
    for svg, known in zip(pages, (first, second), strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]*)', svg)) <= known


def test_the_label_is_escaped() -> None:
    svg = figures.curves("a", '"><script>', EPOCHS, TRAINING, VALIDATION)
    assert ElementTree.fromstring(svg).attrib["aria-label"] == '"><script>'


@pytest.mark.parametrize("validation", [[None] * 5, VALIDATION])
def test_a_part_without_values_is_not_drawn(validation: list[float | None]) -> None:
    svg = figures.curves("a", "loss", EPOCHS, TRAINING, validation, 4)
    assert ("var(--series-2)" in svg) == (validation is VALIDATION)


def test_one_epoch_is_a_point_and_none_is_an_empty_figure() -> None:
    assert "<use" in figures.curves("a", "loss", [1], [2.0], [None])
    ElementTree.fromstring(figures.curves("a", "loss", [], [], []))


def test_values_over_decades_are_on_a_logarithmic_axis() -> None:
    said = texts(figures.curves("a", "loss", EPOCHS, [100.0, 10.0, 1.0, 0.1, 0.01], [None] * 5))
    assert {"0.01", "1", "100"} <= set(said)


def test_residuals() -> None:
    target = [float(i) for i in range(50)]
    prediction = [t + (-1) ** i for i, t in enumerate(target)]
    svg = figures.predicted_against_true("a", "price", target, prediction)
    assert svg.count("<use") >= 50
    assert {"true", "predicted"} <= set(texts(svg))
    assert {"predicted − true", "samples"} <= set(texts(figures.residual_histogram("b", "price", [0.5, -1.0, 2.0])))
    for constant in (figures.predicted_against_true("c", "", [3.0], [3.0]), figures.residual_histogram("d", "", [0.0])):
        ElementTree.fromstring(constant)
