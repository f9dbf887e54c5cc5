"""YAML as people expect it: plain values, lists and mappings, of YAML 1.2, safe to read from strangers."""

from __future__ import annotations

import re
from typing import Any

import yaml

# What plain text means in YAML 1.2. In PyYAML's 1.1 `1e-3` is text, `no` is false, `010` is 8 and `12:30` is 750.
PLAIN = {
    "null": r"null|Null|NULL|~|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9][0-9]*)",
    "float": r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
RESOLVERS = [(f"tag:yaml.org,2002:{kind}", re.compile(f"(?:{pattern})$")) for kind, pattern in PLAIN.items()]
DEEPEST = 20  # lists in lists


def read_value(text: str) -> Any:
    """The value of a YAML text: 3, 1e-3, true, [64, 32], {name: adam} … Raises yaml.YAMLError (or ValueError)."""
    return yaml.load(text, Loader=_Loader)


def write_value(value: Any) -> str:
    """The YAML text of plain values; `read_value` gives the same back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None)


class _Loader(yaml.SafeLoader):
    """Plain values, lists and mappings only: no aliases (a few lines could stand for gigabytes), no key twice."""

    yaml_implicit_resolvers = {None: RESOLVERS}  # noqa: RUF012
    yaml_constructors = {  # noqa: RUF012
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
    }
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"the alias *{event.anchor} is not allowed: write the value out")
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.YAMLError(f"{key.value!r} is given twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, text: str) -> Any:
        # Unusual line ends would be lost without the quotes in which they are escaped.
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)
for _tag, _pattern in RESOLVERS:
    _Dumper.add_implicit_resolver(_tag, _pattern, None)
