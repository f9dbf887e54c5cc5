import re

import pytest

from osler.report import network, style
from osler.report.confusion import STRONG


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mixed(colour: str, paper: str, opacity: float) -> str:
    pairs = [(int(colour[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(opacity * c + (1 - opacity) * p):02x}" for c, p in pairs)


@pytest.fixture(params=[style.LIGHT, style.DARK], ids=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+):(#\w{6})", request.param))


def test_words_can_be_read(colours: dict[str, str]) -> None:
    pairs = [(ink, paper) for ink in ("ink", "muted", "accent") for paper in ("paper", "card", "soft")]
    pairs += [("good", "good-soft"), ("warn", "warn-soft"), ("bad", "bad-soft"), ("right", "card")]
    found = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in found.items() if value < 4.5} == {}


def test_curves_can_be_seen(colours: dict[str, str]) -> None:
    assert contrast(colours["series-1"], colours["card"]) >= 3
    assert contrast(colours["series-2"], colours["card"]) >= 3


@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_counts_can_be_read_on_every_shade(colours: dict[str, str], kind: str) -> None:
    for percent in range(1, 101):
        shade = mixed(colours[kind], colours["card"], 0.12 + 0.88 * percent / 100)
        ink = colours["on-shade"] if percent > 100 * STRONG else colours["ink"]
        assert contrast(ink, shade) >= 3.7, percent


@pytest.mark.parametrize("dark", [0, 1])
def test_the_drawing_can_be_read(dark: int) -> None:
    inks = {name: pair[dark] for name, pair in network.INKS.items()}
    assert contrast(inks["ink"], inks["sheet"]) >= 4.5
    assert contrast(inks["muted"], inks["sheet"]) >= 4.5
    for family in network.FAMILIES.values():
        assert contrast(family[1 + dark], inks["sheet"]) >= 3
