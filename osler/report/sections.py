"""The sections of the HTML report, each a function from the run's files to HTML ("" where there is nothing to show)."""

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

import osler.report.figures as figures
import osler.report.forecasts as forecast
import osler.report.tables as tables
import osler.report.words as words
from osler.report.confusion import MOST, heat_map, most_confused
from osler.report.findings import findings
from osler.report.network import svg
from osler.report.read import RunFiles
from osler.report.tables import Table
from osler.report.words import escaped

TARGETS = 6  # of a regression that are drawn
LONG = 12  # rows, from which on a table scrolls and its length is said


def headline(files: RunFiles) -> str:
    """What was trained on what, how it ended, and the number that counts."""
    run = files.run
    outcome = str(run.get("status") or "unfinished")
    grave = {"finished": "", "stopped early": "", "diverged": " critical"}.get(outcome, " warning")
    created = str(run.get("created") or "")[:16].replace("T", " ")
    name = words.main_metric(files.result)
    big = ""
    if name:
        on = ""
        if files.evaluation.get("count"):
            thing = f"{files.evaluation.get('part') or ''} sample".strip()
            on = f" on {words.counted(files.evaluation['count'], thing)}"
        value, measure = escaped(words.metric(name, files.result[name])), escaped(words.metric_name(name) + on)
        big = f'<div><div class="big">{value}</div><div class="note">{measure}</div></div>'
    return (
        f'<div class="hero"><div><div class="eyebrow">Osler report{" · " + escaped(created) if created else ""}</div>'
        f"<h1>{escaped(files.title)}</h1><p>{escaped(words.purpose(files.section('task')))}</p>"
        f'<span class="pill{grave}">{escaped(files.status)}</span></div>{big}</div>'
    )


def facts(files: RunFiles) -> str:
    """The strip of small numbers below the headline."""
    parts = files.section("data").get("parts") or {}
    network, environment = files.section("network"), files.section("environment")
    tiles = {
        "samples": sum(parts.values()) or None,
        "epochs": files.epochs or None,
        "best epoch": files.best_epoch,
        "parameters": network.get("parameters"),
        "time": words.duration(files.run["seconds"]) if files.run.get("seconds") else None,
        "device": environment.get("device"),
    }
    shown = "".join(
        f"<div><dt>{name}</dt><dd>{escaped(words.number(value))}</dd></div>"
        for name, value in tiles.items()
        if value is not None
    )
    return f'<dl class="tiles">{shown}</dl>' if shown else ""


def healing(files: RunFiles) -> str:
    tried = _table(tables.trials(files), "choices")
    return tried and f"{tried}{_table(tables.healed(files), 'narrow')}"


def chosen(files: RunFiles) -> str:
    why = files.section("task").get("why")
    return (f"<p>{escaped(why)}</p>" if why else "") + _table(tables.choices(files), "choices")


def data(files: RunFiles) -> str:
    described = files.section("data")
    source = described.get("source")
    html = f"<p>Source: <code>{escaped(source)}</code></p>" if source else ""
    notes = described.get("notes") or []
    html += "<ul>" + "".join(f"<li>{escaped(note)}</li>" for note in notes) + "</ul>" if notes else ""
    short = _titled("Parts", tables.parts(files)) + _titled("Classes", tables.classes(files))
    html += f'<div class="beside">{short}</div>' if short else ""
    return html + _titled("Features", tables.features(files), "features")


def learning(files: RunFiles) -> str:
    epochs = [e["epoch"] for e in files.history]
    keys = dict.fromkeys(key for e in files.history for key in e)
    names = dict.fromkeys(key.rpartition("/")[0] for key in keys if key.endswith(("/train", "/val")))
    drawn = []
    for i, name in enumerate([*names, *(["lr"] if "lr" in keys else [])]):
        train, val = ("lr", "") if name == "lr" else (f"{name}/train", f"{name}/val")
        pair = [[e.get(key) for e in files.history] for key in (train, val)]
        title = words.metric_name(name)
        best = None if name == "lr" else files.best_epoch
        note = f"best epoch {best}" if best is not None and not i else ""
        label = f"{title} by epoch: {_course('training', pair[0])} {_course('validation', pair[1])}".strip()
        drawn.append(_captioned(title, note, figures.curves(f"curve{i}", label, epochs, pair[0], pair[1], best)))
    return f'<div class="grid">{"".join(drawn)}</div>' if drawn else ""


def measured(files: RunFiles) -> str:
    table = tables.metrics(files)
    if not table:
        return ""
    epoch = files.best_epoch or files.epochs
    note = ""
    if epoch and {"training", "validation"} & set(table.head):
        note = f'<p class="note">Training and validation as measured in epoch {epoch}'
        note += ", the best one.</p>" if files.best_epoch else ".</p>"
    return _table(table, "narrow") + note


def confused(files: RunFiles) -> str:
    confusion = files.evaluation.get("confusion") or {}
    counts = confusion.get("counts") or []
    if not counts:
        return ""
    classes = [str(c) for c in confusion["classes"]]
    html = ""
    if len(counts) <= MOST:
        note = "Rows are the true classes, columns the predicted ones; the shade is the share of the row."
        html = f'<div><p class="note">{note}</p><div class="matrix">{heat_map(classes, counts)}</div></div>'
    errors = most_confused(classes, counts)
    if errors and len(counts) > 2:
        rows = [[true, predicted, words.grouped(count)] for true, predicted, count in errors]
        html += _titled("Most frequent errors", Table(["true", "predicted", "times"], rows, {2}))
    return f'<div class="beside">{html}</div>'


def residuals(files: RunFiles) -> str:
    found = files.evaluation.get("residuals") or {}
    names = found.get("names") or []
    drawn = []
    for i, name in enumerate(names[:TARGETS]):
        values = zip(found["target"][i], found["prediction"][i], strict=True)
        pairs = [(t, p) for t, p in values if _finite(t) and _finite(p)]
        if not pairs:
            continue
        targets, predictions = [t for t, _ in pairs], [p for _, p in pairs]
        errors = [p - t for t, p in pairs]
        mean = sum(errors) / len(errors)
        spread = math.hypot(*(e - mean for e in errors)) / math.sqrt(len(errors))
        label = f"{name}: predicted against true values of {len(pairs)} samples"
        drawn.append(
            _captioned(
                f"{name}: predicted against true",
                "equal on the dashed line",
                figures.predicted_against_true(f"truth{i}", label, targets, predictions),
            )
        )
        said = f"mean {words.number(mean)}, standard deviation {words.number(spread)}"
        histogram = figures.residual_histogram(f"residual{i}", f"{name}: histogram of residuals, {said}", errors)
        drawn.append(_captioned(f"{name}: residuals", said, histogram))
    more = len(names) - TARGETS
    note = f'<p class="note">{words.counted(more, "more target")} not drawn.</p>' if more > 0 else ""
    return f'<div class="grid">{"".join(drawn)}</div>{note}' if drawn else ""


def forecasts(files: RunFiles) -> str:
    drawn = [_captioned(*figure) for figure in forecast.figures_of(files)]
    table = _table(forecast.table(files), "narrow")
    return f'<p>{forecast.told(files)}</p>{table}<div class="grid">{"".join(drawn)}</div>' if drawn else ""


def worst(files: RunFiles) -> str:
    found = files.evaluation.get("worst") or []
    if not any(w.get("picture") for w in found):
        return _table(tables.worst(files), "worst")
    cards = []
    for w in found:
        true, predicted = escaped(words.number(w.get("target"))), escaped(words.number(w.get("prediction")))
        sure = tables.confidence(w)
        loss = w.get("loss")
        details = [f"{sure} sure" if sure else "", "" if loss is None else f"loss {words.number(loss)}"]
        cards.append(
            f"<li>{_picture(w)}{_masks(w)}"
            f"<b>{predicted}</b> {f'instead of <b>{true}</b>' if predicted != true else 'but unsure'}"
            f'<span class="note">{escaped(", ".join(d for d in details if d))}</span>'
            f'<span class="note">{escaped(w.get("row") or "")}</span></li>'
        )
    return f'<ul class="cards">{"".join(cards)}</ul>'


def samples(files: RunFiles) -> str:
    found = files.evaluation.get("samples") or []
    if not found:
        return ""
    head = list(dict.fromkeys(key for sample in found for key in sample))
    return _table(Table(head, [[str(sample.get(key, "")) for key in head] for sample in found]), "worst")


def network(files: RunFiles) -> str:
    rows = files.layers
    if not rows:
        return ""
    described = files.section("network")
    inputs = tuple(described.get("inputs") or rows[0].inputs)
    drawing = svg(rows, str(described.get("name") or "network"), inputs)
    total = sum(r.parameters for r in rows)
    work = sum(r.multiply_adds or 0 for r in rows)
    sums = "".join(f'<td class="number">{words.grouped(n)}</td>' for n in (work, total))
    foot = f'<tfoot><tr><td colspan="6">total</td>{sums}</tr></tfoot>'
    return f'<div class="matrix">{drawing}</div><h3>Layers</h3>{_table(tables.layers(files), "layers", foot)}'


def reproduce(files: RunFiles) -> str:
    command = files.run.get("command")
    html = f"<pre><code>{escaped(command)}</code></pre>" if command else ""
    html += _titled("Environment", tables.environment(files))
    if files.recipe:
        recipe = f"<pre><code>{escaped(files.recipe)}</code></pre>"
        html += f"<details><summary>The recipe in full</summary>{recipe}</details>"
    return html


SECTIONS: dict[str, Callable[[RunFiles], str]] = {
    "Findings": findings,
    "Healing": healing,
    "Asked and chosen": chosen,
    "Data": data,
    "Learning curves": learning,
    "Metrics": measured,
    "Confusion matrix": confused,
    "Residuals": residuals,
    "Forecasts": forecasts,
    "Samples": samples,
    "Worst predictions": worst,
    "Network": network,
    "How to reproduce": reproduce,
}


def _table(table: Table, style: str, foot: str = "") -> str:
    if not table:
        return ""

    def cells(tag: str, row: list[str]) -> str:
        number = ' class="number"'
        return "".join(f"<{tag}{number if i in table.numeric else ''}>{escaped(c)}</{tag}>" for i, c in enumerate(row))

    rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    head = cells("th", table.head).replace("<th", '<th scope="col"')
    return (
        f'<div class="scroll" tabindex="0"><table class="{style}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody>{foot}</table></div>"
    )


def _titled(title: str, table: Table, style: str = "narrow") -> str:
    count = f" <span>{len(table.rows)}</span>" if len(table.rows) > LONG else ""
    return f"<div><h3>{title}{count}</h3>{_table(table, style)}</div>" if table else ""


def _captioned(title: str, note: str, figure: str) -> str:
    said = f" <span>{escaped(note)}</span>" if note else ""
    return f"<figure><figcaption>{escaped(title)}{said}</figcaption>{figure}</figure>"


def _course(part: str, values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{part} from {words.number(known[0])} to {words.number(known[-1])}." if known else ""


def _picture(prediction: dict[str, Any]) -> str:
    """The picture as an image element, if it is one."""
    try:
        content = base64.b64decode(prediction.get("picture") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        return ""
    if not content.startswith(b"\x89PNG"):
        return ""
    said = f"{prediction.get('row') or 'sample'}, {prediction.get('target')} taken for {prediction.get('prediction')}"
    return f'<img alt="{escaped(said)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _masks(prediction: dict[str, Any]) -> str:
    """The true mask and the predicted one."""
    masks = prediction.get("masks") or {}
    shown = {"target": "true", "prediction": "predicted"}
    return "".join(
        f'{_picture({"picture": masks.get(key), "row": f"{name} mask"})}<span class="note">{name}</span>'
        for key, name in shown.items()
        if key in masks
    )


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
