"""An explanation as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from osler.explain.dependence import Dependence
from osler.explain.methods import METHODS
from osler.explaining import REPEATS, Explanation, Sample, completeness
from osler.records import Attribution
from osler.report.figures import TRAINING, figure
from osler.report.html import document
from osler.report.words import escaped, number

FOR, AGAINST = (214, 84, 12), (38, 96, 220)  # of a map: what speaks for the explained score, and against it
SIDE = 192  # pixels of a small picture's longer side on the page

CAVEATS = (
    "A map says what this network used, not what is true of the world, and not what would happen if the world changed.",
    "Methods answer different questions; where they disagree, none of them is “the” reason.",
    "A map that looks convincing proves nothing: an edge detector's does too. That is why weights are randomised here.",
    "Values are relative to a baseline of 0 after scaling: the mean by which the inputs were scaled.",
)


def page(explanation: Explanation) -> str:
    """The page as text."""
    sections = {
        "Predictions explained": _explained(explanation),
        "Can the maps be trusted": _sanity(explanation.attributions),
        "Permutation importance": _importance(explanation),
        "Partial dependence": _dependence(explanation),
        "What to keep in mind": _listed([*CAVEATS, *explanation.notes]),
    }
    header = f'<div class="eyebrow">Osler explanation</div><h1>{escaped(explanation.title)}</h1>'
    return document(
        f"{explanation.title} – explained by Osler",
        header,
        {title: body for title, body in sections.items() if body},
        "Made by Osler. This file holds everything it shows.",
    )


def _explained(explanation: Explanation) -> str:
    if explanation.columns:
        return _rows(explanation)
    return _texts(explanation) if explanation.by_name else _pictures(explanation)


def _texts(explanation: Explanation) -> str:
    """Each text with its tokens coloured by what they counted."""
    blocks = []
    for i, sample in enumerate(explanation.samples):
        figures = []
        for a in explanation.attributions:
            values = list(explanation.by_column(a, i).values())
            largest = max(map(abs, values), default=0) or 1
            marked = " ".join(_marked(p, v, abs(v) / largest) for p, v in zip(sample.pieces, values, strict=True))
            caption = f"{escaped(a.method.replace('_', ' '))} <span>for {escaped(explanation.explained(a, i))}</span>"
            figures.append(f"<figure><figcaption>{caption}</figcaption><p>{marked}</p></figure>")
        blocks.append(f"{_predicted(sample)}{''.join(figures)}")
    note = "Orange speaks for the explained score, blue against it; the stronger the colour, the more it counts."
    return f'<p class="note">{note}</p>{"".join(blocks)}{_methods(explanation.attributions)}'


def _marked(piece: str, value: float, strength: float) -> str:
    red, green, blue = FOR if value > 0 else AGAINST
    colour = f"rgba({red},{green},{blue},{0.8 * strength:.2f})"
    return f'<span title="{number(value)}" style="background:{colour}">{escaped(piece)}</span>'


def _pictures(explanation: Explanation) -> str:
    blocks = []
    for i, sample in enumerate(explanation.samples):
        assert sample.picture is not None
        cards = [f"<li>{_image(_upright(sample.picture), sample.name)}<b>{escaped(sample.name)}</b></li>"]
        for a in explanation.attributions:
            overlay = overlaid(sample.picture, a.values[i].sum(0).cpu().numpy())
            said = f"{a.method.replace('_', ' ')} of {sample.name}, for {explanation.explained(a, i)}"
            layer = f'<span class="note">layer {escaped(a.layer)}</span>' if a.layer else ""
            cards.append(
                f"<li>{_image(overlay, said)}<b>{escaped(a.method.replace('_', ' '))}</b>"
                f'<span class="note">for {escaped(explanation.explained(a, i))}</span>{layer}</li>'
            )
        blocks.append(f'{_predicted(sample)}<ul class="cards">{"".join(cards)}</ul>')
    note = "Orange speaks for the explained score, blue against it; the stronger the colour, the more it counts."
    return f'<p class="note">{note}</p>{"".join(blocks)}{_methods(explanation.attributions)}'


def _rows(explanation: Explanation) -> str:
    blocks = []
    for i, sample in enumerate(explanation.samples):
        figures = []
        for a in explanation.attributions:
            values = explanation.by_column(a, i)
            ordered = sorted(values, key=lambda name: -abs(values[name]))
            rows = [(name, _shown(sample.values.get(name)), values[name]) for name in ordered]
            caption = f"{escaped(a.method.replace('_', ' '))} <span>for {escaped(explanation.explained(a, i))}</span>"
            figures.append(f"<figure><figcaption>{caption}</figcaption>{bars(rows, 'value')}</figure>")
        blocks.append(f'{_predicted(sample)}<div class="grid">{"".join(figures)}</div>')
    note = "Bars to the right speak for the explained score, bars to the left against it, in units of that score."
    return f'<p class="note">{note}</p>{"".join(blocks)}{_methods(explanation.attributions)}'


def _predicted(sample: Sample) -> str:
    top = sorted(sample.scores.items(), key=lambda item: -item[1])[:4]
    shares = all(0 <= v <= 1 for v in sample.scores.values()) and len(sample.scores) > 1
    said = ", ".join(f"{name} {100 * p:.1f}\u202f%" if shares else number(p) for name, p in top)
    return f"<h3>{escaped(sample.name)}: {escaped(_shown(sample.prediction))} <span>{escaped(said)}</span></h3>"


def _methods(attributions: Sequence[Attribution]) -> str:
    said = [
        f"<li><b>{escaped(a.method.replace('_', ' '))}</b>: {escaped(METHODS.summary(a.method))}"
        + (f" It is {escaped(completeness(a))}." if a.gap is not None else "")
        + "</li>"
        for a in attributions
    ]
    return f"<ul>{''.join(said)}</ul>"


def _sanity(attributions: Sequence[Attribution]) -> str:
    rows = []
    for a in attributions:
        if a.sanity is None:
            continue
        kind = "" if a.sanity.trusted else " warning"
        stages = ", ".join(f"{layer}: {c:.2f}" for layer, c in zip(a.sanity.layers, a.sanity.correlations, strict=True))
        rows.append(
            f'<tr><td>{escaped(a.method.replace("_", " "))}</td><td><span class="pill{kind}">'
            f"{'trusted' if a.sanity.trusted else 'not trusted'}</span></td><td>{escaped(a.sanity.verdict)}</td>"
            f"<td>{escaped(stages)}</td></tr>"
        )
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{h}</th>' for h in ("method", "", "verdict", "correlation, randomised down to"))
    note = (
        "The weights of a copy were randomised, layer after layer from the top, and the maps computed again. A method "
        "whose maps stay the same shows the input rather than what was learned (Adebayo et al. 2018)."
    )
    return (
        f'<p class="note">{note}</p><div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _importance(explanation: Explanation) -> str:
    if not explanation.importances:
        return ""
    rows = [(i.column, f"± {number(i.std)}", i.mean) for i in explanation.importances]
    note = (
        f"What the {explanation.measure} loses when a column is shuffled, mean and deviation over {REPEATS} shuffles. "
        "Columns that say the same hide each other."
    )
    return f'<p class="note">{escaped(note)}</p>{bars(rows, "spread")}'


def _dependence(explanation: Explanation) -> str:
    drawn = [
        f"<figure><figcaption>{escaped(d.column)} <span>mean {escaped(explanation.predicted)}</span></figcaption>"
        f"{_curve(f'dependence{i}', d) if d.numeric else _categories(d)}</figure>"
        for i, d in enumerate(explanation.dependences)
    ]
    note = "The mean prediction when all rows have the same value in this column, and their own in all others."
    return f'<p class="note">{note}</p><div class="grid">{"".join(drawn)}</div>' if drawn else ""


def _curve(key: str, dependence: Dependence) -> str:
    def draw(axes: Any) -> None:
        axes.plot(dependence.values, dependence.predictions, color=TRAINING, marker="o", markersize=3)
        axes.set(xlabel="value", ylabel="mean prediction")

    low, high = (number(f(dependence.predictions)) for f in (min, max))
    return figure(key, f"{dependence.column}: the mean prediction goes from {low} to {high}", draw)


def _categories(dependence: Dependence) -> str:
    pairs = zip(dependence.values, dependence.predictions, strict=True)
    return bars([(_shown(value), "", prediction) for value, prediction in pairs], "", ("value", "mean"))


def bars(rows: Sequence[tuple[str, str, float]], middle: str, heads: tuple[str, str] = ("column", "counts")) -> str:
    """Names, a word each, and numbers as bars from zero to the left or to the right."""
    most = max((abs(value) for *_, value in rows if math.isfinite(value)), default=0) or 1
    signed = any(value < 0 for *_, value in rows)
    lines = []
    for name, word, value in rows:
        width = 100 * abs(value) / most / (2 if signed else 1) if math.isfinite(value) else 0
        left = (50 - width if value < 0 else 50) if signed else 0
        colour = "var(--series-1)" if value < 0 else "var(--series-2)"
        bar = f'<div style="margin-left:{left:.1f}%;width:{width:.1f}%;height:.8em;background:{colour}"></div>'
        lines.append(
            f'<tr><td>{escaped(name)}</td><td class="note">{escaped(word)}</td><td class="number">{number(value)}</td>'
            f'<td style="width:45%">{bar}</td></tr>'
        )
    first, last = heads
    head = f'<tr><th scope="col">{first}</th><th scope="col">{middle}</th><th scope="col" colspan="2">{last}</th></tr>'
    return f'<div class="scroll" tabindex="0"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def overlaid(picture: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A map (height, width) over its picture (channels, height, width) in grey: (height, width, 3), uint8.

    Colours are full at the 99th percentile of the values' sizes.
    """
    grey = picture.mean(0)[:, :, None].repeat(3, 2) * 0.55 + 60
    most = float(np.percentile(np.abs(values), 99)) or float(np.abs(values).max()) or 1.0
    strength = np.clip(np.abs(values) / most, 0, 1)[:, :, None] ** 0.7
    colour = np.where(values[:, :, None] > 0, FOR, AGAINST)
    return np.asarray((grey * (1 - strength) + colour * strength).round(), dtype=np.uint8)


def _upright(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return picture.transpose(1, 2, 0)


def png(pixels: np.ndarray[Any, Any], side: int = SIDE) -> bytes:
    """Pixels (height, width, 1 or 3) as a PNG file, small ones in blocks so that the longer side has `side` or more."""
    from PIL import Image

    times = max(1, -(-side // max(pixels.shape[:2])))
    large = pixels.repeat(times, 0).repeat(times, 1)
    file = io.BytesIO()
    Image.fromarray(large[:, :, 0] if large.shape[2] == 1 else large).save(file, "PNG")
    return file.getvalue()


def _image(pixels: np.ndarray[Any, Any], said: str) -> str:
    return f'<img alt="{escaped(said)}" src="data:image/png;base64,{base64.b64encode(png(pixels)).decode()}">'


def _shown(value: Any) -> str:
    if isinstance(value, float | np.floating) and math.isnan(value):
        return "missing"
    return "missing" if value is None else number(value.item() if isinstance(value, np.generic) else value)


def _listed(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences) + "</ul>"
