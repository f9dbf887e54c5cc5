"""The main job: recipe → data → model → training → evaluation → run folder. Here, and only here, the parts meet."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import platform
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file, save_model
from torch import nn

from osler import __version__, generating, translating
from osler.advice import Facts, advise, outlying
from osler.build import (
    balanced,
    build_model,
    build_objective,
    build_penalty,
    build_trainer,
    fit,
    learning_batches,
    plain_batches,
    range_test,
    with_engine,
    with_known_names,
)
from osler.checkup import Checkup
from osler.data.audio import Sound
from osler.data.batches import Dataset
from osler.data.corpus import CorpusEncoder
from osler.data.pairencoder import PairEncoder
from osler.data.prepare import Prepared, prepare
from osler.data.rowfiles import StreamedDataset
from osler.data.seriesencoder import SeriesEncoder
from osler.data.seriessource import open_series
from osler.data.sources import open_source
from osler.data.textencoder import TextEncoder
from osler.errors import InputError
from osler.evaluation import judge
from osler.folder import CHECKPOINTS, MARK, SERIES, free_name, new_folder, read_json, write_json, write_text
from osler.heal import HEALING
from osler.heal import heal as healing
from osler.nn.trace import layers
from osler.objectives.backtest import baselines
from osler.optim.depth import shares
from osler.published import fetch, find, of_file
from osler.recipe import Named, Recipe
from osler.records import Choice, Trial
from osler.run import Run, threads
from osler.show.range_test import range_svg, range_text
from osler.telling import Telling
from osler.training.callbacks.callback import Callback
from osler.training.checkpoint import CheckpointFolder
from osler.training.distributed import joined, local_count, processes_on, restarted
from osler.training.learning_rate_range import RangeTest
from osler.training.processes import Processes
from osler.training.sharded import is_sharded, whole_weights, with_shards
from osler.weights import Weights, architecture_of, load_weights, read_weights

PUBLISHED_SIZE = 224  # of pictures whose sizes differ, for weights that say no other
READ_FRAMES = ("elman", "lstm", "gru", "conv1d", "transformer")  # networks that take sequences of numbers
UNFINISHED = ("training", "terminated", "interrupted")


def train(
    source: object = None,
    *,
    model: nn.Module | str | dict[str, Any] | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    verbose: bool = True,
    find_lr: bool = False,
    doctor: bool = True,
    heal: bool = False,
    trials: int = 5,
    **settings: Any,
) -> Run:
    """Trains a network on a source, says what was chosen and why, and keeps everything in a run folder.

    `source`: an embedded data set, a file or folder, a DataFrame, or a pair (inputs, targets); default: the recipe's.
    `model`: a name, or any `nn.Module` of one's own. `settings`: fields of the recipe (`target`, `epochs`, `seed`,
    `lr` …); what is left out is chosen from the data. `recipe`: a recipe or its file, overruled by `settings`.
    `out`: the run folder (default: a new one in ./runs). `find_lr`: a learning-rate range test comes first, and its
    suggestion is the learning rate. `doctor`: whether the doctor watches (`run.findings`), which changes no weight.
    `heal`: the doctor's cures are then tried, in at most so many `trials`, and kept where validation improves.
    Ctrl-C ends training and keeps the best weights so far.
    Raises InputError for whatever cannot be used.

        >>> run = osler.train("iris", epochs=20)  # doctest: +SKIP
        >>> run.metrics["accuracy"]  # doctest: +SKIP
        0.9666666666666667
    """
    own = model if isinstance(model, nn.Module) else None
    base = recipe if isinstance(recipe, Recipe) or recipe is None else Recipe.read(recipe)
    named = {"source": str(source)} if isinstance(source, str | Path) else {}
    the_recipe = Recipe.build({**settings, **named, "model": model if own is None else None}, base)
    source = the_recipe.source if source is None else source
    if source is None:
        raise InputError("nothing to train on: give a source (a data set's name, a file, a folder, arrays)")
    the_recipe = with_known_names(the_recipe)
    with joined(alone_too=_sharding(the_recipe)):
        together = processes_on(torch.device("cpu"))
        if find_lr and together.count > 1:
            raise InputError("the learning-rate range test is for one process: run it first, then give its lr")
        if heal and (together.count > 1 or not doctor):
            raise InputError("healing is for one process, with its doctor" if doctor else "no healing without a doctor")
        if trials < 1:
            raise InputError(f"trials must be at least 1 training, but got {trials}")
        untrained = copy.deepcopy(own) if heal else own
        if out is not None and together.first(restarted() and _unfinished(Path(out))):
            return _resume(Path(out), source, own, verbose)
        telling = Telling(silent=not verbose or together.rank > 0)
        place = together.first(Path(out) if out is not None else free_name(Path("runs"), _stem(source)))
        cache = place.absolute().parent
        with new_folder(place) if together.rank == 0 else contextlib.nullcontext(None) as folder:
            work, show = (folder.path, folder.show) if folder else (place, None)
            run = _train(source, the_recipe, own, work, telling, cache, show=show, find_lr=find_lr, doctor=doctor)
        run.folder = place
        run = _reported(run, telling)
    return _healed(run, source, the_recipe, untrained, telling, trials) if heal else run


def _healed(run: Run, source: object, recipe: Recipe, own: nn.Module | None, telling: Telling, trials: int) -> Run:
    """The run after the cures that helped; what was tried stands in its folder."""
    place, best, before = run.folder.absolute(), run, run.metrics
    tried: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as beside:

        def again(changed: Recipe) -> Run:
            out = Path(beside) / str(len(tried))
            return train(source, model=copy.deepcopy(own), recipe=changed, out=out, verbose=False)

        for trial, better in healing(run, recipe, again, trials):
            best = better
            tried.append(trial)
            telling.trial(trial)
        if best is not run:
            with new_folder(place) as folder:
                shutil.copytree(best.folder, folder.path, dirs_exist_ok=True)
            best.folder = run.folder
    write_json(place / HEALING, {"before": before, "after": best.metrics, "trials": [asdict(t) for t in tried]})
    best.report()
    if best is not run:
        telling.result(best)
    elif tried:
        telling.note("no cure improved validation: the run stays as it was")
    return best


def resume(folder: str | Path, source: object = None, *, model: nn.Module | None = None, verbose: bool = True) -> Run:
    """Goes on with a run that was killed or interrupted, from its last whole checkpoint: the same weights, bit for bit.

    `source`, `model`: needed where they came from memory, which a folder cannot keep; they must be the same again.
    Raises InputError for a run that is finished, a folder that is none, and data that have changed.
    """
    place = Path(folder).absolute()
    read_json(place / MARK)
    with joined(alone_too=_sharding(Recipe.read(place / "recipe.yaml"))):
        return _resume(place, source, model, verbose)


def _resume(place: Path, source: object, model: nn.Module | None, verbose: bool) -> Run:
    record = read_json(place / MARK)
    if record["status"] not in UNFINISHED:
        raise InputError(f"{place} is {record['status']}: there is nothing left to do")
    recipe = Recipe.read(place / "recipe.yaml")
    if model is None and record["network"]["own"]:
        raise InputError(
            f"{place} trains your own network ({record['network']['name']}): give a new one of the same architecture, "
            "osler.resume(folder, model=…)"
        )
    source = recipe.source if source is None else source
    if source is None:
        raise InputError(f"{place} learns from data in memory: give them again, osler.resume(folder, source=…)")
    telling = Telling(silent=not verbose or processes_on(torch.device("cpu")).rank > 0)
    telling.resuming(place)
    return _reported(_train(source, recipe, model, place, telling, place.parent, begun=record), telling)


def _reported(run: Run, telling: Telling) -> Run:
    """The run with its report, which the first process writes while the others wait."""
    together = processes_on(torch.device("cpu"))
    if together.rank == 0:
        run.report()
        telling.result(run)
    together.first(None)
    return run


def _unfinished(place: Path) -> bool:
    return (place / MARK).exists() and read_json(place / MARK)["status"] in UNFINISHED


def _opened(source: object, recipe: Recipe, usual_size: int | None) -> Any:
    """The source, as a series where a forecast is asked for."""
    if recipe.task == "forecasting" or recipe.horizon:
        if recipe.task not in (None, "forecasting"):
            raise InputError(f"horizon {recipe.horizon} is for forecasting, but the task asked for is {recipe.task!r}")
        return open_series(source, recipe.target, recipe.time, recipe.drop)
    for field in ("window", "parts", "instance"):
        if getattr(recipe, field) is not None:
            raise InputError(f"{field} is for forecasting: say --task forecasting, or a horizon, or leave it out")
    sound = Sound(recipe.label_pattern, recipe.sample_rate)
    return open_source(source, recipe.target, recipe.image_size, usual_size=usual_size, sound=sound, task=recipe.task)


def _sharding(recipe: Recipe) -> bool:
    return recipe.engine is not None and recipe.engine.sharding


def _train(
    source: object,
    recipe: Recipe,
    own: nn.Module | None,
    work: Path,
    telling: Telling,
    cache: Path,
    *,
    show: Callable[[], Path] | None = None,
    begun: dict[str, Any] | None = None,
    find_lr: bool = False,
    doctor: bool = True,
) -> Run:
    """One run from beginning to end, written into the folder `work`, which `show` moves to its place.

    `begun`: the record of a run that was interrupted, to go on with. `cache`: where data larger than memory is encoded.
    Of several processes all do the same, each with its part of every batch; the first one writes.
    """
    started = time.perf_counter()
    together = processes_on(torch.device("cpu"))
    mine = {"rank": together.rank, "processes": together.count}
    state = _last_state(work, recipe, telling, together) if begun else None
    recipe, published, usual_size = _begin_with(recipe, own, telling, together, read=not state)
    found = _opened(source, recipe, usual_size)
    _refuse_audio_fields(recipe, found.kind, found.where)
    if recipe.source and Path(recipe.source).expanduser().exists():
        recipe = recipe.model_copy(update={"source": str(Path(recipe.source).expanduser().resolve())})
    notes = list(found.notes)
    scale = own is None if recipe.scale is None else recipe.scale
    columns = {"group": recipe.group, "time": recipe.time, "weight": recipe.weight, "drop": recipe.drop}
    texts = {"tokens": recipe.tokens and recipe.tokens.model_dump(), "length": recipe.length}
    sounds = {"features": recipe.features and recipe.features.model_dump(), "seconds": recipe.seconds}
    ahead = {"horizon": recipe.horizon, "window": recipe.window, "sizes": recipe.parts}
    how: dict[str, Any] = {
        "task": recipe.task,
        "scale": scale,
        "seed": recipe.seed,
        "cache": cache,
        "test": recipe.test,
    }
    data = prepare(found, notes, **how, **columns, **texts, **sounds, **ahead)  # type: ignore[arg-type]
    if recipe.augment and found.kind not in ("images", "audio"):
        raise InputError(
            f"augment changes pictures, but {found.where} is a source of kind {found.kind!r}: leave it out"
        )
    print_of_data = fingerprint(data.parts["train"])
    if begun and begun["fingerprint"] != print_of_data:
        raise InputError(f"{found.where} has changed since {work} began: training cannot go on with other data")
    telling.data(found.where, notes)
    threads_asked = recipe.threads is not None
    recipe, choices = advise(recipe, _facts(data, own, published))
    if recipe.pixels not in (None, "data"):
        data = data.as_published(recipe.pixels)
    if found.kind == "audio" and recipe.model is not None and recipe.model.name in READ_FRAMES:
        data = data.as_frames()
    if begun:
        choices = [Choice(**choice) for choice in begun["choices"]]
    if recipe.class_weights == "balanced":
        counts = data.class_counts("train")
        if counts is None:
            raise InputError(f"class_weights=balanced is for classes, but this is a task of {data.task.kind}")
        recipe = recipe.model_copy(update={"class_weights": balanced(data.task.classes, counts)})

    with threads(recipe.threads):
        torch.manual_seed(recipe.seed)
        network = build_model(recipe, data.preprocess) if own is None else own
        if published is not None:
            new = load_weights(network, published, data.task.outputs)
            head = f"; new, for {data.task.outputs} outputs: {', '.join(new)}" if new else ""
            telling.note(f"begins with the weights of {Path(published.where).name}{head}")
        objective = build_objective(recipe, data.preprocess)
        table = _layer_table(network, data)
        objective.penalty = penalty = build_penalty(recipe)
        watching = contextlib.nullcontext if penalty is None else lambda: penalty.watch(network)
        if find_lr:
            with watching():
                batches = learning_batches(recipe, data.preprocess, data.parts["train"])
                rates = range_test(recipe, network, objective, batches)
            recipe, choices = _with_found_rate(rates, recipe, choices, work, telling)
        if recipe.layer_decay and not begun:
            told = shares(network, recipe.layer_decay)
            choices = [replace(c, why=f"{c.why}; shares: {told}") if c.what == "layer decay" else c for c in choices]
        telling.choices(choices)
        record: dict[str, Any] = {
            "osler": __version__,
            "status": "training",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": _command(recipe, own),
            "fingerprint": print_of_data,
            "task": asdict(data.task),
            "data": _described(found.where, data, notes),
            "choices": [asdict(choice) for choice in choices],
            "network": {
                "name": recipe.model.name if own is None and recipe.model else type(network).__name__,
                "own": own is not None,
                "inputs": list(data.preprocess.shape),
                "layers": table,
                "parameters": sum(p.numel() for p in network.parameters()),
            },
            "environment": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "threads": recipe.threads,
                "device": recipe.device,
                "processes": together.count,
            },
        }
        if together.rank == 0:
            # From here on the run can be resumed, whatever happens.
            write_text(work / "recipe.yaml", recipe.to_yaml())
            write_json(work / "preprocess.json", data.preprocess.to_json())
            if found.kind == "series":
                write_json(work / SERIES, found.parts["all"].inputs.end(data.preprocess.shape[0]))
            write_json(work / MARK, record)
            work = show() if show else work
        else:
            torch.manual_seed(recipe.seed + together.rank)  # dropout differs; the weights are those of the first
        work = together.first(work)

        trainer, stopping = build_trainer(recipe, network, objective, work, telling.console, threads_asked)
        watched = doctor and together.rank == 0 and not is_sharded(network)  # weights in shards are on many machines
        checkup = Checkup(trainer, objective, data) if watched else None
        trainer.callbacks.insert(0, checkup or Callback())
        if state:
            trainer.load_state_dict(state)
        with watching():
            train_batches = learning_batches(recipe, data.preprocess, data.parts["train"], **mine)
            validation = plain_batches(data.preprocess, data.parts["validation"], recipe.device, **mine)
            fit(trainer, recipe, train_batches, validation)
        record["status"] = trainer.status
        if trainer.status == "terminated":
            if together.rank == 0:
                write_json(work / MARK, record)
            telling.note(f"told to end: the state is saved, `osler resume {work}` goes on")
            raise SystemExit(128 + signal.SIGTERM)
        # All of it in each process: nobody has to wait, and a network in shards needs all of them.
        held_out = plain_batches(data.preprocess, data.parts["test"], recipe.device)
        series = data.preprocess.inputs if isinstance(data.preprocess.inputs, SeriesEncoder) else None
        judged = judge(network, objective, held_out, data.raw["test"], series)
        judged = _with_samples(judged, network, data, recipe.seed)
        if checkup is not None:
            checkup.finish(work)

    recipe = with_engine(recipe, trainer.engine)
    weights = whole_weights(network) if is_sharded(network) else {}
    if together.rank > 0:
        together.first(None)  # until the first one has written
        return Run(work, recipe, data.preprocess, network)
    write_text(work / "recipe.yaml", recipe.to_yaml())
    if weights:
        save_file(weights, work / "model.safetensors")
    else:
        save_model(network, str(work / "model.safetensors"))
    write_json(work / "evaluation.json", {"part": "test", **judged})
    record |= {
        "reason": trainer.stop_reason,
        "seconds": time.perf_counter() - started,
        "training_seconds": sum(row["seconds"] for row in trainer.history),
        "epochs": trainer.epoch,
        "best_epoch": stopping.best_epoch,
        "notes": trainer.notes,
        "speed": [asdict(measured) for measured in trainer.speed],
        "metrics": judged["metrics"],
    }
    if "backtest" in judged:
        record["baselines"] = baselines(judged["backtest"])
    record["environment"]["threads"] = recipe.threads
    write_json(work / MARK, record)
    together.first(None)
    return Run(work, recipe, data.preprocess, network)


def _last_state(work: Path, recipe: Recipe, telling: Telling, together: Processes) -> dict[str, Any] | None:
    """What the run's last whole checkpoint holds."""
    saved = CheckpointFolder(work / CHECKPOINTS, tell=telling.note)
    state = together.first(saved.latest() if together.rank == 0 else None)
    if state and "shards" in state:
        state = with_shards(state, saved.place / state["shards"], torch.device(recipe.device or "cpu"))
    telling.note(f"from step {state['step']}" if state else "there is no checkpoint yet: from the beginning")
    return state


def _begin_with(
    recipe: Recipe, own: nn.Module | None, telling: Telling, together: Processes, read: bool
) -> tuple[Recipe, Weights | None, int | None]:
    """The recipe that keeps which weights are begun with; these, if they are to be `read`; the side of their pictures.

    A run that goes on from a checkpoint reads none, for that has newer ones.
    """
    if not recipe.weights:
        return recipe, None, None
    model = recipe.model.name if own is None and recipe.model is not None else ""
    entry = find(recipe.weights, model)
    if entry is None:
        known = of_file(recipe.weights)
        weights = read_weights(recipe.weights) if read else None
        kept = {"weights": str(Path(weights.where).resolve())} if weights is not None else {}
        return recipe.model_copy(update=kept), weights, PUBLISHED_SIZE if known is None else known.size
    recipe = recipe.model_copy(update={"weights": entry.model})
    if model and recipe.model is not None:
        form = {**entry.options, **recipe.model.model_dump()}
        recipe = recipe.model_copy(update={"model": Named.model_validate(form)})
    if not read:
        return recipe, None, entry.size
    if together.rank == 0:
        with telling.downloading() as bar:
            fetch(entry, telling.note, bar)
    together.first(None)  # the others of this machine find it in the cache
    return recipe, read_weights(fetch(entry)), entry.size


def _with_found_rate(
    found: RangeTest, recipe: Recipe, choices: list[Choice], work: Path, telling: Telling
) -> tuple[Recipe, list[Choice]]:
    """The recipe with the learning rate that the range test suggests, told and drawn."""
    telling.text(range_text(found))
    write_text(work / "learning_rates.svg", range_svg(found))
    if found.suggestion is None:
        return recipe, choices
    assert recipe.optimizer is not None
    optimizer = recipe.optimizer.model_copy(update={"lr": float(f"{found.suggestion:.2g}")})
    told = [
        replace(c, chosen=str(optimizer), why=f"{c.why}; lr by the range test") if c.what == "optimizer" else c
        for c in choices
    ]
    return recipe.model_copy(update={"optimizer": optimizer}), told


def fingerprint(data: Dataset | StreamedDataset) -> str:
    """A checksum of encoded samples, by which a resumed run knows its data again."""
    if isinstance(data, StreamedDataset):
        return data.checksum
    digest = hashlib.sha256()
    for part in (data.inputs, data.targets, data.weights):
        if part is not None:
            for piece in torch.split(part, 4096):  # windows of a series are a view, larger than what they are of
                digest.update(piece.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _command(recipe: Recipe, own: nn.Module | None) -> str:
    """What gives the same weights again, said in the run folder; data and networks from memory must be given again."""
    if recipe.source and own is None:
        return "osler train --recipe recipe.yaml"
    source = repr(recipe.source) if recipe.source else "(inputs, targets)"
    network = "" if own is None else f", model={type(own).__name__}(…)"
    return f"osler.train({source}{network}, recipe='recipe.yaml')"


def _stem(source: object) -> str:
    if not isinstance(source, str | Path):
        return "run"
    path = Path(source)
    # "train.csv" says less than the folder it is in.
    parent = path.resolve().parent.name
    return f"{parent}-{path.stem}" if path.suffix and path.stem in ("train", "data") and parent else path.stem or "run"


def _refuse_audio_fields(recipe: Recipe, kind: str, where: str) -> None:
    for field in ("label_pattern", "sample_rate", "seconds", "features"):
        if kind != "audio" and getattr(recipe, field) is not None:
            raise InputError(f"{field} is for recordings, but {where} is a source of kind {kind!r}: leave it out")


def _facts(data: Prepared, own: nn.Module | None, weights: Weights | None) -> Facts:
    targets = data.sample("train").targets
    assert targets is not None
    return Facts(
        task=data.task,
        kind=data.preprocess.kind,
        rows=len(data.parts["train"]),
        shape=data.preprocess.shape,
        outlying=outlying(targets.numpy()) if data.task.kind == "regression" else 0.0,
        tokens=_token_kind(data),
        own_model=own is not None,
        weights_of=architecture_of(weights) if weights is not None and own is None else {},
        pixels="data" if weights is None else weights.pixels,
        parameters=0 if own is None else sum(p.numel() for p in own.parameters()),
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        cores=max(1, (os.cpu_count() or 1) // local_count()),
        season=inputs.season if isinstance(inputs := data.preprocess.inputs, SeriesEncoder) else 1,
    )


def _with_samples(judged: dict[str, Any], network: nn.Module, data: Prepared, seed: int) -> dict[str, Any]:
    """What was judged, and where the network writes what it wrote."""
    encoder, test = data.preprocess.inputs, data.parts["test"]
    if not isinstance(test, Dataset):
        return judged
    if isinstance(encoder, CorpusEncoder):
        return {**judged, "samples": generating.samples(network, encoder, test.inputs, seed)}
    if isinstance(encoder, PairEncoder):
        sources = test.inputs[:, : encoder.lengths[0]]
        metrics, shown = translating.judged(network, encoder, sources, data.raw["test"])
        return {**judged, "metrics": judged["metrics"] | metrics, "samples": shown}
    return judged


def _token_kind(data: Prepared) -> str:
    inputs = data.preprocess.inputs
    if isinstance(inputs, PairEncoder):
        return inputs.target.kind
    return inputs.tokenizer.kind if isinstance(inputs, TextEncoder | CorpusEncoder) else ""


def _layer_table(network: nn.Module, data: Prepared) -> list[dict[str, Any]]:
    """The network's layers, seen by letting one sample through."""
    batch = next(iter(plain_batches(data.preprocess, data.parts["train"][:1])))
    try:
        inputs = batch.inputs if isinstance(batch.inputs, tuple) else (batch.inputs,)
        return [asdict(layer) for layer in layers(network, *inputs)]
    except RuntimeError as error:
        shape = tuple(map(tuple, (x.shape for x in inputs))) if len(inputs) > 1 else tuple(inputs[0].shape)
        raise InputError(f"the network cannot take a batch of shape {shape}: {' '.join(str(error).split())}") from error


def _described(where: str, data: Prepared, notes: list[str]) -> dict[str, Any]:
    """The data as the report shows it."""
    names = data.task.classes if data.class_counts("train") is not None else ()
    counts = {part: c for part in data.parts if (c := data.class_counts(part)) is not None}
    return {
        "source": where,
        "kind": data.preprocess.kind,
        "notes": notes,
        "parts": {name: len(part) for name, part in data.parts.items()},
        "features": data.describe(),
        "classes": [{"name": name, **{part: int(c[i]) for part, c in counts.items()}} for i, name in enumerate(names)],
    }
