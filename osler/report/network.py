"""A network as a drawing, from its layers."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from osler.records import Layer
from osler.report.volumes import Scale
from osler.report.words import counted, escaped, grouped, shape, shortened

COLUMNS = 5
CELL = 204  # the width of a block with its words
MARGIN = 30
HEAD = 76
PICTURE = 124  # the height of a block's picture
LINE = 16
LETTERS = 32  # of the arithmetic's typeface fit into a block

# The first family that has a word of the layer's kind gives its colours, on a light and on a dark sheet.
FAMILIES = {
    "convolution": (("conv",), "#3a66d6", "#7ea2ff"),
    "pooling": (("pool",), "#0e8f86", "#3fc8bd"),
    "norm": (("norm",), "#7c55c9", "#b394f4"),
    "dropout": (("dropout", "noise"), "#8a7a66", "#bda98f"),
    "recurrent": (("rnn", "lstm", "gru"), "#2f8a3c", "#63c571"),
    "attention": (("attention", "transformer"), "#b3479f", "#e487d2"),
    "linear": (("linear", "embedding", "perceptron", "neuron"), "#c07a0a", "#f0b04a"),
    "activation": (
        ("elu", "sigmoid", "tanh", "soft", "silu", "swish", "mish", "ramp", "step"),
        "#d0475a",
        "#ff8495",
    ),
    "other": (("",), "#7b8494", "#98a2b1"),
}
INKS = {
    "sheet": ("#ffffff", "#14181e"),
    "ink": ("#1b2028", "#e8ebf0"),
    "muted": ("#5b6472", "#9aa5b4"),
    "line": ("#98a1af", "#626d7c"),
}


@dataclass(frozen=True)
class _Block:
    layer: Layer
    x: float  # of its middle
    y: float  # of its picture's middle
    bottom: float  # of its row
    lines: list[tuple[str, str]]  # (style, words)


def svg(layers: Sequence[Layer], title: str, inputs: tuple[int, ...]) -> str:
    """The network as one self-contained SVG picture: a block per layer, in the order of execution."""
    stations = [Layer("", "Input", (), tuple(inputs), 0), *layers]
    columns = min(COLUMNS, len(stations))
    width = 2 * MARGIN + columns * CELL
    scale = Scale([s.outputs for s in stations])

    blocks: list[_Block] = []
    top = HEAD
    for start in range(0, len(stations), columns):
        row = stations[start : start + columns]
        words = [_lines(s) for s in row]
        bottom = top + PICTURE + LINE * max(map(len, words)) + 12
        for i, (station, lines) in enumerate(zip(row, words, strict=True)):
            blocks.append(_Block(station, MARGIN + CELL * (i + 0.5), top + PICTURE / 2, bottom, lines))
        top = bottom + 12
    links = [_link(a, b, scale, width) for a, b in pairwise(blocks)]
    height = top
    note = ""
    if any("broken" in link for link in links):
        told = "dashed: the next layer takes something else"
        note = f'<text class="muted" x="{MARGIN}" y="{height + 6:.0f}">{told}</text>'
        height += 24
    work = sum(layer.multiply_adds or 0 for layer in layers)
    summary = f"{counted(len(layers), 'layer')}, {grouped(sum(r.parameters for r in layers), ' ')} parameters"
    summary += f", {grouped(work, ' ')} multiply-adds" if work else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="osler-network" viewBox="0 0 {width} {height:.0f}" '
        f'width="{width}" height="{height:.0f}" role="img" '
        f'aria-label="{escaped(f"Drawing of {title}: {summary}")}"><style>{STYLE}</style>'
        f'<g class="osler-drawing"><rect class="sheet" width="100%" height="100%"/>'
        f'<text class="title" x="{MARGIN}" y="34">{escaped(shortened(title, columns * 16))}</text>'
        f'<text class="muted" x="{MARGIN}" y="55">{escaped(summary)}</text>'
        f"{''.join(links)}{''.join(_drawn(b, scale) for b in blocks)}{note}</g></svg>\n"
    )


def _lines(layer: Layer) -> list[tuple[str, str]]:
    # The end of a long name says most ("layer3.5.conv1").
    name = shortened(layer.name[::-1], LETTERS - 1)[::-1]
    lines = [("kind", shortened(layer.kind, 20)), ("name", name), ("shape", shortened(shape(layer.outputs), 26))]
    for axis in layer.arithmetic.split(", "):
        lines += [("arithmetic", line) for line in textwrap.wrap(axis, LETTERS, max_lines=3, placeholder=" …")]
    if layer.parameters and "parameters" not in layer.arithmetic:
        lines.append(("muted", f"{grouped(layer.parameters, ' ')} parameters"))
    if layer.multiply_adds:
        lines.append(("muted", f"{grouped(layer.multiply_adds, ' ')} multiply-adds"))
    if layer.window and layer.receptive_field:
        lines.append(("muted", f"sees {shape('all' if n is None else n for n in layer.receptive_field)}"))
    return [line for line in lines if line[1]]


def _drawn(block: _Block, scale: Scale) -> str:
    layer = block.layer
    family = next(name for name, (parts, *_) in FAMILIES.items() if any(p in layer.kind.lower() for p in parts))
    hint = f"{layer.name} {layer.kind}: {shape(layer.inputs)} → {shape(layer.outputs)} {layer.arithmetic}"
    first = block.y + PICTURE / 2 + 8
    words = "".join(
        f'<text class="{style}" text-anchor="middle" x="{block.x:.0f}" y="{first + LINE * i:.0f}">'
        f"{escaped(text)}</text>"
        for i, (style, text) in enumerate(block.lines)
    )
    picture = scale.picture(layer.outputs, block.x, block.y)
    return f'<g class="{family}"><title>{escaped(hint.strip())}</title>{picture}{words}</g>'


def _link(a: _Block, b: _Block, scale: Scale, width: float) -> str:
    """An arrow from block to block, dashed where the second does not take what the first gives."""
    style = "flow" if b.layer.inputs == a.layer.outputs else "flow broken"
    start = a.x + scale.width(a.layer.outputs) / 2 + 8
    end = b.x - scale.width(b.layer.outputs) / 2 - 9
    if a.y == b.y:
        way = f"M{start:.1f} {a.y:.1f}H{end:.1f}"
    else:  # around, between the rows
        gap = a.bottom + 2
        way = (
            f"M{start:.1f} {a.y:.1f}H{width - 20:.1f}q8 0 8 8V{gap - 8:.1f}q0 8 -8 8"
            f"H20q-8 0 -8 8V{b.y - 8:.1f}q0 8 8 8H{end:.1f}"
        )
    return f'<path class="{style}" d="{way}"/><path class="tip" d="M{end + 3:.1f} {b.y:.1f}l-7 -4v8z"/>'


def _style() -> str:
    def variables(which: int) -> str:
        inks = "".join(f"--{name}:{colours[which]};" for name, colours in INKS.items())
        return inks + "".join(f"--{name}:{colours[which + 1]};" for name, colours in FAMILIES.items())

    mono = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
    rules = {
        ".sheet": "fill:var(--sheet)",
        "text": "font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--muted)",
        ".muted": "font-size:11px",
        ".title": "font-size:19px;font-weight:650;fill:var(--ink)",
        ".kind": "font-size:13px;font-weight:650;fill:var(--ink)",
        ".name,.osler-network .shape,.osler-network .arithmetic": f"font:10px {mono}",
        ".shape": "font-size:12px;fill:var(--ink)",
        ".face": "fill:var(--c);fill-opacity:.62;stroke:var(--c)",
        ".top": "fill:var(--c);fill-opacity:.24;stroke:var(--c);stroke-linejoin:round",
        ".side": "fill:var(--c);fill-opacity:.4;stroke:var(--c);stroke-linejoin:round",
        ".unit": "fill:var(--sheet)",
        ".grid": "stroke:var(--sheet);stroke-opacity:.6;fill:none",
        ".flow": "fill:none;stroke:var(--line);stroke-width:1.3;stroke-linejoin:round",
        ".broken": "stroke-dasharray:3 4",
        ".tip": "fill:var(--line)",
        **{f".{name}": f"--c:var(--{name})" for name in FAMILIES},
    }
    return (
        f".osler-drawing{{{variables(0)}}}"
        # A page that holds the drawing decides by data-theme; alone, it follows the reader's preference.
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]) .osler-drawing{{{variables(1)}}}}}"
        f":root[data-theme=dark] .osler-drawing{{{variables(1)}}}"
        + "".join(f".osler-network {selector}{{{rule}}}" for selector, rule in rules.items())
    )


STYLE = _style()
