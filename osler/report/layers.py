"""A network as a table for the terminal, from its layers."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

from osler.records import Layer, Window
from osler.report.words import grouped, shape, shortened

GAP = "  "
NUMBERS = {"in", "field", "jump", "parameters", "multiply-adds"}  # columns that end flush
LEGEND = {
    "window": "kernel/stride, p: padding, d: dilation, g: groups",
    "field": "pixels of the input that one place depends on, per axis",
    "jump": "pixels of the input from one place to the next",
    "multiply-adds": "of matrix products and convolutions, for one sample",
}
# What is left out, and how long names may be, where the lines would be too long: the first that fits.
SHORTER: tuple[tuple[set[str], int], ...] = (
    (set(), 99),
    ({"in"}, 99),
    ({"in", "jump"}, 99),
    ({"in", "jump"}, 22),
    ({"in", "jump", "window"}, 22),
    ({"in", "arithmetic"}, 99),
    ({"in", "arithmetic", "jump"}, 99),
    ({"in", "arithmetic", "jump"}, 22),
    ({"in", "arithmetic", "jump", "window"}, 22),
    ({"in", "arithmetic", "jump", "window"}, 16),
    ({"in", "arithmetic", "jump", "window"}, 14),
    ({"in", "arithmetic", "jump", "window", "field"}, 14),
)


def text_table(layers: Sequence[Layer], title: str, inputs: tuple[int, ...], width: int = 120) -> str:
    """The layers as aligned plain text: a line each, and their totals; in so many columns if it can be done."""
    tables = [_columns(layers, without, names) for without, names in SHORTER]
    widths = [_width(table) for table in tables]
    chosen = next((table for table, wide in zip(tables, widths, strict=True) if wide <= width), tables[-1])
    head, *body, total = zip(*chosen.values(), strict=True)
    rule = "─" * _width(chosen)
    lines = [f"{title}, input {shape(inputs)}", "", *_aligned(chosen, [head]), rule, *_aligned(chosen, body), rule]
    grouped_kinds = "window" not in chosen and any(layer.window and layer.window.groups > 1 for layer in layers)
    notes = [("kind", "g: groups")] if grouped_kinds else []
    notes += [(name, text) for name, text in LEGEND.items() if name in chosen]
    if "arithmetic" in tables[0] and "arithmetic" not in chosen:
        enough = min(wide for table, wide in zip(tables, widths, strict=True) if "arithmetic" in table)
        notes.append(("arithmetic", f"of the sizes: there is room for it in {enough} columns"))
    if any(layer.multiply_adds is None for layer in layers):
        notes.append(("?", "cannot be counted, and is not in the total"))
    return "\n".join([*lines, *_aligned(chosen, [total]), *([""] if notes else []), *_legend(notes, width)])


def window(slid: Window | None) -> str:
    """Kernel, stride, padding, dilation and groups, those that are usual left out: "11×11/4 p2"."""
    if slid is None:
        return ""
    stride = "" if set(slid.stride) == {1} else f"/{_same(slid.stride)}"
    sides = [str(p) if p == q else f"{p}+{q}" for p, q in slid.padding]
    padding = "" if set(sides) == {"0"} else f" p{_same(sides)}"
    border = f" {slid.border}" if padding and slid.border != "zeros" else ""
    dilation = "" if set(slid.dilation) == {1} else f" d{_same(slid.dilation)}"
    groups = "" if slid.groups == 1 else f" g{slid.groups}"
    return f"{shape(slid.kernel)}{stride}{padding}{border}{dilation}{groups}"


def receptive_field(layer: Layer) -> str:
    """The receptive field: a side of it if all are the same."""
    return _same(["all" if n is None else n for n in layer.receptive_field])


def _same(values: Sequence[object]) -> str:
    return "×".join(map(str, values[:1] if len(set(values)) == 1 else values))


def _columns(layers: Sequence[Layer], without: Collection[str], longest: int) -> dict[str, list[str]]:
    """Head, a cell for each layer, and total of each column."""
    work = sum(layer.multiply_adds or 0 for layer in layers)
    followed = any(n is not None for layer in layers for n in layer.receptive_field)
    columns = {
        "layer": [*(_end(layer.name, longest) for layer in layers), "total"],
        "kind": [*(_kind(layer, "window" in without) for layer in layers), ""],
        "window": [*(window(layer.window) for layer in layers), ""],
        "in": [*(shape(layer.inputs) for layer in layers), ""],
        "": [*("→" for _ in layers), ""],
        "out": [*(shape(layer.outputs) for layer in layers), ""],
        "field": [*(receptive_field(layer) if followed else "" for layer in layers), ""],
        "jump": [*(_jump(layer) for layer in layers), ""],
        "parameters": [*(grouped(layer.parameters, " ") for layer in layers), _total(layers)],
        "multiply-adds": [*(_work(layer) for layer in layers), grouped(work, " ") if work else ""],
        "arithmetic": [*(_arithmetic(layer) for layer in layers), ""],
    }
    if "in" in without:
        del columns[""]
    always = {"layer", "kind", "out", "parameters"}
    return {
        name: [name, *cells]
        for name, cells in columns.items()
        if name not in without and (name in always or any(cells))
    }


def _kind(layer: Layer, with_groups: bool) -> str:
    groups = layer.window.groups if layer.window else 1
    return f"{layer.kind} g{groups}" if with_groups and groups > 1 else layer.kind


def _jump(layer: Layer) -> str:
    return "" if None in layer.receptive_field else _same([f"{j:.3g}" for j in layer.jump])


def _work(layer: Layer) -> str:
    return "?" if layer.multiply_adds is None else grouped(layer.multiply_adds, " ") if layer.multiply_adds else ""


def _arithmetic(layer: Layer) -> str:
    """Without the number of parameters, which has a column."""
    return layer.arithmetic.rpartition(" = ")[0] if layer.arithmetic.endswith("parameters") else layer.arithmetic


def _end(name: str, longest: int) -> str:
    """The end of a long name says most: "…3.downsample.0"."""
    return shortened(name[::-1], longest)[::-1]


def _total(layers: Sequence[Layer]) -> str:
    return grouped(sum(layer.parameters for layer in layers), " ")


def _width(columns: dict[str, list[str]]) -> int:
    return sum(max(map(len, cells)) for cells in columns.values()) + len(GAP) * (len(columns) - 1)


def _aligned(columns: dict[str, list[str]], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [(max(map(len, cells)), name in NUMBERS) for name, cells in columns.items()]
    return [
        GAP.join(c.rjust(w) if flush else c.ljust(w) for c, (w, flush) in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _legend(notes: Sequence[tuple[str, str]], width: int) -> list[str]:
    indent = max((len(name) for name, _ in notes), default=0) + len(GAP)
    return [
        line
        for name, text in notes
        for line in textwrap.wrap(f"{name:<{indent}}{text}", max(width, 40), subsequent_indent=" " * indent)
    ]
