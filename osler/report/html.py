"""A run's report: one HTML file that needs nothing else, to be read on a screen or on paper."""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from osler.errors import InputError
from osler.report.read import RunFiles, read
from osler.report.sections import SECTIONS, facts, headline
from osler.report.style import CSS, SCRIPT
from osler.report.words import escaped


def write_report(folder: Path) -> Path:
    """Writes `report.html` into the folder of a run, whole or not at all, and returns its path.

    Raises InputError where the folder is no run, or cannot be written to.
    """
    page = render(read(Path(folder)))
    path = Path(folder) / "report.html"
    unfinished = path.with_name(f".report.html.{os.getpid()}")
    try:
        unfinished.write_text(page, encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}; make room or give another folder") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def render(files: RunFiles) -> str:
    """The page as text; a section without anything to show is left out."""
    bodies = {title: section(files) for title, section in SECTIONS.items()}
    return document(
        f"{files.title} – Osler report",
        headline(files) + facts(files),
        {title: body for title, body in bodies.items() if body},
        f"Made by Osler {files.run.get('osler') or ''}. This file holds everything it shows.",
    )


def document(title: str, header: str, sections: Mapping[str, str], footer: str) -> str:
    """A page of its own. `header` and the sections by their title are HTML; `title` and `footer` are words."""
    keys = {name: name.lower().replace(" ", "-") for name in sections}
    links = "".join(f'<a href="#{key}">{name}</a>' for name, key in keys.items())
    shown = "".join(f'<section id="{keys[name]}"><h2>{name}</h2>{body}</section>\n' for name, body in sections.items())
    # Should a name from a user ever slip through unescaped: only this script may run, and nothing is fetched.
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escaped(title)}</title><style>{CSS}</style></head>\n"
        '<body><button type="button" hidden aria-label="Change between light and dark">Dark</button>\n'
        f'<header>{header}<nav aria-label="Sections">{links}</nav></header>\n'
        f"<main>{shown}</main>\n<footer>{escaped(footer)}</footer>\n<script>{SCRIPT}</script></body></html>\n"
    )
