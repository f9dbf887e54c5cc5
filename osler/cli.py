"""The command line: arguments → verbs. Heavy imports wait inside the verbs, so that --help answers at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from osler.errors import InputError, ProcessLost
from osler.shelltext import (
    assignments,
    brief,
    print_json,
    print_notes,
    print_registry,
    print_speed,
    print_text,
    records,
    sample_shape,
    value,
)

if TYPE_CHECKING:
    from osler.run import Run

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
CRITICAL = 1  # the doctor found something critical
OTHERS_WAIT = 5.0  # seconds

app = typer.Typer(
    help="From data to a trained and reported neural network in one command, every choice explained.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    # --batch_size and --batch-size are the same.
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": lambda t: t.replace("_", "-")},
)

SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="embedded data set, table file, or folder")]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="a run folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON object on standard output, nothing else")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="any field of the recipe: --set optimizer.lr=0.01"),
]


ProcessesOption = Annotated[int | None, typer.Option(min=1, help="processes of this machine that train together")]


@app.command()
def train(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="embedded data set, table, or folder")
    ] = None,
    target: Annotated[str | None, typer.Option(help="column(s) to predict, by name or position (-1: the last)")] = None,
    model: Annotated[str | None, typer.Option(help="network; `osler models` lists them")] = None,
    weights: Annotated[str | None, typer.Option(help="published weights to begin with: a file or a name")] = None,
    freeze: Annotated[
        str | None, typer.Option(help="modules that keep their weights; backbone: all but the head")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="classification, regression, language, translation …, if not as inferred")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over the training data")] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="samples a step: 1 stochastic, all: batch gradient descent")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="of everything random")] = None,
    group: Annotated[str | None, typer.Option(help="column: rows of one group stay on one side of the split")] = None,
    time: Annotated[str | None, typer.Option(help="column: later rows are held out")] = None,
    test: Annotated[str | None, typer.Option(help="condition: rows held out to test on, like 'take<5'")] = None,
    weight: Annotated[str | None, typer.Option(help="column: how much each row counts")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="column to leave out; may be repeated")] = None,
    label_pattern: Annotated[
        str | None, typer.Option(help="what the names of recordings say: '{label}_{speaker}_{take}'")
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="steps of a series to forecast")] = None,
    settings: SetOption = None,
    on_nonfinite: Annotated[str | None, typer.Option(help="a loss that is no number: stop, skip or rollback")] = None,
    find_lr: Annotated[bool, typer.Option(help="find the learning rate by a range test before training")] = False,
    explain_speed: Annotated[bool, typer.Option(help="tell what was measured to make steps fast")] = False,
    doctor: Annotated[bool, typer.Option(help="watch training, and say what is wrong with it")] = True,
    heal: Annotated[bool, typer.Option("--heal", help="try the doctor's cures; keep those that help")] = False,
    trials: Annotated[int, typer.Option(help="trainings that healing may take")] = 5,
    recipe: Annotated[Path | None, typer.Option(help="a recipe file; options given here overrule it")] = None,
    out: Annotated[Path | None, typer.Option(help="run folder (default: a new one in ./runs)")] = None,
    processes: ProcessesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network on a source; say what was chosen and why; write a run folder with a report.

    Example: osler train titanic.csv --target Survived --set optimizer.lr=0.01
    """
    _with_processes(processes)
    from osler.job import train as train_run

    given = {
        "target": target,
        "model": model,
        "weights": weights,
        "freeze": freeze,
        "task": task,
        "epochs": epochs,
        "batch_size": value(batch_size),
        "seed": seed,
        "group": group,
        "time": time,
        "test": test,
        "weight": weight,
        "drop": drop or None,
        "label_pattern": label_pattern,
        "horizon": horizon,
        "on_nonfinite": on_nonfinite,
        **assignments(settings or []),
    }
    how: dict[str, Any] = {"find_lr": find_lr, "doctor": doctor, "heal": heal, "trials": trials}
    run = train_run(source, recipe=recipe, out=out, verbose=not as_json, **how, **given)
    if explain_speed and not as_json and _is_first():
        print_speed(run.record, run.recipe.to_dict()["engine"])
    _finish(run, as_json)


@app.command()
def resume(run: RunArgument, processes: ProcessesOption = None, as_json: JsonOption = False) -> None:
    """Go on with a run that was killed or interrupted, from its last checkpoint.

    Example: osler resume runs/titanic
    """
    _with_processes(processes)
    from osler.job import resume as resume_run

    _finish(resume_run(run, verbose=not as_json), as_json)


def _with_processes(count: int | None) -> None:
    """Where several processes are asked for and this is none of them: starts them, and ends as they do."""
    if count is None or "WORLD_SIZE" in os.environ:
        started = os.environ.get("WORLD_SIZE", "1")
        if count is not None and started != str(count):
            raise InputError(f"torchrun has started {started} processes, but --processes says {count}: leave it out")
        return
    if count == 1:
        return
    from osler.training.launch import launch

    code, problem = launch(count, sys.argv[1:])
    if problem:
        _fail(problem, code)
    raise typer.Exit(code)


def _is_first() -> bool:
    """Whether this is the process that speaks, of several that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def _finish(run: Run, as_json: bool) -> None:
    """What is left to say of a run, and the exit code."""
    if as_json and _is_first():
        told = [{"ailment": f.ailment, "severity": f.severity, "explanation": f.explanation} for f in run.findings]
        print_json({"folder": str(run.folder), **brief(run.record), "findings": told})
    if run.status == "diverged":
        _fail(
            "the loss became infinite or not a number; kept are the best weights before, or the first",
            FAILED,
        )
    if run.status == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if run.findings.critical:
        raise typer.Exit(CRITICAL)


@app.command("doctor")
def examine(
    patient: Annotated[
        str, typer.Argument(metavar="PATIENT", help="a program (train.py, or train.py:function), source, recipe or run")
    ],
    arguments: Annotated[list[str] | None, typer.Argument(help="of the program, after --")] = None,
    target: Annotated[str | None, typer.Option(help="column(s) to predict, by name or position (-1: the last)")] = None,
    model: Annotated[str | None, typer.Option(help="network; `osler models` lists them")] = None,
    settings: SetOption = None,
    html: Annotated[Path | None, typer.Option(help="write the diagnosis to this file, with pictures")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with a training program, by which numbers, and what cures it; exit code 1 for critical faults.

    A program is run as it is, and watched; a source or a recipe is trained as `osler train` would, and nothing is kept.

    Example: osler doctor train.py -- --epochs 3
    """
    from osler.consultation import consult

    given = {"target": target, "model": model, **assignments(settings or [])}
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():  # what a program prints
        consultation = consult(patient, arguments or [], given)
    if html is not None:
        html.write_text(consultation.html(), encoding="utf-8")
    if as_json:
        print_json(consultation.record())
    else:
        typer.echo(consultation)
        if html is not None:
            typer.echo(f"written to {html}")
    if consultation.critical:
        raise typer.Exit(CRITICAL)


@app.command()
def predict(
    run: RunArgument,
    source: SourceArgument,
    out: Annotated[Path | None, typer.Option(help="write the predictions to this CSV file (masks: folder)")] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict new rows with a trained run; CSV on standard output.

    Example: osler predict runs/titanic new.csv --out predictions.csv
    """
    from osler.run import load

    notes: list[str] = []
    trained = load(run)
    frame = trained.predict(source, notes)
    if trained.objective.task.kind == "segmentation":
        from osler.data.masks import write_masks

        frame = write_masks(frame, out)
        out = None if out is None else out / "masks.csv"
    print_notes(notes)
    if as_json:
        print_json({"count": len(frame), "predictions": records(frame)})
    elif out is not None:
        frame.to_csv(out, index=False)
        typer.echo(f"{len(frame)} predictions written to {out}")
    else:
        sys.stdout.write(frame.to_csv(index=False))


@app.command()
def transcribe(
    run: RunArgument,
    files: Annotated[list[str], typer.Argument(metavar="FILE …", help="recordings")],
    as_json: JsonOption = False,
) -> None:
    """Write down what is said in recordings, a line each, with a run that was trained to transcribe.

    Example: osler transcribe runs/speech call.wav
    """
    from osler.run import load

    notes: list[str] = []
    trained = load(run)
    if trained.objective.task.kind != "transcription":
        raise InputError(f"{run} was not trained to transcribe, but for {trained.objective.task.kind}: use predict")
    frame = trained.predict(files, notes)
    print_notes(notes)
    if as_json:
        print_json({"count": len(frame), "transcripts": frame.to_dict("records")})
        return
    for name, text in zip(frame["file"], frame["prediction"], strict=True):
        typer.echo(text if len(files) == 1 else f"{name}\t{text}")


@app.command()
def forecast(
    run: RunArgument,
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="a series to go on with (default: the run's own)")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="how far (default: the run's horizon)")] = None,
    backtest: Annotated[bool, typer.Option("--backtest", help="errors by steps ahead, from all ends")] = False,
    out: Annotated[Path | None, typer.Option(help="write the forecast to this CSV file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast what comes after the end of a series; CSV on standard output, with times.

    Example: osler forecast runs/sales --steps 24
    """
    from osler.forecasting import backtest as tested
    from osler.forecasting import table
    from osler.run import load

    notes: list[str] = []
    trained = load(run)
    if backtest:
        found = tested(trained, source, notes)
        print_notes(notes)
        print_json(found) if as_json else typer.echo(table(found))
        return
    frame = trained.forecast(source, steps, notes)
    print_notes(notes)
    if as_json:
        print_json({"count": len(frame), "predictions": records(frame)})
    elif out is not None:
        frame.to_csv(out, index=False)
        typer.echo(f"{len(frame)} forecasts written to {out}")
    else:
        sys.stdout.write(frame.to_csv(index=False))


@app.command()
def evaluate(run: RunArgument, source: SourceArgument, as_json: JsonOption = False) -> None:
    """Loss and metrics of a trained run on rows whose target is known.

    Example: osler evaluate runs/titanic more.csv
    """
    from osler.run import load

    notes: list[str] = []
    metrics = load(run).evaluate(source, notes)
    print_notes(notes)
    if as_json:
        print_json({"metrics": metrics})
    else:
        for name, value in metrics.items():
            typer.echo(f"{name:<16} {value:.4f}")


@app.command()
def generate(
    run: RunArgument,
    prompt: Annotated[str, typer.Option(help="the text to go on with")] = "\n",
    length: Annotated[int, typer.Option(help="tokens to write")] = 500,
    temperature: Annotated[float, typer.Option(help="below 1 more careful, above 1 bolder; 0: the likeliest")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="draw from the k likeliest tokens only")] = None,
    top_p: Annotated[float | None, typer.Option(help="draw from the likeliest that have this share together")] = None,
    seed: Annotated[int | None, typer.Option(help="the same one writes the same text")] = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a text, as a language model has learned to.

    Example: osler generate runs/shakespeare --prompt "ROMEO:" --temperature 0.8 --seed 1
    """
    from osler.generating import generate as go_on
    from osler.run import load

    text = go_on(load(run), prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    if as_json:
        print_json({"prompt": prompt, "text": text, "seed": seed})
    else:
        typer.echo(text)


@app.command()
def translate(
    run: RunArgument,
    texts: Annotated[list[str], typer.Argument(metavar="TEXT…", help="texts, or a file with one a line")],
    beam: Annotated[int, typer.Option(help="beginnings that are kept; 1: the likeliest word each time")] = 5,
    attention: Annotated[Path | None, typer.Option(help="draw where the network looked, to this SVG file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Translate texts with a run that has learned to.

    Example: osler translate runs/multi30k "A man rides a bicycle." --attention bicycle.svg
    """
    from osler.data.sources import existing
    from osler.data.text import read_lines
    from osler.folder import write_text
    from osler.run import load
    from osler.translating import alignment
    from osler.translating import translate as written

    trained = load(run)
    notes: list[str] = []
    path = existing(texts[0]) if len(texts) == 1 else None
    lines = texts if path is None or path.is_dir() else [line for line in read_lines(path, notes) if line]
    if attention is not None and not attention.absolute().parent.is_dir():
        raise InputError(f"cannot write {attention}: there is no folder {attention.parent}")
    found = written(trained, lines, beam=beam)
    if attention is not None:
        write_text(attention, alignment(trained, lines[0]))
    if unknown := sum(one.unknown for one in found):
        notes.append(f"{unknown} words or signs were never seen in training")
    print_notes(notes)
    if as_json:
        print_json({"translations": [one.record() for one in found]})
    else:
        typer.echo("\n".join(one.translation for one in found))


@app.command()
def explain(
    run: RunArgument,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="a picture, a folder of them, or a table")],
    method: Annotated[list[str] | None, typer.Option(help="integrated_gradients, shapley …; may be repeated")] = None,
    target: Annotated[str | None, typer.Option(help="class to explain (default: the predicted one)")] = None,
    first: Annotated[int, typer.Option(min=1, help="rows or pictures to explain")] = 6,
    out: Annotated[Path | None, typer.Option(help="page to write (default: explanation.html in the run)")] = None,
    sanity: Annotated[bool, typer.Option(help="test whether the methods depend on the weights")] = True,
    as_json: JsonOption = False,
) -> None:
    """Say what a run's predictions depend on: a page with maps of pictures, or bars for a table's columns.

    Example: osler explain runs/titanic new.csv --method shapley
    """
    from osler.explaining import explain_run
    from osler.explainpage import page
    from osler.folder import write_text
    from osler.run import load

    place = out or run / "explanation.html"
    if not place.absolute().parent.is_dir() and out is not None:
        raise InputError(f"cannot write {place}: there is no folder {place.parent}")
    found = explain_run(load(run), source, method or (), target, first, sanity)
    write_text(place, page(found))
    if as_json:
        print_json({"page": str(place), **found.record()})
        return
    print_notes(found.notes)
    typer.echo(found.text())
    typer.echo(f"\nwritten to {place}")


@app.command()
def dream(
    run: RunArgument,
    picture: Annotated[
        str | None, typer.Argument(metavar="[PICTURE]", help="to dream of; without one, what excites the layer most")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="layer, layer:channel or layer:channel,y,x")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="of gradient ascent, for each octave")] = None,
    octaves: Annotated[int, typer.Option(min=1, help="sizes of the picture, from small to whole")] = 4,
    out: Annotated[Path, typer.Option(help="PNG file to write")] = Path("dream.png"),
    as_json: JsonOption = False,
) -> None:
    """Exaggerate what a layer sees in a picture (DeepDream), or draw what it wants to see most.

    Example: osler dream runs/cats cat.jpg --layer stages.1.conv2:7 --out dream.png
    """
    from osler.explaining import dream_run
    from osler.explainpage import png
    from osler.run import load

    found, pixels = dream_run(load(run), picture, layer, steps, octaves)
    out.write_bytes(png(pixels))
    told = {"layer": found.layer, "before": found.before, "after": found.after, "sizes": list(map(list, found.sizes))}
    if as_json:
        print_json({"picture": str(out), **told})
    else:
        typer.echo(f"layer {found.layer}: activation {found.before:.4g} → {found.after:.4g}; written to {out}")


@app.command()
def look(
    run: RunArgument,
    picture: Annotated[
        str | None, typer.Argument(metavar="[PICTURE]", help="whose maps to draw; without one, the filters")
    ] = None,
    layer: Annotated[list[str] | None, typer.Option(help="layer to draw; may be repeated")] = None,
    out: Annotated[Path | None, typer.Option(help="SVG file to write (default: filters.svg or maps.svg)")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the filters that a run has learned, or the feature maps that its layers make of a picture.

    Example: osler look runs/cats cat.jpg --layer c1 --layer c3
    """
    from osler.folder import write_text
    from osler.looking import look as look_into
    from osler.looking import sheet
    from osler.run import load

    loaded = load(run)
    blocks = look_into(loaded, picture, layer or ())
    place = out or Path("filters.svg" if picture is None else "maps.svg")
    what = (
        "filters: grey is 0, each scaled by its largest weight"
        if picture is None
        else f"maps of {Path(picture).name}: each from its smallest number (black) to its largest (white)"
    )
    write_text(place, sheet(f"{loaded.record['network']['name']} on {loaded.record['data']['source']}", what, blocks))
    if as_json:
        print_json(
            {
                "picture": str(place),
                "layers": [{"name": b.layer, "kind": b.kind, "shape": list(b.shape), "note": b.note} for b in blocks],
            }
        )
        return
    for block in blocks:
        sizes = "×".join(map(str, block.shape))
        typer.echo(f"{block.layer:<24} {block.kind} {sizes}{f', {block.note}' if block.note else ''}")
    typer.echo(f"drawn in {place}")


@app.command()
def report(
    run: RunArgument,
    markdown: Annotated[bool, typer.Option("--markdown", help="print it as Markdown instead")] = False,
) -> None:
    """Write the report of a run again: one HTML file that needs no network.

    Example: osler report runs/titanic
    """
    from osler.report import markdown as as_markdown
    from osler.report import write_report

    typer.echo(as_markdown(run) if markdown else write_report(run))


@app.command()
def draw(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a network's name, or a run folder")],
    inputs: Annotated[str | None, typer.Option(help="shape of one sample, like 1,32,32 (default: the usual)")] = None,
    outputs: Annotated[int | None, typer.Option(min=1, help="numbers the network gives (default: the usual)")] = None,
    svg: Annotated[Path | None, typer.Option(help="write a drawing to this file")] = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """A network as a table: each layer's shape, how it comes about, what it sees, its parameters and multiply-adds.

    Example: osler draw lenet5 --inputs 1,32,32 --svg lenet5.svg
    """
    from osler.drawing import draw as draw_model

    shape = None if inputs is None else sample_shape(inputs)
    drawing = draw_model(model, shape, outputs, assignments(settings or []))
    if svg is not None:
        svg.write_text(drawing.svg(), encoding="utf-8")
    if as_json:
        print_json(drawing.record())
    else:
        typer.echo(drawing.text(shutil.get_terminal_size((120, 24)).columns))
        if svg is not None:
            typer.echo(f"drawn in {svg}")


@app.command()
def models(as_json: JsonOption = False) -> None:
    """The networks that can be trained by name.

    Example: osler models
    """
    from osler.models import MODELS
    from osler.published import PUBLISHED

    print_registry(MODELS, as_json, {name: f" (--weights {entry.data})" for name, entry in PUBLISHED.items()})


@app.command()
def datasets(as_json: JsonOption = False) -> None:
    """The embedded data sets, which need no file.

    Example: osler datasets
    """
    from osler.data.examples import EXAMPLES

    print_registry(EXAMPLES, as_json)


@app.command("list")
def list_names(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="activations, losses, optimizers …")] = None,
    as_json: JsonOption = False,
) -> None:
    """What there is of a kind, a line each; without a kind, all names.

    Example: osler list activations
    """
    from osler.show import contents, listing, names, overview

    if kind is None:
        print_json(names()) if as_json else print_text(overview(names()))
        return
    entries = listing(kind)
    if as_json:
        print_json({entry.name: {"summary": entry.summary, "aliases": list(entry.aliases)} for entry in entries})
    else:
        print_text(contents(entries))


@app.command()
def show(
    words: Annotated[list[str], typer.Argument(metavar="[KIND] NAME", help="relu, adam, huber, loss perceptron …")],
    kind: Annotated[str | None, typer.Option(help="if the name is one of several kinds")] = None,
    svg: Annotated[Path | None, typer.Option(help="draw it in this file")] = None,
    source: Annotated[str | None, typer.Option(help="of an augmentation: pictures to draw instead of digits")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="as it is with this option: --set delta=3")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """A building block: formula, when to use it, options, source, and its picture.

    Example: osler show huber --set delta=3 --svg huber.svg
    """
    from osler.show import asked, only, page, picture, plot, record, several

    options = assignments(settings or [])
    if source is not None and svg is None:
        raise InputError("--source has the pictures of a drawing: say --svg FILE too")
    if [word.lower() for word in words] in (["augment"], ["augmentations"]):
        _show_augmentations(svg, source, options, as_json)
        return
    entries = asked(words, kind)
    if options or svg is not None:
        entries = [only(entries)]
    plots = [plot(entry, options) for entry in entries]
    if svg is not None:
        svg.write_text(picture(entries[0], plots[0], options, source), encoding="utf-8")
    if as_json:
        print_json({"entries": [record(entry, drawn) for entry, drawn in zip(entries, plots, strict=True)]})
        return
    for entry, drawn in zip(entries, plots, strict=True):
        print_text(page(entry, drawn, options))
    if len(entries) > 1:
        typer.echo(several(entries))
    if svg is not None:
        typer.echo(f"drawn in {svg}")


def _show_augmentations(svg: Path | None, source: str | None, options: dict[str, Any], as_json: bool) -> None:
    """All of them with their options, and each beside the pictures before."""
    from osler.show import listing, record
    from osler.show.augment import sheet, table

    if options:
        raise InputError(f"{', '.join(options)} is of one augmentation: say which, like osler show augment rotation")
    entries = listing("augmentations")
    if svg is not None:
        svg.write_text(sheet(source, [entry.name for entry in entries], {}), encoding="utf-8")
    print_json({"entries": [record(entry, None) for entry in entries]}) if as_json else print_text(table(entries))
    if svg is not None and not as_json:
        typer.echo(f"drawn in {svg}")


@app.command()
def schema() -> None:
    """The JSON Schema of a recipe, for editors and checkers.

    Example: osler schema > recipe.schema.json
    """
    from osler.recipe import Recipe

    print_json(Recipe.model_json_schema())


def _version(wanted: bool) -> None:
    if wanted:
        from osler import __version__

        typer.echo(f"osler {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    """From data to a trained and reported neural network in one command, every choice explained."""


def main() -> NoReturn:
    """Runs the command line; user mistakes become one line on standard error, never a traceback."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except InputError as error:
        _fail(str(error), BAD_INPUT)
    except typer.TyperException as error:
        message = error.format_message()
        if message.startswith("No such option") and "train" in sys.argv:
            message += "; any field of the recipe can be set, like --set optimizer.lr=0.01"
        _fail(message, BAD_INPUT)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except ProcessLost as error:
        if not _watched():
            _fail(f"another process of this job has ended ({error})", FAILED)
        sys.exit(FAILED)  # whoever watches says why
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) went away: nobody is there to be told
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), BAD_INPUT)
    except Exception as error:
        if os.environ.get("OSLER_TRACEBACK"):
            raise
        what = f"{type(error).__name__}: {error}"
        _fail(f"a mistake of Osler's own, please report it ({what}); OSLER_TRACEBACK=1 shows where", FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    if _watched():
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(InputError(message))
    if _is_first():
        typer.echo(f"osler: {' '.join(message.split())}", err=True)
    elif code == BAD_INPUT:
        time.sleep(OTHERS_WAIT)  # a mistake of all is the first process's to tell, and the first to end ends all
    sys.exit(code)


def _watched() -> bool:
    """Whether torchrun watches this process, and tells whose fault it was that they ended."""
    return "TORCHELASTIC_ERROR_FILE" in os.environ


if __name__ == "__main__":
    main()
