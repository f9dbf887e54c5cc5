"""All building blocks by kind and name, and how one finds them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from osler.errors import InputError, plain, unknown_name
from osler.registry import Registry
from osler.show.describe import Entry, describe

# One of them → (many of them, home of the table, table); a home is imported when it is asked for.
KINDS = {
    "activation": ("activations", "osler.nn.activations", "ACTIVATIONS"),
    "loss": ("losses", "osler.nn.losses", "LOSSES"),
    "optimizer": ("optimizers", "osler.optim.optimizers", "OPTIMIZERS"),
    "initializer": ("initializers", "osler.nn.initialisation", "INITIALIZERS"),
    "schedule": ("schedules", "osler.optim.schedules", "SCHEDULES"),
    "metric": ("metrics", "osler.metrics.metrics", "METRICS"),
    "convolution": ("convolutions", "osler.nn.convolution", "CONVOLUTIONS"),
    "pooling": ("poolings", "osler.nn.pooling", "POOLINGS"),
    "padding": ("paddings", "osler.nn.padding", "PADDINGS"),
    "penalty": ("penalties", "osler.nn.penalties", "PENALTIES"),
    "model": ("models", "osler.models", "MODELS"),
    "augmentation": ("augmentations", "osler.data.augment", "AUGMENTATIONS"),
    "dataset": ("datasets", "osler.data.examples", "EXAMPLES"),
}


def registry(kind: str) -> Registry[object]:
    """The table of a kind."""
    _, home, name = KINDS[kind]
    table: Registry[object] = getattr(import_module(home), name)
    return table


def known_kind(word: str) -> str:
    """The kind that a word means, one of them or many; InputError for any other."""
    kind = _kind(word)
    if kind is None:
        raise unknown_name("kind", word, [many for many, *_ in KINDS.values()])
    return kind


def names() -> dict[str, list[str]]:
    """The names of every kind."""
    return {many: list(registry(kind)) for kind, (many, *_) in KINDS.items()}


def listing(kind: str) -> list[Entry]:
    """All entries of a kind, in the order of its table."""
    table = registry(known_kind(kind))
    return [describe(known_kind(kind), table, name) for name in table]


def asked(words: Sequence[str], kind: str | None = None) -> list[Entry]:
    """The entries that somebody asks for by a name, or a kind and a name; a name may be one of several kinds.

    >>> [entry.kind for entry in asked(["perceptron"])]
    ['loss', 'model']
    >>> [entry.kind for entry in asked(["loss", "perceptron"])]
    ['loss']
    """
    if kind is None and len(words) > 1:
        kind, rest = _kind(words[0]), words[1:]
        words = words if kind is None else rest
    name = " ".join(words)
    tables = {one: registry(one) for one in KINDS}
    homes = [one for one, table in tables.items() if name in table]
    if kind is not None:
        kind = known_kind(kind)
        if homes and kind not in homes:
            raise InputError(f"there is no {kind} {name!r}, but {' and '.join(_command(one, name) for one in homes)}")
        homes = [kind]
    elif not homes and _kind(name) is not None:
        raise InputError(f"{name!r} is no name but a kind; `osler list {KINDS[known_kind(name)][0]}` gives their names")
    elif not homes:
        raise unknown_name("name", name, {known for table in tables.values() for known in (*table, *table.aliases)})
    return [describe(home, tables[home], tables[home].resolve(name)) for home in homes]


def only(entries: Sequence[Entry]) -> Entry:
    """The one entry; InputError that names the kinds when there are several."""
    if len(entries) == 1:
        return entries[0]
    raise InputError(f"{several(entries)}; an option or a picture needs one of them")


def several(entries: Sequence[Entry]) -> str:
    """That a name means several things, and how to ask for each."""
    return "this name means " + " and ".join(_command(entry.kind, entry.name) for entry in entries)


def _command(kind: str, name: str) -> str:
    return f"`osler show {kind} {name}`"


def _kind(word: str) -> str | None:
    wanted = plain(word).replace("_", "")
    wanted = "augmentation" if wanted == "augment" else wanted  # as recipes call it
    return next((one for one, (many, *_) in KINDS.items() if wanted in (one, many)), None)
