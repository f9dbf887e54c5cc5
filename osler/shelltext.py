"""Text that goes into shell commands and comes out of them: values, settings, shapes; lists, JSON, notes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from osler.errors import InputError
from osler.folder import finite

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text


def value(text: str | None) -> Any:
    """A value as YAML reads it: 3, 0.1, true, [64, 32], or text."""
    import yaml

    from osler.yamltext import read_value

    try:
        return None if text is None else read_value(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def assignments(settings: list[str]) -> dict[str, Any]:
    """What several KEY=VALUE say."""
    assigned = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise InputError(f"--set takes KEY=VALUE, like optimizer.lr=0.01, but got {setting!r}")
        assigned[key] = value(text)
    return assigned


def sample_shape(text: str) -> tuple[int, ...]:
    """The numbers of 1,32,32 or 1x32x32."""
    parts = text.replace("x", ",").replace("×", ",").split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--inputs takes the shape of one sample, like 1,32,32, but got {text!r}")
    return tuple(int(part) for part in parts)


def print_registry(registry: Any, as_json: bool, behind: Mapping[str, str] | None = None) -> None:
    """Names with the first lines of their descriptions; `behind`: what some of them have more, for people."""
    if as_json:
        print_json({name: registry.summary(name) for name in registry})
        return
    width = max(map(len, registry))
    for name in registry:
        typer.echo(f"{name:<{width}}  {registry.summary(name)}{(behind or {}).get(name, '')}")


def brief(record: dict[str, Any]) -> dict[str, Any]:
    """What a script wants to know of a run."""
    return {
        "status": record["status"],
        "metrics": record["metrics"],
        **({"baselines": record["baselines"]} if "baselines" in record else {}),
        "epochs": record["epochs"],
        "best_epoch": record["best_epoch"],
        "seconds": record["seconds"],
        "task": record["task"]["kind"],
        "model": record["network"]["name"],
        "parameters": record["network"]["parameters"],
        "notes": record["data"]["notes"],
    }


def print_speed(record: dict[str, Any], engine: dict[str, Any]) -> None:
    """What was tried to make the steps of a run faster, and how they were computed in the end."""
    typer.echo("\nSpeed")
    for tried in record["speed"]:
        before, after, why = tried["before"], tried["after"], tried["why"]
        times = f"{before:.3g} → {after:.3g} ms a step ({before / after:.2f} x)" if after else "does not run here"
        verdict = "taken" if tried["taken"] else "left"
        typer.echo(f"  {tried['what']:<24} {times}, {verdict}{why and f': {why}'}")
    if not record["speed"]:
        typer.echo("  nothing was tried: there is too little left to train to repay it, or all was asked for")
    settings = ", ".join(f"{name}={value}" for name, value in engine.items())
    typer.echo(f"  computed with {settings}, threads={record['environment']['threads']}")
    typer.echo("  any of them can be set: --set engine.precision=float32")


def print_text(text: Text) -> None:
    """Styled on a terminal, plain elsewhere."""
    from rich.console import Console

    Console(soft_wrap=True, highlight=False).print(text)


def print_json(record: dict[str, Any]) -> None:
    """JSON that any reader takes: numbers that are not finite become null."""
    typer.echo(json.dumps(finite(record), indent=1, ensure_ascii=False, allow_nan=False))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for JSON, times as text."""
    times = {name: str for name in frame.columns if frame[name].dtype.kind == "M"}
    return [{str(name): value for name, value in row.items()} for row in frame.astype(times).to_dict("records")]


def print_notes(notes: list[str]) -> None:
    """On standard error, beside what a command gives."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)
