"""The tables of a report, as words: the page and the Markdown show the same ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import osler.report.words as words
from osler.report.layers import receptive_field
from osler.report.read import RunFiles


@dataclass(frozen=True)
class Table:
    """Column heads, rows of words, and which columns hold numbers (aligned right)."""

    head: list[str]
    rows: list[list[str]]
    numeric: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.rows)


def choices(files: RunFiles) -> Table:
    rows = [[c.get("what"), c.get("chosen"), c.get("why")] for c in files.run.get("choices") or []]
    return _table(["what", "chosen", "why"], rows)


def trials(files: RunFiles) -> Table:
    """The cures that healing tried."""
    rows = [
        [
            t.get("ailment"),
            t.get("title"),
            words.said({k: "advised" if v is None else v for k, v in (t.get("settings") or {}).items()}),
            t.get("measure"),
            t.get("before"),
            t.get("after"),
            "kept" if t.get("kept") else "left",
        ]
        for t in files.healing.get("trials") or []
    ]
    return _table(["found", "cure", "settings", "validation", "before", "after", ""], rows, {4, 5})


def healed(files: RunFiles) -> Table:
    """The held-out metrics before and after healing."""
    before, after = (files.healing.get(key) or {} for key in ("before", "after"))
    rows = [[words.metric_name(n), words.metric(n, before[n]), words.metric(n, after.get(n))] for n in before]
    return _table(["held out", "before", "after"], rows, {1, 2})


def parts(files: RunFiles) -> Table:
    counts = files.section("data").get("parts") or {}
    total = sum(counts.values()) or 1
    rows = [[part, count, f"{100 * count / total:.0f}\u202f%"] for part, count in counts.items()]
    return _table(["part", "samples", "share"], rows, {1, 2})


def features(files: RunFiles) -> Table:
    rows = [
        [f.get("name"), f.get("kind"), f.get("missing") or 0, f.get("summary") or ""]
        for f in files.section("data").get("features") or []
    ]
    return _table(["feature", "kind", "missing", "values"], rows, {2})


def classes(files: RunFiles) -> Table:
    found = files.section("data").get("classes") or []
    counted = list(dict.fromkeys(key for c in found for key in c if key != "name"))
    rows = [[c.get("name"), *(c.get(part, 0) for part in counted)] for c in found]
    return _table(["class", *counted], rows, set(range(1, len(counted) + 1)))


def metrics(files: RunFiles) -> Table:
    columns, rows = files.metrics_table()
    said = [[words.metric_name(name), *(words.metric(name, v) for v in values)] for name, values in rows]
    return _table(["metric", *columns], said, set(range(1, len(columns) + 1)))


def layers(files: RunFiles) -> Table:
    rows = [
        [
            r.name,
            r.kind,
            words.shape(r.inputs),
            words.shape(r.outputs),
            r.arithmetic,
            receptive_field(r),
            "?" if r.multiply_adds is None else r.multiply_adds or "",
            r.parameters,
        ]
        for r in files.layers
    ]
    return _table(["layer", "kind", "in", "out", "arithmetic", "field", "multiply-adds", "parameters"], rows, {5, 6, 7})


def worst(files: RunFiles) -> Table:
    """The worst predictions with their features, leaving out what no row has."""
    found = files.evaluation.get("worst") or []
    columns: dict[str, Callable[[dict[str, Any]], Any]] = {
        "row": lambda w: w.get("row"),
        "true": lambda w: w.get("target"),
        "predicted": lambda w: w.get("prediction"),
        "confidence": lambda w: confidence(w),
        "loss": lambda w: w.get("loss"),
    }
    columns = {name: value for name, value in columns.items() if any(value(w) is not None for w in found)}
    names = list(dict.fromkeys(name for w in found for name in w.get("features") or {}))
    rows = [[value(w) for value in columns.values()] + [(w.get("features") or {}).get(n) for n in names] for w in found]
    numeric = {i for i, name in enumerate(columns) if name in ("confidence", "loss")}
    return _table([*columns, *names], rows, numeric)


def environment(files: RunFiles) -> Table:
    rows = [[key, value] for key, value in files.section("environment").items()]
    if files.run.get("osler"):
        rows.insert(0, ["osler", files.run["osler"]])
    return _table(["what", "value"], rows)


def confidence(prediction: dict[str, Any]) -> str | None:
    value = prediction.get("confidence")
    return f"{100 * value:.1f}\u202f%" if isinstance(value, int | float) else None


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], numeric: set[int] | None = None) -> Table:
    return Table([str(h) for h in head], [[words.number(cell) for cell in row] for row in rows], numeric or set())
