"""A run's report as Markdown: the same words and tables, without pictures."""

from pathlib import Path
from typing import Any

import osler.report.forecasts as forecast
import osler.report.tables as tables
import osler.report.words as words
from osler.report.confusion import most_confused
from osler.report.read import RunFiles, read
from osler.report.tables import Table

SPECIAL = "\\`*_[]<>#|~$&"  # what can begin something inside a line


def markdown(folder: Path) -> str:
    """The report of the run in that folder; InputError where it is none."""
    files = read(Path(folder))
    task, data = files.section("task"), files.section("data")
    confusion = files.evaluation.get("confusion") or {}
    counts = confusion.get("counts") or []
    errors = [[t, p, str(c)] for t, p, c in most_confused(confusion.get("classes") or [], counts)]
    command = files.run.get("command")
    sections = {
        "Findings": "\n".join(_finding(f) for f in files.findings),
        "Healing": _blocks(_table(tables.trials(files)), _table(tables.healed(files))),
        "Asked and chosen": _blocks(_plain(task.get("why") or ""), _table(tables.choices(files))),
        "Data": _blocks(
            "\n".join(f"- {_plain(note)}" for note in data.get("notes") or []),
            _table(tables.parts(files)),
            _table(tables.classes(files)),
            _table(tables.features(files)),
        ),
        "Metrics": _table(tables.metrics(files)),
        "Forecasts": _table(forecast.table(files)),
        "Most frequent errors": _table(Table(["true", "predicted", "times"], errors, {2})),
        "Worst predictions": _table(tables.worst(files)),
        "Network": _table(tables.layers(files)),
        "How to reproduce": _blocks(_fenced(command) if command else "", _table(tables.environment(files))),
    }
    parts = [f"# {_plain(files.title)}", *_headline(files)]
    for title, body in sections.items():
        if body:
            parts += [f"## {title}", body]
    return "\n\n".join(parts) + "\n"


def _headline(files: RunFiles) -> list[str]:
    name = words.main_metric(files.result)
    result = f"**{words.metric_name(name)}: {words.metric(name, files.result[name])}**, " if name else ""
    return [line for line in (_plain(words.purpose(files.section("task"))), f"{result}{_plain(files.status)}.") if line]


def _finding(finding: dict[str, Any]) -> str:
    cures = finding.get("cures") or []
    told = [_plain(finding.get("explanation") or "")]
    told += [f"Where: {_plain(words.said(finding['where']))}."] if finding.get("where") else []
    told += [f"Evidence: {_plain(words.said(finding['evidence']))}."] if finding.get("evidence") else []
    told += [f"Cures: {_plain(words.said([cure.get('title') for cure in cures]))}."] if cures else []
    name, severity = _plain(finding.get("title") or ""), _plain(finding.get("severity") or "hint")
    return f"- **{name}** ({severity}): {' '.join(told)}"


def _table(table: Table) -> str:
    if not table:
        return ""
    rule = ["---:" if i in table.numeric else "---" for i in range(len(table.head))]
    rows = [[_plain(cell) for cell in row] for row in (table.head, *table.rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))


def _blocks(*blocks: str) -> str:
    return "\n\n".join(block for block in blocks if block)


def _fenced(text: str) -> str:
    """A block of code that its own content cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _plain(value: object) -> str:
    """Text that means nothing to Markdown, on one line."""
    line = " ".join(str(value).split())
    return "".join("\\" + c if c in SPECIAL else c for c in line)
