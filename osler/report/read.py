"""A run's folder, read for reporting: files that are not there yet leave their section out."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path, PurePath
from typing import Any

import osler.report.words as words
from osler.errors import InputError
from osler.records import Layer, Window


@dataclass(frozen=True)
class RunFiles:
    """What the files of a run say; what there is no file for is empty."""

    folder: Path
    recipe: str
    history: list[dict[str, Any]]  # one entry per epoch, in their order; null and non-finite values are left out
    run: dict[str, Any]
    evaluation: dict[str, Any]
    diagnosis: dict[str, Any]  # the doctor's: "findings", "not_examined", "curves"
    healing: dict[str, Any]  # "before", "after": metrics; "trials"

    @property
    def findings(self) -> list[dict[str, Any]]:
        return self.diagnosis.get("findings") or []

    def section(self, key: str) -> dict[str, Any]:
        return self.run.get(key) or {}

    @property
    def layers(self) -> list[Layer]:
        return [_layer(row) for row in self.section("network").get("layers") or []]

    @property
    def title(self) -> str:
        source = str(self.section("data").get("source") or "")
        network = str(self.section("network").get("name") or "network")
        # The folder tells more than the file in "titanic/train.csv".
        return f"{network} on {'/'.join(PurePath(source).parts[-2:])}" if source else network

    @property
    def status(self) -> str:
        return words.status(str(self.run.get("status") or "unfinished"), self.epochs)

    @property
    def epochs(self) -> int:
        return int(self.history[-1]["epoch"]) if self.history else 0

    @property
    def best_epoch(self) -> int | None:
        return self.run.get("best_epoch")

    @property
    def result(self) -> dict[str, Any]:
        """The final metrics: those of the evaluation, or what the run itself kept."""
        return self.evaluation.get("metrics") or self.section("metrics")

    def metrics_table(self) -> tuple[list[str], list[tuple[str, list[Any]]]]:
        """Columns and rows (name, one value per column): training and validation in the best epoch, then the result."""
        last = self.history[-1] if self.history else {}
        epoch = next((e for e in self.history if e["epoch"] == self.best_epoch), last)
        columns: dict[str, dict[str, Any]] = {}
        for part, ending in (("training", "/train"), ("validation", "/val")):
            columns[part] = {k.removesuffix(ending): v for k, v in epoch.items() if k.endswith(ending)}
        columns[self.evaluation.get("part") or "result"] = self.result
        columns = {part: values for part, values in columns.items() if values}
        names = dict.fromkeys(name for values in reversed(columns.values()) for name in values)
        return list(columns), [(name, [values.get(name) for values in columns.values()]) for name in names]


def read(folder: Path) -> RunFiles:
    """Reads the folder of a run; InputError where it is none, or where a file in it cannot be understood."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no run at {str(folder)!r}: there is no such folder; give the folder that training wrote")
    if not any((folder / name).is_file() for name in ("run.json", "metrics.jsonl", "recipe.yaml")):
        raise InputError(
            f"{str(folder)!r} is not the folder of a run: it has none of run.json, metrics.jsonl and recipe.yaml; "
            "give the folder that training wrote"
        )
    return RunFiles(
        folder=folder,
        recipe=_text(folder / "recipe.yaml"),
        history=_history(folder / "metrics.jsonl"),
        run=_json(folder / "run.json", dict),
        evaluation=_json(folder / "evaluation.json", dict),
        diagnosis=_json(folder / "findings.json", dict),
        healing=_json(folder / "healing.json", dict),
    )


def _layer(row: dict[str, Any]) -> Layer:
    """A row of a network's table; fields of other versions are left out."""
    known = {f.name for f in fields(Layer)}
    values = {k: _tuples(v) for k, v in row.items() if k in known}
    slid = row.get("window")
    window = Window(**{k: _tuples(v) for k, v in slid.items()}) if slid else None
    return Layer(**{**values, "window": window})


def _tuples(value: Any) -> Any:
    """Lists as tuples, within lists too."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error


def _json(path: Path, kind: type) -> Any:
    text = _text(path)
    if not text:
        return kind()
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not JSON ({error}); it is damaged: train or evaluate again") from error
    if not isinstance(value, kind):
        raise InputError(f"{str(path)!r} holds a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _history(path: Path) -> list[dict[str, Any]]:
    lines = [line for line in _text(path).split("\n") if line.strip()]
    epochs: dict[int, dict[str, Any]] = {}
    for i, line in enumerate(lines):
        try:
            row = json.loads(line)
            # An epoch that a resumed run went through again counts once.
            epochs[int(row["epoch"])] = {k: v for k, v in row.items() if _is_number(v)}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if i == len(lines) - 1:  # the run was killed while writing it
                break
            raise InputError(f"{str(path)!r}, entry {i + 1}, is not an epoch's metrics: {line[:60]!r}") from error
    return [epochs[epoch] for epoch in sorted(epochs)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
