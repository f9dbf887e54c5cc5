"""From a recipe to the objects it names."""

from __future__ import annotations

from dataclasses import asdict
from fnmatch import fnmatchcase
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from osler.data.audioencoder import AudioEncoder
from osler.data.augment import Compose, Mix, Mixing, MovingMasks, from_names
from osler.data.batches import Batches, Dataset
from osler.data.corpus import CorpusEncoder
from osler.data.pairencoder import PairEncoder
from osler.data.pixels import scaler_of
from osler.data.preprocess import Preprocess
from osler.data.rowfiles import StreamedDataset
from osler.data.stream import StreamedBatches, open_batches
from osler.data.textencoder import filled
from osler.errors import InputError, unknown_name
from osler.folder import CHECKPOINTS
from osler.metrics import METRICS
from osler.models import MODELS
from osler.models.dlinear import DLinear, NLinear
from osler.models.forecaster import Forecaster
from osler.nn.classification_losses import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    SparseCategoricalCrossEntropy,
)
from osler.nn.distribution_losses import CTC
from osler.nn.focal_loss import Focal
from osler.nn.initialisation import INITIALIZERS, initialize
from osler.nn.losses import LOSSES
from osler.nn.margin_losses import MarginLoss
from osler.nn.penalties import PENALTIES, Penalty, project_max_norm
from osler.nn.segmentation_losses import VOID, Dice, DiceCrossEntropy
from osler.objectives.classification import Classification
from osler.objectives.ctc import Transcription
from osler.objectives.forecasting import Forecasting
from osler.objectives.language import Language
from osler.objectives.regression import Regression
from osler.objectives.segmentation import Segmentation
from osler.objectives.tokens import PADDING
from osler.objectives.translation import Translation
from osler.optim import OPTIMIZERS, SCHEDULES, parameter_groups
from osler.optim.depth import decay_rates, groups_by_depth
from osler.recipe import CheckpointSettings, EngineSettings, Named, Recipe
from osler.records import Task
from osler.registry import Registry
from osler.training.callbacks.averaging import AVERAGING
from osler.training.callbacks.callback import Callback
from osler.training.callbacks.checkpoints import Checkpoints
from osler.training.callbacks.early_stopping import EarlyStopping
from osler.training.callbacks.freezing import Freezing
from osler.training.callbacks.goal import Goal
from osler.training.callbacks.log import Log
from osler.training.callbacks.progress import Progress
from osler.training.callbacks.tensorboard import TensorBoard
from osler.training.engine import Engine
from osler.training.learning_rate_range import RangeTest, find_learning_rate
from osler.training.sharded import shard
from osler.training.trainer import Trainer
from osler.weights import backbone

if TYPE_CHECKING:
    from rich.console import Console

COMPARE_CLASSES = (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    SparseCategoricalCrossEntropy,
    Focal,
    MarginLoss,
)
OF_PIXELS = (SparseCategoricalCrossEntropy, Dice, DiceCrossEntropy)
AT_ONCE = 1024  # samples a batch where nothing is learned
LOGITS_AT_ONCE = 2**24  # of tokens, for a vocabulary is large
Supervised = Classification | Regression | Segmentation | Language | Translation | Transcription | Forecasting
# What a network for a task has, beside its forward pass.
WRITERS = {"language": "begin", "translation": "encode"}


def with_known_names(recipe: Recipe) -> Recipe:
    """The recipe with every alias replaced by its name ("dense" by "mlp"), before any data is read.

    Raises InputError for a name or an option that does not exist.
    """
    known: dict[str, Any] = {}
    registries: dict[str, Registry[Any]] = {
        "model": MODELS,
        "initialization": INITIALIZERS,
        "loss": LOSSES,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
        "penalty": PENALTIES,
        "averaging": AVERAGING,
    }
    for field, registry in registries.items():
        named: Named | None = getattr(recipe, field)
        if named is None or not named.name or (field, named.name) == ("initialization", "default"):
            continue
        registry.check_options(named.name, named.options)
        for option in ("inputs", "outputs"):
            if field == "model" and option in named.options:
                raise InputError(f"model.{option} follows from the data and the task: leave it out")
        known[field] = named.model_copy(update={"name": registry.resolve(named.name)})
    if recipe.metrics is not None:
        known["metrics"] = [METRICS.resolve(metric) for metric in recipe.metrics]
    from_names(named.model_dump() for named in recipe.augment or ())
    if recipe.pixels not in (None, "data"):
        scaler_of(recipe.pixels)
    return recipe.model_copy(update=known)


def build_model(recipe: Recipe, preprocess: Preprocess) -> nn.Module:
    """The network of the recipe for these inputs and this task."""
    assert recipe.model is not None
    task = preprocess.targets.task
    options = recipe.model.options
    if preprocess.vocabulary is not None:
        options |= _of_texts(recipe.model, preprocess.vocabulary)
    if (needed := WRITERS.get(task.kind)) and not hasattr(MODELS[recipe.model.name], needed):
        fitting = ", ".join(name for name in MODELS if hasattr(MODELS[name], needed))
        raise InputError(f"{recipe.model.name} is no network for a task of {task.kind}; these are: {fitting}")
    if task.kind == "forecasting":
        model = _forecaster(recipe, preprocess.shape, task)
    else:
        model = MODELS.create(recipe.model.name, inputs=preprocess.shape, outputs=task.outputs, **options)
    if recipe.initialization is not None and recipe.initialization.name != "default":
        initialize(model, recipe.initialization.name, **recipe.initialization.options)
    return model


def _forecaster(recipe: Recipe, shape: tuple[int, ...], task: Task) -> nn.Module:
    """The network, for as many forecasts as the loss has quantiles, with each window in units of its own."""
    assert recipe.model is not None
    assert recipe.loss is not None
    quantiles = recipe.loss.options.get("quantile")
    outputs = task.outputs * (len(quantiles) if isinstance(quantiles, list) else 1)
    series = len(task.names)
    alone = MODELS[recipe.model.name] in (DLinear, NLinear) and series < shape[1]
    inputs = (shape[0], series) if alone else shape
    core = MODELS.create(recipe.model.name, inputs=inputs, outputs=outputs, **recipe.model.options)
    if recipe.instance in (None, "none") and not alone:
        return core
    return Forecaster(core, series, instance=recipe.instance or "none", alone=alone)


def _of_texts(model: Named, vocabulary: int) -> dict[str, int]:
    """What a network for texts is told of them. Raises InputError for a network that takes no tokens."""
    takers = [name for name in MODELS if "vocabulary" in signature(MODELS[name]).parameters]
    if model.name not in takers:
        raise InputError(f"{model.name} takes numbers, but the inputs are texts; these take them: {', '.join(takers)}")
    if "vocabulary" in model.options:
        raise InputError("model.vocabulary follows from the texts: leave it out, or say tokens.size")
    return {"vocabulary": vocabulary}


def build_objective(recipe: Recipe, preprocess: Preprocess) -> Supervised:
    """The objective of the recipe's loss and metrics for this task."""
    assert recipe.loss is not None
    task, scaler = preprocess.targets.task, preprocess.targets.scaler
    options = dict(recipe.loss.options)
    if recipe.label_smoothing:
        options["label_smoothing"] = recipe.label_smoothing
    if task.kind in WRITERS and recipe.loss.name == "sparse_categorical_cross_entropy":
        options["ignore_index"] = PADDING
    if isinstance(recipe.class_weights, dict):
        options["class_weights"] = _in_order(recipe.class_weights, task.classes)
    if task.kind == "segmentation" and recipe.loss.name == "sparse_categorical_cross_entropy":
        options.setdefault("ignore_index", VOID)
    criterion: nn.Module = LOSSES.create(recipe.loss.name, **options)
    if task.kind in ("regression", "forecasting") and isinstance(criterion, COMPARE_CLASSES):
        raise InputError(
            f"loss {recipe.loss.name!r} compares classes, but {task.names[0]!r} is a number: "
            "use mse, mae or huber, or say --task classification"
        )
    if _mixing(recipe):
        criterion = _of_soft_targets(recipe, criterion, options)
    metrics = recipe.metrics or []
    if (task.kind == "transcription") != isinstance(criterion, CTC):
        raise InputError(
            f"loss {recipe.loss.name!r} for the task {task.kind}: ctc is for transcription, and transcription for ctc"
        )
    if task.kind == "transcription":
        return Transcription(task, criterion, metrics)
    if task.kind == "segmentation":
        if not isinstance(criterion, OF_PIXELS):
            fitting = "dice_cross_entropy, dice or sparse_categorical_cross_entropy"
            raise InputError(f"loss {recipe.loss.name!r} is not for masks, a class for every pixel: use {fitting}")
        if mixing := _mixing(recipe):
            raise InputError(f"{type(mixing[0]).__name__.lower()} has no meaning for masks: leave it out of augment")
        return Segmentation(task, criterion, metrics)
    if task.kind in WRITERS:
        if not isinstance(criterion, SparseCategoricalCrossEntropy):
            raise InputError(
                f"loss {recipe.loss.name!r} does not leave out padding: tokens need sparse_categorical_cross_entropy"
            )
        encoder = preprocess.inputs
        if isinstance(encoder, CorpusEncoder):
            return Language(task, criterion, metrics, encoder.tokenizer.decode, encoder.density)
        assert isinstance(encoder, PairEncoder)
        return Translation(task, criterion, metrics, encoder.target.decode)
    if task.kind not in ("regression", "forecasting"):
        return Classification(task, criterion, metrics)
    mean, std = (scaler.mean.tolist(), scaler.std.tolist()) if scaler else (None, None)
    if task.kind == "forecasting":
        return Forecasting(task, criterion, metrics, mean, std)
    return Regression(task, criterion, metrics, mean, std)


def _mixing(recipe: Recipe) -> tuple[Mixing, ...]:
    """The augmentations of the recipe that mix samples."""
    return from_names(named.model_dump() for named in recipe.augment or ()).mixing


def _of_soft_targets(recipe: Recipe, criterion: nn.Module, options: dict[str, Any]) -> nn.Module:
    """The same loss for soft targets, into which mixup and cutmix turn class indices."""
    if isinstance(criterion, SparseCategoricalCrossEntropy):
        if "ignore_index" in options:
            raise InputError("ignore_index is of class indices, but mixup and cutmix make soft targets: leave it out")
        return CategoricalCrossEntropy(**options)
    if isinstance(criterion, Focal | MarginLoss):
        assert recipe.loss is not None
        raise InputError(
            f"loss {recipe.loss.name!r} needs one true class, but mixup and cutmix make soft targets: "
            "use cross-entropy, or leave them out of augment"
        )
    return criterion


def build_penalty(recipe: Recipe) -> Penalty | None:
    """What the recipe adds to the training loss."""
    return None if recipe.penalty is None else PENALTIES.create(recipe.penalty.name, **recipe.penalty.options)


class MaxNorm(Callback):
    """Shortens the weights into every unit to the limit after each step (Srebro and Shraibman, 2005)."""

    def __init__(self, limit: float):
        self.limit = limit

    def step(self, trainer: Trainer) -> None:
        project_max_norm(trainer.model, self.limit)


def build_trainer(
    recipe: Recipe, network: nn.Module, objective: Supervised, work: Path, console: Console, threads_asked: bool
) -> tuple[Trainer, EarlyStopping]:
    """The trainer of the recipe, which writes into the folder `work`, and the callback that keeps the best weights."""
    settings = recipe.engine or EngineSettings.model_validate({})
    engine = Engine(**settings.model_dump(exclude={"sharding"}), threads=recipe.threads if threads_asked else None)
    if settings.sharding:
        for field in ("penalty", "max_norm"):
            if getattr(recipe, field) is not None:
                raise InputError(f"{field} needs the weights whole, but engine.sharding cuts them: use weight_decay")
        shard(network, torch.device(recipe.device or "cpu"))
    goal = Goal(recipe.goal) if recipe.goal else None
    stopping = EarlyStopping(recipe.patience or 0, monitor=f"{goal.metric}/val" if goal else "loss/val")
    saving = (recipe.checkpoints or CheckpointSettings.model_validate({})).model_dump()
    trainer = Trainer(
        network,
        objective,
        optimizer=build_optimizer(recipe, network),
        schedule=lambda optimizer, steps: build_schedule(recipe, optimizer, steps),
        callbacks=[
            *([MaxNorm(recipe.max_norm)] if recipe.max_norm else []),
            *([goal] if goal else []),
            stopping,
            *_asked_for(recipe, network, objective, work),
            Log(work / "metrics.jsonl"),
            Progress(console),
            Checkpoints(work / CHECKPOINTS, **saving),
        ],
        clip_value=recipe.clip_value,
        clip_norm=recipe.clip_norm,
        device=recipe.device or "cpu",
        engine=engine,
        on_nonfinite=recipe.on_nonfinite or "stop",
    )
    return trainer, stopping


def fit(
    trainer: Trainer, recipe: Recipe, train: Batches | StreamedBatches, validation: Batches | StreamedBatches
) -> None:
    """Trains as the recipe says: for its epochs; with a goal in cycles of 1, 3, 9 … epochs, as few as it takes.

    Each cycle has a schedule of its own, from warm-up to nearly 0 (warm restarts: Loshchilov and Hutter, SGDR, 2017):
    only at its end is a network as good as it can be after so many epochs.
    """
    assert recipe.epochs is not None
    while trainer.status in ("new", "finished") and trainer.epoch < recipe.epochs:
        left = recipe.epochs - trainer.epoch
        trainer.fit(train, validation, epochs=min(2 * trainer.epoch + 1, left) if recipe.goal else left)


def _asked_for(recipe: Recipe, network: nn.Module, objective: Supervised, work: Path) -> list[Callback]:
    """Callbacks that are there only when the recipe names them."""
    callbacks: list[Callback] = []
    if recipe.freeze:
        when = {} if recipe.unfreeze is None else recipe.unfreeze.model_dump()
        callbacks.append(Freezing(_named(recipe.freeze, network, objective), when.get("epoch"), when.get("gradual", 0)))
    elif recipe.unfreeze:
        raise InputError(f"unfreeze at epoch {recipe.unfreeze.epoch}, but nothing is frozen: say freeze=backbone*")
    if recipe.averaging:
        callbacks.append(AVERAGING.create(recipe.averaging.name, **recipe.averaging.options))
    if recipe.tensorboard:
        callbacks.append(TensorBoard(work / "tensorboard"))
    return callbacks


def _named(frozen: list[str], network: nn.Module, objective: Supervised) -> list[str]:
    """The modules to freeze; "backbone" is all but the head, where no module has that name."""
    own = [name for name, _ in network.named_modules() if name]
    found: list[str] = []
    for pattern in frozen:
        if any(fnmatchcase(name, pattern) for name in own):
            found.append(pattern)
        elif pattern == "backbone":
            found += backbone(network, objective.task.outputs)
        else:
            raise unknown_name("module to freeze", pattern, ["backbone", *own])
    return found


def range_test(
    recipe: Recipe, network: nn.Module, objective: Supervised, batches: Batches | StreamedBatches
) -> RangeTest:
    """The learning-rate range test of this recipe; it changes nothing."""
    return find_learning_rate(
        network,
        objective,
        batches,
        build_optimizer(recipe, network),
        clip_value=recipe.clip_value,
        clip_norm=recipe.clip_norm,
        device=recipe.device or "cpu",
    )


def with_engine(recipe: Recipe, engine: Engine) -> Recipe:
    """The recipe with what was measured, so that the same recipe gives the same weights."""
    chosen = {name: value for name, value in asdict(engine).items() if name != "threads"}
    sharding = recipe.engine is not None and recipe.engine.sharding
    engine_settings = EngineSettings.model_validate({**chosen, "sharding": sharding})
    return recipe.model_copy(update={"engine": engine_settings, "threads": engine.threads or recipe.threads})


def balanced(classes: tuple[str, ...], counts: np.ndarray[Any, Any]) -> dict[str, float]:
    """Weights that make every class count the same: N / (C · N_c)."""
    weights = counts.sum() / (len(classes) * np.maximum(counts, 1))
    return {name: float(weight) for name, weight in zip(classes, weights, strict=True)}


def _in_order(weights: dict[str, float], classes: tuple[str, ...]) -> list[float]:
    for name in weights:
        if name not in classes:
            raise unknown_name("class in class_weights", name, classes)
    absent = [name for name in classes if name not in weights]
    if absent:
        raise InputError(f"class_weights: no weight for {', '.join(map(repr, absent))}; every class needs one")
    return [weights[name] for name in classes]


def build_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """The optimizer of the recipe, with weight decay on weights only (not on biases or norms)."""
    assert recipe.optimizer is not None
    options = recipe.optimizer.options
    groups = parameter_groups(model, float(options.pop("weight_decay", 0.0)))
    if recipe.layer_decay in (None, 1):
        return OPTIMIZERS.create(recipe.optimizer.name, groups, **options)
    optimizer = OPTIMIZERS.create(recipe.optimizer.name, groups_by_depth(model, groups), **options)
    return decay_rates(optimizer, recipe.layer_decay)


def build_schedule(recipe: Recipe, optimizer: Optimizer, steps: int) -> LRScheduler:
    assert recipe.schedule is not None
    return SCHEDULES.create(recipe.schedule.name, optimizer, steps, **recipe.schedule.options)


def learning_batches(
    recipe: Recipe, preprocess: Preprocess, data: Dataset | StreamedDataset, rank: int = 0, processes: int = 1
) -> Batches | StreamedBatches:
    """Batches to learn from: shuffled, augmented; of each, the part of this process."""
    if recipe.batch_size == "all" and isinstance(data, StreamedDataset):
        raise InputError("batch_size all needs the data in memory, but they are larger: give a number")
    size = len(data) if recipe.batch_size == "all" else recipe.batch_size or 32
    augment = from_names(named.model_dump() for named in recipe.augment or ())
    task = preprocess.targets.task
    mix: Mix | MovingMasks = Mix(augment.mixing, task.outputs if task.kind == "multiclass" else None)
    if task.kind == "segmentation":
        augment, mix = Compose(()), MovingMasks(augment)  # the masks go where their pictures go
    lengths = {}
    if preprocess.kind in ("text", "pairs") and isinstance(data, Dataset):
        lengths["lengths"] = filled(data.inputs)
    transform = preprocess.transform()
    if isinstance(preprocess.inputs, AudioEncoder) and augment.parts:  # spectrograms are augmented, not samples
        augment, transform = Compose((preprocess.inputs.augmented(augment),)), None
    return open_batches(
        data,
        min(size, len(data)),
        shuffle=True,
        **lengths,
        seed=recipe.seed,
        transform=transform,
        augment=augment if augment.parts else None,
        mix=mix if mix.parts else None,
        device=recipe.device or "cpu",
        rank=rank,
        processes=processes,
    )


def plain_batches(
    preprocess: Preprocess,
    data: Dataset | StreamedDataset,
    device: str | torch.device | None = None,
    rank: int = 0,
    processes: int = 1,
) -> Batches | StreamedBatches:
    """Batches to look at: in order, as they are; of each, the part of this process."""
    transform, size = preprocess.transform(), AT_ONCE
    if preprocess.targets.task.kind in WRITERS:
        size = max(min(LOGITS_AT_ONCE // (preprocess.targets.task.outputs * preprocess.shape[0]), AT_ONCE), processes)
    return open_batches(data, size, transform=transform, device=device or "cpu", rank=rank, processes=processes)
