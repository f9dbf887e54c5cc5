"""`osler doctor`: whatever is brought is examined, a program, a source, a recipe or a finished run."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from osler.doctor.diagnosis import Diagnosis
from osler.doctor.script import watch_script
from osler.errors import InputError
from osler.folder import MARK
from osler.run import findings_in


@dataclass(frozen=True)
class Consultation:
    """A diagnosis for each patient, and what could not be seen."""

    patients: Sequence[tuple[str, Diagnosis]]
    unseen: Sequence[str] = ()
    error: str = ""  # that the program ended with

    @property
    def critical(self) -> bool:
        return any(diagnosis.critical for _, diagnosis in self.patients)

    def __str__(self) -> str:
        parts = [f"{name}\n\n{diagnosis}" if name else str(diagnosis) for name, diagnosis in self.patients]
        parts += [f"The program ended with an error:\n{self.error.rstrip()}"] if self.error else []
        parts += ["\n".join(f"Not seen: {sentence}" for sentence in self.unseen)] if self.unseen else []
        return "\n\n".join(parts)

    def record(self) -> dict[str, Any]:
        return {
            "patients": [{"name": name, **diagnosis.record()} for name, diagnosis in self.patients],
            "unseen": list(self.unseen),
            "error": self.error,
        }

    def html(self) -> str:
        """A page of its own."""
        body = "".join(
            (f"<h2>{escape(name)}</h2>" if name else "") + diagnosis._repr_html_() for name, diagnosis in self.patients
        )
        body += f"<h2>The program ended with an error</h2><pre>{escape(self.error)}</pre>" if self.error else ""
        body += "".join(f"<p>Not seen: {escape(sentence)}</p>" for sentence in self.unseen)
        style = (
            "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}td,th{padding:2px 12px 2px 0}"
        )
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Diagnosis</title>'
            f"<style>{style}pre{{background:#f2f2f2;padding:8px}}</style></head><body>{body}</body></html>\n"
        )


def consult(patient: str, arguments: Sequence[str] = (), settings: Mapping[str, Any] | None = None) -> Consultation:
    """Examines what is named: a program (`train.py`, `train.py:function`), a run folder, a recipe, or a source.

    `arguments` go to a program, `settings` (fields of a recipe) to the training of a source or a recipe.
    Raises InputError for what is none of these.
    """
    given = {key: value for key, value in (settings or {}).items() if value is not None}
    file, _, function = patient.rpartition(":") if ".py:" in patient else (patient, "", "")
    path = Path(file)
    if path.suffix == ".py":
        if given:
            raise InputError(f"{', '.join(given)}: a program has its own settings; give it arguments after --")
        watched = watch_script(path, arguments, function or None)
        return Consultation(watched.patients, watched.unseen, watched.error)
    if arguments:
        raise InputError(f"{' '.join(arguments)}: only a program (a .py file) takes arguments")
    if (path / MARK).exists():
        if given:
            raise InputError(f"{', '.join(given)}: {path} is trained already; give its recipe.yaml to change something")
        return Consultation([("", findings_in(path))])
    from osler.job import train

    recipe = path if path.suffix in (".yaml", ".yml") else None
    with tempfile.TemporaryDirectory() as folder:
        run = train(None if recipe else patient, recipe=recipe, out=Path(folder) / "run", verbose=False, **given)
        return Consultation([("", run.findings)])
