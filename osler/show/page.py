"""An entry as a page of text for a terminal of 80 columns, and a kind as a list."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from osler.drawing import OUTPUTS, usual
from osler.show.describe import NOTES, Entry, titled
from osler.show.panels import Plot
from osler.show.plot import LAYERED, layers
from osler.show.terminal import beside, draw

WIDTH = 80
INDENT = 12
KINDS, NAMES = 16, 22  # letters for the names in a list; a longer one has a line of its own
GAP = 4
# In this order; what only programmers want to know is left out.
SHOWN = ("Formula", "Use", "Options", "Shapes", "Range", "Parameters", NOTES, "Source", "Aliases", "Python")
COMMON = {"reduction"}  # what every loss has is no example


def overview(kinds: Mapping[str, Sequence[str]]) -> Text:
    """What there is: each kind with its names."""
    text = Text()
    for kind, names in kinds.items():
        text.append(f"{kind:<{KINDS}}", "bold")
        text.append(_indented(", ".join(names), KINDS) + "\n")
    return text


def contents(entries: Sequence[Entry]) -> Text:
    """Names, other spellings and one line of description each."""
    text = Text()
    for entry in entries:
        also = f" (also {', '.join(entry.aliases)})" if entry.aliases else ""
        if len(entry.name) < NAMES:
            text.append(f"{entry.name:<{NAMES}}", "bold")
        else:
            text.append(entry.name, "bold").append("\n" + " " * NAMES)
        text.append(_indented(entry.summary + also, NAMES) + "\n")
    return text


def page(entry: Entry, plot: Plot | None, options: Mapping[str, Any]) -> Text:
    """All that is known of an entry."""
    text = Text()
    title = titled(entry, options)
    text.append(title, "bold").append(f"{entry.kind:>{WIDTH - len(title)}}\n", "dim")
    text.append("─" * WIDTH + "\n", "dim")
    text.append(textwrap.fill(entry.summary, WIDTH) + "\n\n", "italic")
    for label, part in _parts(entry):
        text.append(f"{label:<{INDENT}}", "bold").append(_indented(part, INDENT) + "\n")
    if plot is not None:
        text.append("\n" + _picture(plot) + "\n")
    if entry.kind in LAYERED:
        text.append("\n" + _layers(entry, options) + "\n")
    return text


def _parts(entry: Entry) -> list[tuple[str, str]]:
    parts = dict(entry.parts)
    options = [", ".join(f"{name} = {value!r}" for name, value in entry.options.items())]
    if "Defaults" in parts and entry.kind != "optimizer":  # says them again, and what they mean
        options = [parts["Defaults"]]
    parts["Options"] = "\n".join(filter(None, [*options, parts.get("Options")]))
    parts["Aliases"] = ", ".join(entry.aliases)
    parts["Python"] = _python(entry)
    return [(label, parts[label]) for label in SHOWN if parts.get(label)]


def _python(entry: Entry) -> str:
    """How it is made."""
    name = f'"{entry.name}"'
    named = ((key, value) for key, value in entry.options.items() if key not in COMMON and value is not None)
    option = next((f", {key}={json.dumps(value) if isinstance(value, str) else value}" for key, value in named), "")
    return {
        "activation": f"osler.activation({name}{option})",
        "loss": f"osler.loss({name}{option})",
        "optimizer": f"osler.optimizer({name}, model.parameters(){option})",
        "initializer": f"osler.initialize(model, {name}{option})",
        "schedule": f"osler.schedule({name}, optimizer, steps=1000)",
        "penalty": f"osler.nn.PENALTIES.create({name}{option})",
        **{
            one: f"osler.nn.{table}.create({name}{option})"
            for one, table in (("convolution", "CONVOLUTIONS"), ("pooling", "POOLINGS"), ("padding", "PADDINGS"))
        },
        "model": f"osler.model({name}, {_given(entry.name) if entry.kind == 'model' else ''})",
        "augmentation": f"osler.train(photos, augment=[{name}])",
        "dataset": f"osler.train({name})",
    }.get(entry.kind, "")


def _given(model: str) -> str:
    inputs, outputs, needed = usual(model)
    return ", ".join(f"{key}={value!r}" for key, value in {"inputs": inputs, "outputs": outputs, **needed}.items())


def _indented(text: str, indent: int) -> str:
    """Paragraphs wrapped to stand right of so many letters; indented lines stay as they are, if there is room."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        if paragraph.startswith(" ") and len(paragraph) - 2 <= WIDTH - indent:
            lines.append(paragraph[2:])
        else:
            lines += textwrap.wrap(paragraph.strip(), WIDTH - indent, break_on_hyphens=False)
    return textwrap.indent("\n".join(lines), " " * indent).lstrip()


def _picture(plot: Plot) -> str:
    columns = (WIDTH - GAP * (len(plot.panels) - 1)) // len(plot.panels)
    lines = beside([draw(panel, columns) for panel in plot.panels], columns, GAP)
    widths = [max(map(len, column)) for column in zip(*plot.table, strict=True)]
    for row in plot.table:
        first, *others = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  " + "   ".join([row[0].ljust(len(first)), *others]).rstrip())
    notes = [textwrap.fill(line, WIDTH) for line in plot.note.split("\n") if line]
    return "\n".join([*lines, "", *notes]).rstrip()


def _layers(entry: Entry, options: Mapping[str, Any]) -> str:
    table = layers(entry, options).text(WIDTH)
    if entry.kind != "model":
        return table
    inputs, outputs, needed = usual(entry.name)
    command = f"osler draw {entry.name} --inputs {','.join(map(str, inputs))}"
    command += f" --outputs {outputs}" if outputs != OUTPUTS else ""
    command += "".join(f" --set {key}={value}" for key, value in needed.items())
    return f"{table}\n\n{textwrap.fill(f'`{command}` works out every size, for other inputs too.', WIDTH)}"
