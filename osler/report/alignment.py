"""The alignment of a translation as a heat-map: where the network looked (columns) for what it wrote (rows)."""

from collections.abc import Sequence

from osler.report.words import escaped, places, shortened

CELL = 26
LETTERS = 20  # of a token that are shown
# On a light and on a dark sheet.
COLOURS = {"ink": ("#1b2028", "#e8ebf0"), "sheet": ("#ffffff", "#14181e"), "mark": ("#3a66d6", "#7ea2ff")}


def alignment_svg(source: Sequence[str], target: Sequence[str], weights: Sequence[Sequence[float]]) -> str:
    """One self-contained SVG: `weights` has a row for each token written, of which each token read has its share."""
    read, written = ([shortened(token.strip() or "␣", LETTERS) for token in side] for side in (source, target))
    left, top = (16 + 8 * max(map(places, side), default=1) for side in (written, read))
    width, height = left + CELL * len(read) + 12, top + CELL * len(written) + 12
    parts = [f'<rect class="sheet" width="{width}" height="{height}"/>']
    for j, token in enumerate(read):
        x, y = left + (j + 0.5) * CELL + 4, top - 8
        parts.append(f'<text transform="translate({x:.0f} {y}) rotate(-90)">{escaped(token)}</text>')
    for i, (token, row) in enumerate(zip(written, weights, strict=True)):
        y = top + i * CELL
        parts.append(f'<text x="{left - 8}" y="{y + CELL / 2 + 4:.0f}" text-anchor="end">{escaped(token)}</text>')
        for j, share in enumerate(row):
            hint = escaped(f"{token} looked at {read[j]}: {share:.0%}")
            parts.append(
                f'<rect class="mark" x="{left + j * CELL + 1}" y="{y + 1}" width="{CELL - 2}" height="{CELL - 2}" '
                f'fill-opacity="{0.04 + 0.96 * min(max(share, 0), 1):.2f}"><title>{hint}</title></rect>'
            )
    light, dark = (";".join(f"--{name}:{pair[i]}" for name, pair in COLOURS.items()) for i in (0, 1))
    style = (
        f"svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
        "text{fill:var(--ink);font:13px system-ui,sans-serif}.sheet{fill:var(--sheet)}.mark{fill:var(--mark)}"
    )
    label = escaped(f"Alignment of {len(written)} tokens written with {len(read)} tokens read")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><style>{style}</style>{"".join(parts)}</svg>'
    )
