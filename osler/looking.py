"""`osler look`: a run's filters, or the maps that it makes of a picture, as one SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from osler.data.images import to_png_base64
from osler.data.preprocess import ImageEncoder
from osler.errors import InputError
from osler.explain.filters import Tiles, filters, maps
from osler.report.words import escaped, shape
from osler.run import Run
from osler.show.figures import EDGE, HEAD, STYLE

SIDE, GAP, LABEL = 46, 4, 26


def look(run: Run, picture: str | Path | None = None, layers: Sequence[str] = ()) -> list[Tiles]:
    """The filters of a layer of a run (by default the first convolution), or the maps that layers make of a picture.

    Raises InputError for runs that were not trained on pictures, for unknown layers and for those without any.
    """
    encoder = run.preprocess.inputs
    if not isinstance(encoder, ImageEncoder):
        raise InputError(f"filters and maps are of pictures, but this run was trained on {run.preprocess.kind}")
    if picture is None:
        return [filters(run.model, layer) for layer in layers] or [filters(run.model)]
    encoded = run.encode(picture)[0]
    black, white = (encoder.transform()(torch.full((encoder.shape[0], 1, 1), value)) for value in (0.0, 255.0))
    pixels = ((encoded.cpu() - black) / (white - black) * 255).round().clamp(0, 255).to(torch.uint8)
    given = [Tiles("input", "", tuple(encoded.shape), pixels[None], 1)] if encoder.shape[0] in (1, 3) else []
    return [*given, *maps(run.model, encoded, layers)]


def sheet(title: str, subtitle: str, blocks: Sequence[Tiles]) -> str:
    """Blocks of tiles below each other, each under its layer's name and size."""
    columns = max(1, *(min(block.columns, len(block.pictures)) for block in blocks))
    width = max(2 * EDGE + columns * (SIDE + GAP), 560)
    body = [
        f'<text class="title" x="{EDGE}" y="38">{escaped(title)}</text>',
        f'<text x="{EDGE}" y="58">{escaped(subtitle)}</text>',
    ]
    top = HEAD + 8
    for block in blocks:
        name = f"{block.layer} {block.kind} {shape(block.shape)}".replace("  ", " ")
        heading = f"{name}, {block.note}" if block.note else name
        body.append(f'<text class="panel" x="{EDGE}" y="{top + 12}">{escaped(heading)}</text>')
        top += LABEL
        for i, pixels in enumerate(block.pictures):
            row, column = divmod(i, block.columns)
            body.append(_image(pixels, EDGE + column * (SIDE + GAP), top + row * (SIDE + GAP)))
        top += -(-len(block.pictures) // block.columns) * (SIDE + GAP) + GAP
    height = top + EDGE // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escaped(f"{title}: {subtitle}")}"><style>{STYLE}</style><g class="osler-show">'
        f'<rect class="card" width="{width}" height="{height}" rx="14"/>{"".join(body)}</g></svg>\n'
    )


def _image(pixels: Tensor, left: int, top: int) -> str:
    return (
        f'<image x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{to_png_base64(pixels)}"/>'
    )
