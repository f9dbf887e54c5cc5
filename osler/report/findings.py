"""What the doctor found, with its numbers and cures, and how gradients and updates went."""

from collections.abc import Mapping, Sequence
from typing import Any

import osler.report.figures as figures
import osler.report.words as words
from osler.errors import InputError
from osler.report.read import RunFiles
from osler.report.words import escaped

KNOWN = ("critical", "warning", "hint")
QUIET = "Nothing wrong was found."


def findings(files: RunFiles) -> str:
    """Causes first, what follows from one under it; then the pictures; "" for a run that no doctor watched."""
    if not files.diagnosis:
        return ""
    try:
        return _shown(files)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{str(files.folder / 'findings.json')!r} is damaged ({error}): train again") from None


def _shown(files: RunFiles) -> str:
    found = files.findings
    names = {one.get("ailment") for one in found}
    causes = [one for one in found if one.get("because") not in names]
    cards = "".join(_card(one, [f for f in found if f.get("because") == one.get("ailment")]) for one in causes)
    missing = "".join(f"<li>{escaped(what)}</li>" for what in files.diagnosis.get("not_examined") or [])
    left = f"<details><summary>Not examined</summary><ul>{missing}</ul></details>" if missing else ""
    return (cards or f"<p>{QUIET}</p>") + _pictures(files.diagnosis.get("curves") or {}) + left


def _card(one: Mapping[str, Any], follows: Sequence[Mapping[str, Any]]) -> str:
    severity = str(one.get("severity"))
    style = severity if severity in KNOWN else "hint"
    place = words.listed([*(one.get("where") or []), *(one.get("lines") or [])])
    title = f'{escaped(one.get("title") or one.get("ailment") or "")} <span class="pill {style}">{style}</span>'
    body = f"<p>{escaped(one.get('explanation') or '')}</p>"
    if style != "hint":
        body += f'<p class="note">Where: {escaped(place)}</p>' if place else ""
        body += _evidence(one.get("evidence") or {}, one.get("healthy") or {})
        body += f'<p class="note">{escaped(one.get("why") or "")}</p>'
        cures = "".join(f"<li>{_cure(cure)}</li>" for cure in one.get("cures") or [])
        body += f"<h4>Cure</h4><ul>{cures}</ul>" if cures else ""
    hence = "".join(f"<li>{escaped(f.get('explanation') or '')}</li>" for f in follows)
    body += f"<h4>Hence</h4><ul>{hence}</ul>" if hence else ""
    return f'<div class="finding {style}"><h3>{title}</h3>{body}</div>'


def _evidence(evidence: Mapping[str, Any], healthy: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td>{escaped(name)}</td><td class="number">{escaped(words.said(value))}</td>'
        f"<td>{escaped(healthy.get(name) or '')}</td></tr>"
        for name, value in evidence.items()
    )
    head = "<tr><th>measured</th><th>here</th><th>healthy</th></tr>"
    return f'<div class="scroll"><table class="narrow">{head}{rows}</table></div>' if rows else ""


def _cure(cure: Mapping[str, Any]) -> str:
    settings = " ".join(f"--set {key}={words.said(value)}" for key, value in (cure.get("settings") or {}).items())
    patch = str(cure.get("patch") or "")
    return (
        escaped(cure.get("title") or "")
        + (f" <code>{escaped(settings)}</code>" if settings else "")
        + (f"<pre><code>{escaped(patch)}</code></pre>" if patch and not settings else "")
    )


def _pictures(curves: Mapping[str, Any]) -> str:
    gradients = [float(value) for _, value in curves.get("gradients") or [] if value]
    updates = [(float(step), float(value)) for step, value in curves.get("updates") or [] if value]
    drawn = []
    if len(gradients) > 1:
        low, high = min(gradients), max(gradients)
        label = f"Typical gradient of {len(gradients)} layers before training, from {low:.1e} to {high:.1e}"
        figure = figures.gradient_flow("gradients", label, gradients)
        drawn.append(_captioned("Gradient by layer", "from input to output, before training", figure))
    if len(updates) > 2:
        label = f"Size of a step relative to the weights, at the end {updates[-1][1]:.1e}"
        figure = figures.update_sizes("updates", label, updates)
        drawn.append(_captioned("Size of a step", "relative to the weights; usual is the shaded band", figure))
    return f'<div class="grid">{"".join(drawn)}</div>' if drawn else ""


def _captioned(title: str, note: str, figure: str) -> str:
    return f"<figure><figcaption>{title} <span>{note}</span></figcaption>{figure}</figure>"
