"""What augmentations do to pictures: before and after, as one SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osler.errors import InputError
from osler.report.words import escaped
from osler.show.figures import EDGE, HEAD, STYLE
from osler.show.page import NAMES, contents

if TYPE_CHECKING:
    from rich.text import Text
    from torch import Tensor

    from osler.show.describe import Entry

PICTURES, SIDE, GAP, LABEL = 8, 72, 8, 150
DRAWS = 4  # rows of one augmentation that is shown alone


def sheet(source: str | None, names: Sequence[str], options: Mapping[str, Any]) -> str:
    """Pictures of a source (default: the digits) as they are, and below them after each augmentation of these names.

    One name alone gets several rows, each drawn anew. Raises InputError for a source without pictures.
    """
    import torch

    from osler.data.augment import AUGMENTATIONS, Mixing

    images = pictures(source or "digits")
    rows = [("before", images)]
    generator = torch.Generator().manual_seed(0)
    for name in names if len(names) > 1 else [*names] * DRAWS:
        augmentation = AUGMENTATIONS.create(name, **options)
        if isinstance(augmentation, Mixing):
            after, _ = augmentation(images, torch.eye(len(images)), generator)
        else:
            after = augmentation(images, generator)
        rows.append((name, after))
    title = f"augmentations of {source or 'digits'}" if len(names) > 1 else names[0]
    return _svg(title, rows)


def pictures(source: str) -> Tensor:
    """The first pictures of the source's classes in turn, uint8."""
    import numpy as np
    import torch

    from osler.data.parts import Source
    from osler.data.sources import open_source

    found = open_source(source)
    parts = found.parts if isinstance(found, Source) else {}
    part = parts.get("train", parts.get("all"))
    if found.kind != "images" or part is None or not isinstance(part.inputs, torch.Tensor):
        raise InputError(f"augmentation changes pictures in memory, but {source!r} is of kind {found.kind!r}")
    places = list(range(len(part.inputs)))
    if part.targets is not None:
        _, first = np.unique(np.asarray(part.targets), return_index=True)
        places = [*sorted(first.tolist()), *(i for i in places if i not in first)]
    return part.inputs[torch.tensor(places[:PICTURES])]


def table(entries: Sequence[Entry]) -> Text:
    """All augmentations, a line each, with their options and defaults."""
    text = contents(())
    for entry in entries:
        text.append(contents([entry]))
        if entry.options:
            text.append(
                " " * NAMES + ", ".join(f"{name} = {value!r}" for name, value in entry.options.items()) + "\n", "dim"
            )
    return text


def _svg(title: str, rows: Sequence[tuple[str, Tensor]]) -> str:
    from osler.data.images import to_png_base64

    width = 2 * EDGE + LABEL + PICTURES * (SIDE + GAP)
    height = HEAD + len(rows) * (SIDE + GAP) + EDGE
    body = [f'<text class="title" x="{EDGE}" y="38">{escaped(title)}</text>']
    for i, (label, images) in enumerate(rows):
        top = HEAD + i * (SIDE + GAP)
        body.append(f'<text x="{EDGE}" y="{top + SIDE // 2}">{escaped(label)}</text>')
        for j, image in enumerate(images):
            left = EDGE + LABEL + j * (SIDE + GAP)
            body.append(
                f'<image x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" style="image-rendering:pixelated" '
                f'href="data:image/png;base64,{to_png_base64(image)}"/>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escaped(title)}"><style>{STYLE}</style><g class="osler-show">'
        f'<rect class="card" width="{width}" height="{height}" rx="14"/>{"".join(body)}</g></svg>\n'
    )
