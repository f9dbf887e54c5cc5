"""What the docstring of a registered factory says, in parts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from osler.registry import Registry

# A part begins with its label, at the beginning of a line or of a sentence.
LABEL = re.compile(
    r"(?:^|(?<=\. ))(Formula|Shapes|Range|Options|Parameters|Defaults|Raises|Use|Source): ", re.MULTILINE
)
NOTES = "Notes"
# They come with every entry of a kind, from the task or the data.
GIVEN = {"inputs", "kind", "outputs"}


@dataclass(frozen=True)
class Entry:
    """One building block as it is shown.

    `parts`: label → text; a line break separates paragraphs, and a line that begins with blanks is to stay as it is.
    """

    kind: str
    name: str
    aliases: tuple[str, ...]
    summary: str
    parts: dict[str, str]
    options: dict[str, Any]  # with their defaults
    given: dict[str, Any] = field(default_factory=dict)  # defaults of what comes with every entry of the kind


def describe(kind: str, registry: Registry[Any], name: str) -> Entry:
    """The entry of that name, which must be a registered one, no alias."""
    factory = registry[name]
    aliases = tuple(alias for alias, meant in registry.aliases.items() if meant == name)
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.default is not parameter.empty
    }
    options = {key: value for key, value in defaults.items() if key not in GIVEN}
    given = {key: value for key, value in defaults.items() if key in GIVEN}
    text = inspect.getdoc(factory) or ""
    return Entry(kind, name, aliases, registry.summary(name), _parts(text.partition("\n")[2]), options, given)


def titled(entry: Entry, options: Mapping[str, Any]) -> str:
    """The name, and the options that are not the usual ones."""
    given = ", ".join(f"{name} = {value}" for name, value in options.items())
    return f"{entry.name} ({given})" if given else entry.name


def _parts(text: str) -> dict[str, str]:
    before, *labelled = LABEL.split(text)
    notes, parts = [*_paragraphs(before)], {}
    for label, body in zip(labelled[::2], labelled[1::2], strict=True):
        first, *others = _paragraphs(body)
        own = [first, *(p for p in others if p.startswith(" "))]
        notes += [p for p in others if not p.startswith(" ")]
        parts[label] = "\n".join(own)
    return {**parts, NOTES: "\n".join(notes)} if notes else parts


def _paragraphs(text: str) -> list[str]:
    """Paragraphs as one line each, indented blocks line by line, snippets left out."""
    paragraphs: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if not block.strip() or lines[0].lstrip().startswith(">>>"):
            continue
        paragraphs += lines if lines[0].startswith(" ") else [" ".join(map(str.strip, lines))]
    return paragraphs
