"""What to choose when the user chose nothing, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from osler.errors import InputError
from osler.metrics import default_metrics
from osler.recipe import Named, Recipe
from osler.records import Choice, Task

# Learning rate and weight decay for AdamW: batch normalisation stands large steps, LeNet-5 has nothing else against
# overfitting than its decay, a single layer has little to overfit with.
RATES = {
    "linear": (3e-2, 1e-4),
    "mlp": (2e-3, 1e-2),
    "lenet5": (3e-3, 0.1),
    "convnet": (5e-3, 0.02),
    "unet": (2e-3, 0.01),
    "fcn": (3e-3, 1e-2),
    "dlinear": (3e-3, 1e-2),
    "nlinear": (3e-3, 1e-2),
    "bag_of_embeddings": (3e-3, 0.01),
    "elman": (1e-3, 0.01),
    "gru": (2e-3, 0.01),
    "lstm": (2e-3, 0.01),
    "textcnn": (1e-3, 0.01),
    "transformer": (5e-4, 0.01),
    "conv_recurrent": (6e-3, 0.01),
    "gpt": (2e-3, 0.1),
    "lstm_lm": (4e-3, 0.01),
    "seq2seq": (2e-3, 0.01),
    "translator": (1e-3, 0.01),
}
RECURRENT = ("conv_recurrent", "elman", "lstm", "gru", "lstm_lm", "seq2seq")
MANY_PICTURES = 20_000  # enough for a single pass to teach much
STEPS = 3000  # a small network has about settled after so many
MANY_MASKS = 500  # pictures with masks, enough for a wider network
SEGMENTATION_STEPS = 1000
FORECAST_STEPS = 1000
TEXT_STEPS = 500  # a bag of words learns fast, and then by heart
AUDIO_SAMPLES = 25_000  # recordings that a network is shown in all
TRANSCRIBED_SAMPLES = 20_000  # that teach more each
TOKENS = ("language", "translation")  # tasks of a token at every place
TOKENS_READ = 12_000_000  # in all passes over a running text: a quarter of an hour on a processor
PAIRS_READ = 150_000  # in all passes over pairs of texts
MUCH_TEXT = 200_000  # tokens, enough for a wider network
HURRIED = (1e-2, 0.02)  # of the small convolutional network that a goal is reached with
OUTLIERS = 0.01  # from this share of far-out targets on, a squared error would follow them instead of the rest
# Shown where asked for.
NOT_ADVISED = ("weights", "layer_decay", "penalty", "max_norm", "clip_value", "freeze", "unfreeze", "averaging", "goal")


@dataclass(frozen=True)
class Facts:
    """What advice is given on: what was found in the data, and whether the user brought a network."""

    task: Task
    kind: str  # of the source: table, images, arrays, text, audio, series
    rows: int  # to train on
    shape: tuple[int, ...]  # of one encoded sample; a recording is the picture of its spectrogram
    outlying: float = 0.0  # regression: share of targets further than 5 robust deviations from the median
    tokens: str = ""  # text: words, characters or bpe
    own_model: bool = False
    weights_of: Mapping[str, Any] = field(default_factory=dict)  # the network whose weights are given, if one of ours
    pixels: str = "data"  # how that was shown its pictures
    parameters: int = 0  # of the user's own network
    accelerator: str = "cpu"
    cores: int = 1
    season: int = 1  # of a series: steps


def outlying(targets: np.ndarray[Any, Any]) -> float:
    """The share of values further than 5 robust deviations (1.4826 · MAD) from the median of their column."""
    distance = np.abs(targets - np.median(targets, axis=0))
    spread = 1.4826 * np.median(distance, axis=0)
    return float((distance > 5 * np.where(spread > 0, spread, np.inf)).mean())


def advise(recipe: Recipe, facts: Facts) -> tuple[Recipe, list[Choice]]:
    """The recipe with every empty field filled in, and a line for each choice: what was chosen and why."""
    choices: list[Choice] = []

    def choose(field: str, advice: Callable[[], tuple[Any, str]]) -> None:
        nonlocal recipe
        given = getattr(recipe, field)
        if isinstance(given, Named) and not given.name:
            (advised, why), options = advice(), given.options
            value = Named.model_validate({**advised.model_dump(), **options})
            why = f"{why}; {', '.join(options)} asked for"
        elif given is not None:
            value, why = given, "asked for"
        else:
            value, why = advice()
        recipe = recipe.model_copy(update={field: value})
        choices.append(Choice(field.replace("_", " "), _shown(value), why))

    many_pictures = facts.kind == "images" and facts.rows >= MANY_PICTURES
    hurried = recipe.goal is not None and many_pictures and recipe.model is None and not facts.own_model
    choices.append(Choice("task", facts.task.kind, facts.task.why))
    if facts.kind in ("text", "corpus", "pairs"):
        choose("tokens", lambda: _tokens(facts))
    if facts.kind in ("text", "corpus"):
        kept = "tokens kept of a text: all of them, but of outliers"
        choose("length", lambda: (facts.shape[0], kept if facts.kind == "text" else "tokens that are read at a time"))
    if facts.own_model:
        choices.append(Choice("model", "your own network", "given"))
    else:
        choose("model", lambda: _model(recipe, facts, hurried))
        choose("initialization", lambda: _initialization(recipe))
        if facts.kind == "series":
            choose("instance", lambda: ("revin", "each window by its own mean and deviation: levels and swings drift"))
    if facts.kind not in ("text", "corpus", "pairs") or facts.task.kind == "regression":
        choose("scale", lambda: _scale(facts))
    if facts.kind == "images" and recipe.scale:
        choose("pixels", lambda: _pixels(facts))
    choose("loss", lambda: _loss(recipe, facts))
    if facts.task.kind not in ("regression", "transcription", "forecasting"):
        if facts.task.kind not in TOKENS:
            choose("class_weights", lambda: ("none", "every sample counts the same"))
        choose("label_smoothing", lambda: _label_smoothing(recipe, facts))
    choose("metrics", lambda: _metrics(facts))
    choose("batch_size", lambda: _batch_size(recipe, facts, hurried))
    choices[-1] = replace(choices[-1], why=f"{_descent(recipe)}: {choices[-1].why}")
    choose("epochs", lambda: _epochs(recipe, facts))
    choose("optimizer", lambda: _optimizer(recipe, facts, hurried))
    choose("schedule", lambda: _schedule(recipe))
    for asked in NOT_ADVISED:
        if getattr(recipe, asked) is not None:
            choose(asked, lambda: (None, ""))
    choose("clip_norm", lambda: _clip_norm(recipe))
    if _is_picture(facts):
        choose("augment", lambda: _augment(recipe, facts, hurried))
    choose("patience", lambda: _patience(recipe))
    choose("device", lambda: (facts.accelerator, "the fastest there is"))
    choose("threads", lambda: _threads(recipe, facts))
    return recipe, choices


def _tokens(facts: Facts) -> tuple[Named, str]:
    why = "texts of one or two words" if facts.tokens == "characters" else "the units of meaning"
    if facts.kind == "corpus":
        why = {"characters": "few to learn, and none unknown", "bpe": "much text: pieces of words say more each"}.get(
            facts.tokens, "asked for"
        )
    return Named(name=facts.tokens), why


def _clip_norm(recipe: Recipe) -> tuple[float, str]:
    if _is(recipe, "gpt", "translator"):
        return 1.0, "usual for Transformers: a rare large step is cut"
    if _is(recipe, *RECURRENT):
        return 1.0, "recurrence: gradients that grow from step to step are cut"
    return 0.0, "no recurrence: gradients stay in bounds"


def _pixels(facts: Facts) -> tuple[str, str]:
    if facts.pixels == "data":
        return "data", "channels to mean 0 and deviation 1 in the training part"
    return facts.pixels, "as the weights were learned"


def _model(recipe: Recipe, facts: Facts, hurried: bool) -> tuple[Named, str]:
    if recipe.weights:
        if not facts.weights_of:
            raise InputError(f"{recipe.weights}: weights of no network that is known here; say which with model=…")
        return Named.model_validate(dict(facts.weights_of)), "the network that these weights are of"
    if facts.task.kind == "segmentation":
        width = 16 if facts.rows < MANY_MASKS else 32
        return Named.model_validate(
            {"name": "unet", "width": width, "batch_norm": True}
        ), "a class for every pixel: coarse maps and fine ones"
    if facts.task.kind == "forecasting":
        average = min(facts.season, facts.shape[0] - 1) // 2 * 2 + 1  # a season, and odd
        why = "trend and the rest continued by a linear layer each, which larger networks seldom beat"
        return Named.model_validate({"name": "dlinear", "window": max(average, 3)}), why
    if facts.task.kind in TOKENS:
        return _token_model(facts)
    if facts.kind == "text":
        return _text_model(facts)
    if facts.task.kind == "transcription":
        few = {"width": 16, "hidden": 64, "layers": 1, "stride": 3}
        size = few if facts.rows < MANY_PICTURES else {"width": 32, "hidden": 256}
        return Named.model_validate({"name": "conv_recurrent", **size}), (
            "texts of unknown timing: a guess at every step, seen with what is around it"
        )
    if facts.kind == "audio" and min(facts.shape[1:]) >= 8:
        width = 16 if facts.rows < MANY_PICTURES else 32
        return Named.model_validate({"name": "convnet", "width": width}), (
            "spectrograms: convolutions hear the same sound at any time"
        )
    if facts.kind == "images" and min(facts.shape[1:]) >= 8:
        if hurried:
            small = {"name": "convnet", "width": 16, "depth": 1, "average": False}
            return Named.model_validate(small), "pictures and a goal: a small network is there sooner"
        return Named(name="convnet"), "pictures: convolutions see the same pattern anywhere"
    if facts.kind == "arrays" and len(facts.shape) == 2 and facts.shape[0] >= 8:
        return Named.model_validate({"name": "fcn", "width": 64}), "series: convolutions see the same pattern anywhere"
    features = math.prod(facts.shape)
    hidden = [64, 32] if facts.rows < 2000 else [128, 64]
    why = f"{facts.rows} rows of {features} features"
    if features < 10:
        dropout, why = 0.0, f"{why}; no dropout, which would hide the few there are"
    elif facts.task.kind == "regression" and facts.rows >= 2000:
        dropout, why = 0.0, f"{why}: enough for a regression without dropout, which blurs it"
    else:
        dropout = 0.3 if facts.rows < 2000 else 0.2
        why = f"{why}, dropout against overfitting"
    return Named.model_validate({"name": "mlp", "activation": "relu", "hidden": hidden, "dropout": dropout}), why


def _text_model(facts: Facts) -> tuple[Named, str]:
    if facts.tokens == "words":
        name, why = "bag_of_embeddings", "words: which ones there are says most; dropout against learning by heart"
    else:
        name, why = "gru", f"{'pieces of words' if facts.tokens == 'bpe' else 'characters'}: their order says most"
    return Named.model_validate({"name": name, "dropout": 0.5 if name != "gru" else 0.3}), why


def _token_model(facts: Facts) -> tuple[Named, str]:
    if facts.task.kind == "translation":
        why = "reads, then writes and looks back at what it read; dropout, for there are never enough pairs"
        return Named.model_validate({"name": "seq2seq", "attention": "general", "dropout": 0.3}), why
    if facts.accelerator != "cpu":
        return Named.model_validate({"name": "gpt", "width": 256, "layers": 6}), "a Transformer, which fills a GPU"
    much = facts.rows * facts.shape[0] >= MUCH_TEXT
    width, dropout = (256, 0.0) if much else (128, 0.1)
    options = {"name": "lstm_lm", "width": width, "hidden": width, "dropout": dropout}
    return Named.model_validate(options), "on a processor it learns more in the same time than a Transformer"


def _initialization(recipe: Recipe) -> tuple[Named, str]:
    if _is(recipe, "linear"):
        return Named(name="zeros"), "one layer has no symmetry to break"
    if _is(recipe, "mlp"):
        return Named(name="auto"), "He before ReLU, LeCun before SELU, Xavier elsewhere"
    return Named(name="default"), "the model's own"


def _scale(facts: Facts) -> tuple[bool, str]:
    if facts.own_model:
        return False, "your network sees your numbers as they are"
    if facts.kind == "series":
        return True, "columns to mean 0 and deviation 1, learned from the part before validation"
    if facts.kind == "table":
        return True, "numbers to mean 0 and deviation 1, learned on the training rows"
    if facts.kind == "text":
        return True, "targets to mean 0 and deviation 1, learned on the training rows"
    named = {"images": "channels", "audio": "bands of the spectrogram"}.get(facts.kind, "features")
    return True, f"{named} to mean 0 and deviation 1"


def _loss(recipe: Recipe, facts: Facts) -> tuple[Named, str]:
    if facts.task.kind == "regression":
        if facts.outlying >= OUTLIERS:
            return Named(name="huber"), f"regression with {facts.outlying:.1%} far-out targets: Huber follows them less"
        return Named(name="mse"), "regression: linear output and squared error"
    if _is(recipe, "perceptron"):
        return Named(name="perceptron"), "Rosenblatt's rule is the gradient of this loss"
    if facts.task.kind == "forecasting":
        return Named(name="mse"), "the mean of what may come, over all steps ahead"
    return {
        "binary": (Named(name="binary_cross_entropy"), "two classes: one logit, sigmoid inside the loss"),
        "multilabel": (Named(name="binary_cross_entropy"), "several labels: one logit each, sigmoid inside the loss"),
        "segmentation": (
            Named(name="dice_cross_entropy"),
            "a class for every pixel: cross-entropy, and overlap, in which small classes count like large ones",
        ),
        "transcription": (
            Named(name="ctc"),
            "texts of unknown timing: all paths that say the text count",
        ),
        **dict.fromkeys(
            TOKENS,
            (Named(name="sparse_categorical_cross_entropy"), "the next token: a logit for each, in nats per token"),
        ),
        "multiclass": (
            Named(name="sparse_categorical_cross_entropy"),
            f"{facts.task.outputs} classes as integers: one logit each, softmax inside the loss",
        ),
    }[facts.task.kind]


def _label_smoothing(recipe: Recipe, facts: Facts) -> tuple[float, str]:
    cross_entropy = recipe.loss is not None and recipe.loss.name.endswith("cross_entropy")
    if _is_picture(facts) and facts.task.kind == "multiclass" and cross_entropy:
        return 0.1, f"{_pictures(facts)}: a network that is never quite sure generalises better"
    if facts.kind == "text" and facts.task.kind in ("binary", "multiclass") and cross_entropy:
        return 0.1, "text: a network that is never quite sure generalises better"
    if facts.task.kind == "translation":
        return 0.1, "there is more than one right translation"
    return 0.0, "targets are taken as they are"


def _metrics(facts: Facts) -> tuple[list[str], str]:
    return list(default_metrics(facts.task.kind)), "usual for this task"


def _batch_size(recipe: Recipe, facts: Facts, hurried: bool) -> tuple[int, str]:
    if _is(recipe, "perceptron"):
        return 1, "Rosenblatt's rule looks at one sample at a time"
    if facts.task.kind == "transcription":
        return 16, "each recording teaches by all its characters"
    if facts.task.kind == "segmentation":
        return 8, "each picture teaches by all its pixels"
    if facts.task.kind in TOKENS:
        most = 64 if facts.task.kind == "translation" or facts.accelerator != "cpu" else 16
        return min(max(2 ** int(math.log2(max(facts.rows // 20, 1))), 2), most), "each teaches by all its tokens"
    if _is_picture(facts):
        if hurried:
            return 128, "a goal: larger steps, fewer of them"
        named = _pictures(facts)
        return (64, f"usual for {named}") if facts.rows >= 4000 else (32, f"few {named}: more steps an epoch")
    size = 2 ** int(math.log2(min(max(facts.rows / 100, 16), 256)))
    return size, f"about {max(facts.rows // size, 1)} steps an epoch"


def _descent(recipe: Recipe) -> str:
    """What gradient descent is called with this many samples a step."""
    return {"all": "batch gradient descent", 1: "stochastic gradient descent"}.get(
        recipe.batch_size or 0, "mini-batches"
    )


def _epochs(recipe: Recipe, facts: Facts) -> tuple[int, str]:
    if recipe.goal:
        return 40, "at most: cycles of 1, 3, 9, 27 epochs, as few as the goal takes"
    if facts.task.kind == "segmentation":
        epochs = min(max(SEGMENTATION_STEPS * 8 // facts.rows, 10), 100)
        return epochs, f"{facts.rows} pictures: the fewer, the more passes"
    if facts.task.kind in TOKENS:
        whole = facts.rows if facts.task.kind == "translation" else facts.rows * facts.shape[0]
        read = PAIRS_READ if facts.task.kind == "translation" else TOKENS_READ
        return min(max(round(read / whole), 5), 100), "the less there is to read, the more passes"
    if facts.kind == "images" and recipe.weights:
        return 12 if facts.rows < 4000 else 4, "weights that were learned before need few passes more"
    if facts.kind == "audio":
        shown = TRANSCRIBED_SAMPLES if facts.task.kind == "transcription" else AUDIO_SAMPLES
        epochs = min(max(shown // facts.rows, 6), 60)
        return epochs, f"{facts.rows} recordings: the fewer, the more passes"
    if facts.kind == "images":
        epochs = 6 if facts.rows >= MANY_PICTURES else 60 if facts.rows >= 4000 else 40
        return epochs, f"{facts.rows} pictures: the fewer, the more passes"
    size = recipe.batch_size if isinstance(recipe.batch_size, int) else facts.rows
    if facts.task.kind == "forecasting":
        epochs = min(max(FORECAST_STEPS * size // facts.rows, 6), 200)
        return epochs, f"about {epochs * math.ceil(facts.rows / size)} steps in all, over windows that overlap"
    if facts.kind == "text":
        epochs = min(max(TEXT_STEPS * size // facts.rows, 5), 30)
        return epochs, "few passes: words are soon known by heart"
    epochs = min(max(STEPS * size // facts.rows, 15), 200)
    return epochs, f"about {epochs * math.ceil(facts.rows / size)} steps in all"


def _optimizer(recipe: Recipe, facts: Facts, hurried: bool) -> tuple[Named, str]:
    if _is(recipe, "perceptron"):
        return Named.model_validate({"name": "sgd", "lr": 1.0}), "Rosenblatt's rule: step by the whole mistake"
    lr, decay = HURRIED if hurried else RATES.get(recipe.model.name if recipe.model else "", (1e-3, 1e-2))
    why = "Adam is a safe default; weight decay keeps weights small"
    if recipe.weights:
        lr, decay = (3e-3, 1e-2) if recipe.freeze and not recipe.unfreeze else (2e-4, 1e-2)
        why = "Adam is a safe default; small steps keep what was learned before" if lr < 1e-3 else why
    if _is(recipe, "mlp") and facts.rows < 2000:
        decay, why = 0.2, "Adam is a safe default; strong weight decay, for there are few rows"
    return Named.model_validate({"name": "adamw", "lr": lr, "weight_decay": decay}), why


def _schedule(recipe: Recipe) -> tuple[Named, str]:
    assert recipe.optimizer is not None
    if recipe.optimizer.name.startswith("adam"):
        return Named(name="one_cycle"), "warm-up, then down to almost 0: fast and settled"
    return Named(name="constant"), "the learning rate as given"


def _augment(recipe: Recipe, facts: Facts, hurried: bool) -> tuple[list[Named], str]:
    if facts.kind == "audio":
        # Of a text every moment counts: who hides whole words of it asks for what cannot be known.
        hide = {"time": 0.05} if facts.task.kind == "transcription" else {}
        return [Named.model_validate({"name": "spec_augment", **hide})], (
            "bands and moments hidden: the network learns to do without any of them"
        )
    if hurried:
        return [], "a goal: no time lost on harder pictures"
    if not recipe.weights and not _is(recipe, "convnet", "lenet5", "unet"):
        return [], "for convolutional networks only"
    channels, height, width = facts.shape
    if min(height, width) < 16:
        return [], f"{height}×{width} pixels leave no room to shift in"
    # Photographs are taken from anywhere; drawings and letters are centred.
    pixels = max(min(height, width) // (8 if channels == 3 else 14), 1)
    shift = Named.model_validate({"name": "shift", "pixels": pixels})
    if channels == 3:
        return [Named(name="flip"), shift], "photographs: mirrored and shifted they stay what they are"
    return [shift], "shifted a little they stay what they are"


def _patience(recipe: Recipe) -> tuple[int, str]:
    assert recipe.epochs is not None
    # A cycle's best weights come at its end: stopping early is for runs that have gone wrong by the middle.
    patience = max(recipe.epochs // 2, 5)
    return patience, "stops when validation no longer improves; the best weights come back"


def _threads(recipe: Recipe, facts: Facts) -> tuple[int, str]:
    written = facts.kind in ("text", "corpus") and not _is(recipe, "bag_of_embeddings", *RECURRENT)
    if written or facts.kind == "pairs":
        return facts.cores, "all cores"
    small = not _is_picture(facts) or min(facts.shape[1:]) < 16
    if small and facts.parameters < 100_000:
        return 1, "a small network is fastest on one core"
    return facts.cores, "all cores"


def _is_picture(facts: Facts) -> bool:
    """Whether samples are pictures, if only of a sound."""
    return facts.kind in ("images", "audio")


def _pictures(facts: Facts) -> str:
    return "recordings" if facts.kind == "audio" else "pictures"


def _is(recipe: Recipe, *names: str) -> bool:
    return recipe.model is not None and recipe.model.name in names


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {number:g}" for key, number in value.items())
    return (
        {True: "yes", False: "no"}[value]
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
