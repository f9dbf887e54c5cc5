"""Which entries can be drawn, and by what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osler.errors import InputError
from osler.show.catalogue import registry
from osler.show.describe import Entry, titled
from osler.show.panels import Plot

if TYPE_CHECKING:
    from osler.drawing import Drawing

SIDE = 32  # of a picture that a convolution is shown on
DRAWN = ("activation", "loss", "optimizer", "schedule", "initializer", "pooling", "padding")
LAYERED = ("model", "convolution")  # shown as a table of layers


def plot(entry: Entry, options: Mapping[str, Any]) -> Plot | None:
    """What is drawn of an entry with these options; None for kinds that are words only.

    Raises InputError for options that the entry doesn't have, or that leave nothing to draw.
    """
    registry(entry.kind).check_options(entry.name, options)
    if entry.kind == "augmentation":
        registry(entry.kind).create(entry.name, **options)  # which checks their values
    if entry.kind not in DRAWN:
        if options and entry.kind not in (*LAYERED, "augmentation"):
            raise InputError(f"a {entry.kind} is not drawn, so there is nothing that {', '.join(options)} would change")
        return None
    from osler.show.curves import activation, loss
    from osler.show.descent import optimizer
    from osler.show.grids import padding, pooling
    from osler.show.rates import schedule
    from osler.show.weights import initializer

    functions = (activation, loss, optimizer, schedule, initializer, pooling, padding)
    compute = dict(zip(DRAWN, functions, strict=True))[entry.kind]
    try:
        return compute(entry.name, options)
    except InputError:
        raise
    except (RuntimeError, IndexError, TypeError, ValueError) as error:  # torch's own checks of options
        if not options:
            raise
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise InputError(f"{entry.kind} {entry.name!r} cannot be drawn with {given}: {error}") from error


def picture(entry: Entry, drawn: Plot | None, options: Mapping[str, Any], source: str | None = None) -> str:
    """The same as an SVG picture, of an augmentation on pictures of a `source`; InputError for what has none."""
    if source is not None and entry.kind != "augmentation":
        raise InputError(
            f"--source has pictures for an augmentation, but {entry.name!r} is a {entry.kind}: leave it out"
        )
    if drawn is not None:
        from osler.show.figures import svg

        return svg(titled(entry, options), entry.kind, drawn)
    if entry.kind in LAYERED:
        return layers(entry, options).svg()
    if entry.kind == "augmentation":
        from osler.show.augment import sheet

        return sheet(source, [entry.name], options)
    raise InputError(f"a {entry.kind} has no picture; there is one of {', '.join((*DRAWN, *LAYERED))} and augmentation")


def layers(entry: Entry, options: Mapping[str, Any]) -> Drawing:
    """The layers of a network for its usual pictures, or of a convolution for small ones."""
    from osler.drawing import draw, drawing

    if entry.kind == "model":
        return draw(entry.name, options=dict(options))
    from osler.nn.convolution import CONVOLUTIONS

    module = CONVOLUTIONS.create(entry.name, **options)
    axes = {"conv1d": 1, "conv3d": 3}.get(entry.name, 2)
    return drawing(entry.name, module, (options.get("inputs", entry.given["inputs"]), *(SIDE,) * axes))
