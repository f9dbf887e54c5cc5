"""A run: a trained network with all that belongs to it, in a folder."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_model
from torch import Tensor, nn

from osler.build import Supervised, build_model, build_objective, plain_batches
from osler.data.audio import Sound
from osler.data.audioencoder import AudioEncoder
from osler.data.batches import Dataset
from osler.data.pairencoder import PairEncoder
from osler.data.parts import Part
from osler.data.preprocess import Preprocess
from osler.data.rows import open_rows
from osler.data.seriesencoder import SeriesEncoder
from osler.errors import InputError
from osler.folder import FINDINGS, MARK, read_json
from osler.forecasting import backtest, forecast, read, standardised, windows
from osler.objectives.objective import forward
from osler.recipe import Recipe
from osler.training.meter import evaluate
from osler.translating import BEAM, write

if TYPE_CHECKING:
    import pandas as pd

    from osler.doctor.diagnosis import Diagnosis


def load(folder: str | Path, model: nn.Module | None = None) -> Run:
    """The run in a folder, ready to predict: the same numbers as when it was trained.

    `model`: needed for a run of one's own network, which a folder cannot build: a new one of the same architecture.
    Raises InputError for a folder that is no run, or is damaged.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"no such run folder: {str(place)!r}")
    record = read_json(place / MARK)
    if record["status"] in ("training", "terminated"):
        raise InputError(f"{place} is not finished: `osler resume {place}` goes on with it")
    recipe = Recipe.read(place / "recipe.yaml")
    preprocess = Preprocess.from_json(read_json(place / "preprocess.json"))
    if recipe.loss is None or (recipe.model is None and not record["network"]["own"]):
        raise InputError(f"{place / 'recipe.yaml'} is damaged: a run's recipe names its model and its loss")
    if model is None:
        if record["network"]["own"]:
            raise InputError(
                f"{place} was trained with your own network ({record['network']['name']}): "
                "give a new one of the same architecture, osler.load(folder, model=…)"
            )
        model = build_model(recipe, preprocess)
    weights = place / "model.safetensors"
    try:
        load_model(model, str(weights))
    except FileNotFoundError:
        raise InputError(f"{place} is not a complete run: it has no model.safetensors") from None
    except Exception as error:  # safetensors has an exception of its own for each kind of damage
        raise InputError(f"{weights} does not fit the network ({' '.join(str(error).split())[:300]})") from None
    if recipe.device and recipe.device != "cpu" and not torch.cuda.is_available():
        recipe = recipe.model_copy(update={"device": "cpu"})  # trained elsewhere
    return Run(place, recipe, preprocess, model.to(recipe.device or "cpu"))


def findings_in(folder: Path) -> Diagnosis:
    """What the doctor found in the run of a folder. Raises InputError where none watched, or the file is damaged."""
    from osler.doctor.diagnosis import Diagnosis

    read_json(folder / MARK)
    if not (folder / FINDINGS).exists():
        raise InputError(f"no doctor watched {folder}: train it again, without --no-doctor")
    try:
        return Diagnosis.from_record(read_json(folder / FINDINGS))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{folder / FINDINGS} is damaged ({type(error).__name__}: {error})") from None


class Run:
    """A trained network with all that belongs to it, kept in a folder.

    `model`: the network (a plain module, in evaluation mode); `recipe`; `folder`; `metrics`: on the held-out part;
    `history`: a DataFrame, one row an epoch; `status`: "finished", "stopped early", "interrupted" or "diverged".
    """

    def __init__(self, folder: Path, recipe: Recipe, preprocess: Preprocess, model: nn.Module):
        self.folder = folder
        self.recipe = recipe
        self.preprocess = preprocess
        self.model = model.eval()
        self.objective: Supervised = build_objective(recipe, preprocess)

    @property
    def record(self) -> dict[str, Any]:
        """What run.json holds."""
        return read_json(self.folder / MARK)

    @property
    def judged(self) -> dict[str, Any]:
        """What evaluation.json holds: confusions or residuals, and the worst predictions."""
        return read_json(self.folder / "evaluation.json")

    @property
    def status(self) -> str:
        return str(self.record["status"])

    @property
    def metrics(self) -> dict[str, float]:
        """Loss and metrics on the held-out part."""
        return {name: math.nan if value is None else value for name, value in self.record["metrics"].items()}

    @property
    def findings(self) -> Diagnosis:
        """What the doctor found, causes first: a sequence of Finding that prints as text. Empty where none watched."""
        from osler.doctor.diagnosis import Diagnosis

        return findings_in(self.folder) if (self.folder / FINDINGS).exists() else Diagnosis([])

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: epoch, step, loss/train, loss/val, metrics, lr, seconds."""
        import pandas as pd

        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([json.loads(line) for line in lines])

    def predict(self, data: object, notes: list[str] | None = None) -> pd.DataFrame:
        """Predictions for new rows, one row each: `prediction` (one column per target if there are several).

        Of a series: what comes after its end, one row a step (see `forecast`).
        Classification adds `probability` (of the predicted class) and one `p(class)` for each; pictures and recordings
        a `file`.
        Translations are written with a beam of 5.
        `data`: what `train` takes, with or without the target; columns in any order. What was odd goes to `notes`.
        """
        import pandas as pd

        if self.preprocess.kind == "series":
            return forecast(self, data, notes=notes)
        notes = [] if notes is None else notes
        part, encoded = self._encoded(data, notes)
        if isinstance(pairs := self.preprocess.inputs, PairEncoder):
            sources = encoded.inputs[:, : pairs.lengths[0]]
            with threads(self.recipe.threads):
                return pd.DataFrame({"prediction": write(self.model, pairs, sources, BEAM)[0]})
        with threads(self.recipe.threads), torch.inference_mode():
            outputs = [
                forward(self.model, b.inputs) for b in plain_batches(self.preprocess, encoded, self.recipe.device)
            ]
        frame = pd.DataFrame(self.objective.columns(torch.cat(outputs).float().cpu()))
        if self.preprocess.kind in ("images", "audio") and part.rows:
            frame.insert(0, "file", list(part.rows))
        return frame

    def evaluate(self, data: object, notes: list[str] | None = None) -> dict[str, float]:
        """Loss and metrics on rows whose target is known. Raises InputError where it is not."""
        notes = [] if notes is None else notes
        part = self._read(data, notes)
        if part.targets is None and self.preprocess.kind != "corpus":  # whose targets are in the text
            names = ", ".join(map(repr, self.objective.task.names))
            raise InputError(f"nothing to compare with: the data has no target {names}")
        encoded = self.preprocess.encode(part, notes)
        with threads(self.recipe.threads):
            measured = evaluate(self.model, self.objective, plain_batches(self.preprocess, encoded, self.recipe.device))
            return measured | (standardised(backtest(self, data)) if self.preprocess.kind == "series" else {})

    def encode(self, data: object, notes: list[str] | None = None) -> Tensor:
        """New rows as the network takes them, all at once: (N, …). `data` and `notes` as for `predict`."""
        _, encoded = self._encoded(data, [] if notes is None else notes)
        return torch.cat([b.inputs for b in plain_batches(self.preprocess, encoded, self.recipe.device)])

    def _encoded(self, data: object, notes: list[str]) -> tuple[Part, Dataset]:
        part = replace(self._read(data, notes), targets=None)  # whatever they are, they are not asked for
        return part, self.preprocess.encode(part, notes)

    def forecast(self, data: object = None, steps: int | None = None, notes: list[str] | None = None) -> pd.DataFrame:
        """What comes after the end of the series (or of `data`), a row each step: its time and `prediction`."""
        return forecast(self, data, steps, notes)

    def _read(self, data: object, notes: list[str]) -> Part:
        names, inputs = self.objective.task.names, self.preprocess.inputs
        if isinstance(inputs, SeriesEncoder):
            return windows(inputs, read(inputs, data, notes))
        sound = Sound(self.recipe.label_pattern, inputs.rate) if isinstance(inputs, AudioEncoder) else None
        return open_rows(data, self.preprocess.kind, self.preprocess.shape, names, notes, sound)

    def report(self) -> Path:
        """Writes report.html into the run folder."""
        from osler.report import write_report

        return write_report(self.folder)

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return f"Run({str(self.folder)!r}: {self.record['network']['name']}, {self.status}; held out: {numbers})"

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(f"<tr><th>{escape(k)}</th><td>{v:.4g}</td></tr>" for k, v in self.metrics.items())
        title = escape(f"{self.record['network']['name']} on {self.record['data']['source']}, {self.status}")
        return f"<b>{title}</b><table>{rows}</table><small>{escape(str(self.folder))}</small>"


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """As many processor threads as the recipe says: their number changes speed, and the last bits of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
