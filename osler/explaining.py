"""`osler explain` and `osler dream`: a run's predictions explained row by row, its table's columns, its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from osler.data.columns import Presence
from osler.data.preprocess import ImageEncoder
from osler.data.rows import open_rows
from osler.data.table import TableEncoder
from osler.data.textencoder import TextEncoder
from osler.errors import InputError, unknown_name
from osler.explain.attribution import explain
from osler.explain.dependence import Dependence, partial_dependence
from osler.explain.dreaming import Dream, dream, maximise
from osler.explain.importance import Importance, permutation_importance
from osler.explain.layers import last_maps
from osler.explain.methods import METHODS
from osler.explain.specimen import Specimen
from osler.records import Attribution
from osler.report.words import number
from osler.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from osler.data.parts import Part

FOR_PICTURES = ("saliency", "integrated_gradients", "grad_cam", "occlusion")
FOR_TEXTS = ("integrated_gradients",)
FOR_TABLES = ("integrated_gradients", "shapley")
SHUFFLED, DRAWN = 1000, 300  # rows that importance and dependence are measured on
REPEATS = 5
CURVES = 6  # columns whose dependence is drawn
THE_HIGHER_THE_BETTER = ("accuracy", "r2", "f1", "roc_auc")


@dataclass(frozen=True)
class Sample:
    """One explained row: what it is called, what was predicted, and its values."""

    name: str
    prediction: Any
    scores: dict[str, float]  # probabilities by class, or predictions by target
    values: dict[str, Any] = field(default_factory=dict)  # of a table's columns
    picture: np.ndarray[Any, Any] | None = None  # (channels, height, width), uint8
    pieces: tuple[str, ...] = ()  # of a text


@dataclass(frozen=True)
class Explanation:
    """What was found out about some rows of a source, and about the columns of a table."""

    title: str
    outputs: tuple[str, ...]  # names of the scores
    samples: list[Sample]
    attributions: list[Attribution]
    columns: dict[str, list[int]] = field(default_factory=dict)  # of a table: where its numbers are
    importances: list[Importance] = field(default_factory=list)
    measure: str = ""  # what importance is a loss of
    dependences: list[Dependence] = field(default_factory=list)
    predicted: str = ""  # what dependence is about
    notes: list[str] = field(default_factory=list)

    def explained(self, attribution: Attribution, row: int) -> str:
        """The name of the explained score."""
        return self.outputs[attribution.target[row]]

    @property
    def by_name(self) -> bool:
        """Whether what is explained has names: columns, or the tokens of a text."""
        return bool(self.columns) or any(sample.pieces for sample in self.samples)

    def by_column(self, attribution: Attribution, row: int) -> dict[str, float]:
        """The values of one row, added up over the numbers that a column became; of a text those of its tokens."""
        values = attribution.values[row].double()
        if pieces := self.samples[row].pieces:
            counted = enumerate(zip(pieces, values.tolist()[: len(pieces)], strict=True), 1)
            return {f"{i} {piece}": value for i, (piece, value) in counted}
        return {name: float(values[places].sum()) for name, places in self.columns.items()}

    def record(self) -> dict[str, Any]:
        """Everything but pictures and their maps, as plain values."""
        return {
            "samples": [{"name": s.name, "prediction": s.prediction, "scores": s.scores} for s in self.samples],
            "methods": {
                a.method: {
                    "explained": [self.explained(a, i) for i in range(len(self.samples))],
                    "gap": None if a.gap is None else a.gap.tolist(),
                    "complete": a.complete,
                    "layer": a.layer or None,
                    "sanity": None if a.sanity is None else asdict(a.sanity),
                    **({"columns": [self.by_column(a, i) for i in range(len(self.samples))]} if self.by_name else {}),
                }
                for a in self.attributions
            },
            "importance": [asdict(i) for i in self.importances],
            "measure": self.measure or None,
            "notes": self.notes,
        }

    def text(self) -> str:
        """What is worth a line on a terminal."""
        lines = [f"{s.name}: {s.prediction}" for s in self.samples]
        for a in self.attributions:
            lines += ["", a.method.replace("_", " ") + (f" (layer {a.layer})" if a.layer else "")]
            lines += [f"  {a.sanity.verdict}"] if a.sanity else []
            lines += [f"  {completeness(a)}"] if a.gap is not None else []
            for i, sample in enumerate(self.samples if self.by_name else []):
                top = sorted(self.by_column(a, i).items(), key=lambda item: -abs(item[1]))[:4]
                said = ", ".join(f"{name} {number(value)}" for name, value in top)
                lines.append(f"  {sample.name}, for {self.explained(a, i)}: {said}")
        if self.importances:
            lines += ["", f"permutation importance (loss of {self.measure}, ± deviation over {REPEATS} shuffles)"]
            lines += [f"  {i.column}: {number(i.mean)} ± {number(i.std)}" for i in self.importances]
        return "\n".join(lines)


def completeness(attribution: Attribution) -> str:
    """Whether the values add up, as a sentence."""
    assert attribution.gap is not None
    worst = number(float(attribution.gap.abs().max()))
    if attribution.complete:
        return f"complete: the values add up to the difference from the baseline (off by at most {worst})"
    return f"not complete: the values miss the difference from the baseline by up to {worst}"


def explain_run(
    run: Run,
    source: Any,
    methods: Sequence[str] = (),
    target: str | None = None,
    first: int = 6,
    sanity: bool = True,
) -> Explanation:
    """Explains the predictions of a run for the first rows of a source, with one method or several.

    For tables also permutation importance, where the target is known, and partial dependence. Raises InputError for
    unknown methods and targets, and for data that does not fit the run.
    """
    for method in methods:
        METHODS.resolve(method)
    if first < 1:
        raise InputError(f"at least 1 row is explained, but got {first}")
    notes: list[str] = []
    task = run.objective.task
    if task.kind == "segmentation":
        raise InputError(
            "pages explain one score a picture, but masks have one for every pixel: osler.explain, with a module that "
            "sums up those of interest"
        )
    outputs = task.classes or task.names
    if target is not None and target not in outputs:
        raise unknown_name("target", target, outputs)
    if run.preprocess.kind == "audio":
        raise InputError(
            "pages show pictures and tables, but this run was trained on recordings: "
            "osler.explain(run, data) in Python gives the values"
        )
    if task.kind == "forecasting":
        raise InputError(f"{run.folder} forecasts a series, which no page explains: `osler forecast` says how well")
    part = open_rows(source, run.preprocess.kind, run.preprocess.shape, task.names, notes)
    inputs = run.encode(part.inputs[:first], notes)
    columns = _columns(run)
    pictures = isinstance(run.preprocess.inputs, ImageEncoder)
    if not pictures and inputs.dim() != 2:
        raise InputError(
            f"pages show pictures and tables, but this run takes {tuple(inputs.shape[1:])} per sample: "
            "osler.explain(run, data) in Python gives the values"
        )
    found: list[Attribution] = []
    texts = isinstance(run.preprocess.inputs, TextEncoder)
    for method in methods or (FOR_PICTURES if pictures else FOR_TEXTS if texts else FOR_TABLES):
        try:
            found.append(explain(run, inputs, method, target, sanity=sanity))
        except InputError as error:
            if methods:
                raise
            notes.append(f"{method} left out: {error}")
    explanation = Explanation(
        title=f"{run.record['network']['name']} on {run.record['data']['source']}",
        outputs=tuple(outputs),
        samples=_samples(run, part, len(inputs)),
        attributions=found,
        columns=columns,
        notes=notes,
    )
    return explanation if not isinstance(run.preprocess.inputs, TableEncoder) else _with_columns(run, part, explanation)


def _columns(run: Run) -> dict[str, list[int]]:
    """The columns of the user's table, with the places of the numbers that they became."""
    if isinstance(run.preprocess.inputs, ImageEncoder | TextEncoder):
        return {}
    if not isinstance(run.preprocess.inputs, TableEncoder):
        return {f"input {i + 1}": [i] for i in range(run.preprocess.shape[-1])}
    columns: dict[str, list[int]] = {}
    start = 0
    for column in run.preprocess.inputs.columns:
        width = len(column.features())
        columns[column.name] = list(range(start, start + width))
        start += width
    return columns


def _samples(run: Run, part: Part, count: int) -> list[Sample]:
    predicted = run.predict(part.inputs[:count])
    names = list(map(str, predicted.columns))
    scores = [c for c in names if c.startswith("p(")] or [c for c in names if c.startswith("prediction")]
    samples = []
    for i in range(count):
        row = predicted.iloc[i]
        name = Path(part.row(i)).name if part.rows and isinstance(part.inputs, Tensor) else f"row {i + 1}"
        values: dict[str, Any] = {}
        picture = None
        if isinstance(part.inputs, Tensor):
            picture = part.inputs[i].numpy()
        elif hasattr(part.inputs, "columns"):
            values = {str(key): value for key, value in part.inputs.iloc[i].items()}
        else:
            values = {f"input {j + 1}": float(value) for j, value in enumerate(part.inputs[i])}
        shown = {c.removeprefix("p(").removesuffix(")") if c.startswith("p(") else c: float(row[c]) for c in scores}
        encoder = run.preprocess.inputs
        pieces = tuple(encoder.pieces(encoder.text(part.inputs, i))) if isinstance(encoder, TextEncoder) else ()
        samples.append(Sample(name, row.get("prediction", ""), shown, values, picture, pieces))
    return samples


def _with_columns(run: Run, part: Part, explanation: Explanation) -> Explanation:
    """Adds what the columns are worth on the rows of the source, at most 1,000 of them."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(part))[:SHUFFLED])
    part = part.with_target(run.objective.task.names[0]).take(chosen)
    table, targets = part.inputs, part.targets
    columns = list(explanation.columns)
    importances: list[Importance] = []
    measure = ""
    if targets is None or len(table) < 2:
        explanation.notes.append("permutation importance left out: it needs at least 2 rows whose target is known")
    else:
        known = run.evaluate((table, targets))
        measure = next((m for m in THE_HIGHER_THE_BETTER if m in known), "loss")
        sign = -1 if measure == "loss" else 1
        importances = permutation_importance(
            lambda changed: sign * run.evaluate((changed, targets))[measure], table, columns, repeats=REPEATS
        )
        columns = [importance.column for importance in importances]
    some = table.iloc[:DRAWN]
    classes = run.objective.task.classes
    asked = explanation.outputs[explanation.attributions[0].target[0]] if len(classes) != 2 else classes[1]
    predicted = f"p({asked})" if classes else "prediction" if len(explanation.outputs) == 1 else f"prediction {asked}"

    def predict(changed: pd.DataFrame) -> np.ndarray[Any, Any]:
        return run.predict(changed)[predicted].to_numpy()

    assert isinstance(run.preprocess.inputs, TableEncoder)
    unread = {c.name for c in run.preprocess.inputs.columns if isinstance(c, Presence)}
    drawn = [c for c in columns if c not in unread and some[c].notna().any()][:CURVES]
    curves = [partial_dependence(predict, some, c) for c in drawn]
    return replace(explanation, importances=importances, measure=measure, dependences=curves, predicted=predicted)


def dream_run(
    run: Run, picture: str | Path | None, layer: str | None = None, steps: int | None = None, octaves: int = 4
) -> tuple[Dream, np.ndarray[Any, Any]]:
    """What a layer of a run trained on pictures wants to see, in a picture or in noise; and the pixels (H, W, C).

    `layer` as for `osler.explain.dream`; by default the last one that gives maps. Raises InputError for other runs.
    """
    encoder = run.preprocess.inputs
    if not isinstance(encoder, ImageEncoder):
        raise InputError(f"only a run trained on pictures can dream, but this one was trained on {run.preprocess.kind}")
    low, high = (encoder.transform()(torch.full((1, encoder.shape[0], 1, 1), value)) for value in (0.0, 255.0))
    how: dict[str, Any] = {"bounds": (low, high)} | ({} if steps is None else {"steps": steps})
    inputs = torch.zeros(1, *encoder.shape) if picture is None else run.encode(picture)[:1]
    layer = layer or last_maps(Specimen(run.model), (inputs,))
    found = (
        maximise(run, layer, encoder.shape, **how)
        if picture is None
        else dream(run, inputs, layer, octaves=octaves, **how)
    )
    share = (found.picture.cpu()[0] - low[0]) / (high[0] - low[0])
    return found, (share * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
