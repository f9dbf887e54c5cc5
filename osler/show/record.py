"""An entry as plain values, for scripts."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from osler.show.describe import Entry
from osler.show.panels import Curve, Grid, Histogram, Panel, Plot


def record(entry: Entry, plot: Plot | None) -> dict[str, Any]:
    """Everything that the page says, and the numbers that it draws."""
    return {
        "kind": entry.kind,
        "name": entry.name,
        "aliases": list(entry.aliases),
        "summary": entry.summary,
        "options": entry.options,
        "description": {label.lower(): text for label, text in entry.parts.items()},
        "plot": None if plot is None else {"note": plot.note, "panels": [_numbers(panel) for panel in plot.panels]},
    }


def _numbers(panel: Panel) -> dict[str, Any]:
    if isinstance(panel, Curve | Histogram):
        return {key: _finite(value) for key, value in asdict(panel).items()}
    if isinstance(panel, Grid):
        return {"title": panel.title, "rows": [list(row) for row in panel.rows], "rim": list(panel.rim)}
    surface = {"name": panel.surface.name, "formula": panel.surface.formula}
    return {"title": panel.title, "surface": surface, **{k: _finite(getattr(panel, k)) for k in ("x", "y", "losses")}}


def _finite(value: Any) -> Any:
    """JSON has no infinity and no nan."""
    if isinstance(value, str):
        return value
    return [number if math.isfinite(number) else None for number in value]
