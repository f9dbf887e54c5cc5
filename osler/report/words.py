"""How numbers, shapes and outcomes are said in a report."""

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

MAIN_METRICS = ("accuracy", "r2", "f1", "roc_auc", "rmse", "mae", "mse")  # the first one that was measured
UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # that XML does not allow
NAMES = {"r2": "R²", "rmse": "RMSE", "mse": "MSE", "mae": "MAE", "mape": "MAPE", "f1": "F1", "lr": "learning rate"}
NAMES |= {"mse_standardised": "MSE, standardised", "mae_standardised": "MAE, standardised"}
TASKS = {"binary": "binary classification", "multiclass": "classification", "multilabel": "multi-label classification"}
TASKS |= {"language": "a language model", "translation": "translation into"}


def escaped(value: Any) -> str:
    """The text as it may stand in HTML, SVG or a quoted attribute."""
    return html.escape(UNWRITABLE.sub("\ufffd", str(value)), quote=True)


def places(text: str) -> int:
    """How many letters wide it is: East Asian characters take two places."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def shortened(value: Any, most: int) -> str:
    """The text, or its beginning and "…", so that it is at most so many letters wide."""
    text = str(value)
    if places(text) <= most:
        return text
    text = text[:most]
    while places(text) > most - 1:
        text = text[:-1]
    return text + "…"


def grouped(number: int, gap: str = "\u202f") -> str:
    return f"{number:,}".replace(",", gap).replace("-", "−")


def number(value: Any) -> str:
    """Four significant digits, whole numbers in groups of three, "–" where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if isinstance(value, int) or 1e4 <= abs(value) < 1e12:
        return grouped(round(value))
    return f"{value:.4g}".replace("-", "−")


def metric(name: str, value: Any) -> str:
    if "accuracy" in name and isinstance(value, int | float) and 0 <= value <= 1:
        return f"{100 * value:.2f}\u202f%"
    return number(value)


def metric_name(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def main_metric(metrics: Mapping[str, Any]) -> str | None:
    """The one number that people want to see first."""
    others = [name for name in metrics if name != "loss"]
    return next((name for name in [*MAIN_METRICS, *others, "loss"] if metrics.get(name) is not None), None)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f}\u202fs"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u202fh {minutes:02d}\u202fmin" if hours else f"{minutes}\u202fmin {rest:02d}\u202fs"


def status(outcome: str, epochs: int) -> str:
    if not epochs:
        return f"{outcome} before the end of the first epoch" if outcome != "finished" else outcome
    if outcome == "finished":
        return f"finished after {counted(epochs, 'epoch')}"
    return f"{outcome} {'in' if outcome == 'diverged' else 'after'} epoch {epochs}"


def counted(count: int, thing: str) -> str:
    return f"{grouped(count)} {thing}{'' if count == 1 else 's'}"


def shape(sizes: Iterable[object]) -> str:
    return "×".join(map(str, sizes)) or "–"


def listed(names: Sequence[Any], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name) for name in names[:most]) + more


def purpose(task: Mapping[str, Any]) -> str:
    """What the network is for, in one sentence."""
    if not task:
        return ""
    names = listed(task.get("names") or [])
    kind = str(task.get("kind") or "")
    sentence = f"{TASKS.get(kind, kind)}{f' of {names}' if names else ''}"
    classes = task.get("classes") or []
    if classes:
        sentence += f": {listed(classes)}"
    return sentence[:1].upper() + sentence[1:] + "."


def said(value: Any) -> str:
    """Nested lists and dictionaries as one line of words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {said(v)}" for key, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value))
    return "" if value is None else number(value)
