"""A learning-rate range test, drawn."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from osler.show.panels import Curve, Plot
from osler.show.terminal import draw

if TYPE_CHECKING:
    from osler.training.learning_rate_range import RangeTest

WIDTH = 80


def range_plot(found: RangeTest) -> Plot:
    """The loss over the power of ten of the learning rate."""
    powers = [math.log10(rate) for rate in found.rates]
    title = "loss, without the noise of batches"
    return Plot((Curve(title, "learning rate, as a power of 10", powers, found.smooth),), f"{found}.")


def range_text(found: RangeTest) -> str:
    """The plot for a terminal."""
    plot = range_plot(found)
    return "\n".join([*draw(plot.panels[0], WIDTH), "", *textwrap.wrap(plot.note, WIDTH)])


def range_svg(found: RangeTest) -> str:
    """The plot as an SVG picture."""
    from osler.show.figures import svg

    return svg("Learning rates", "range test", range_plot(found))
